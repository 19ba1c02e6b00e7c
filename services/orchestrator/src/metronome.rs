//! The Metronome API as far as it is true today: there are no jobs, and none
//! can be made.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
struct About {
    version: &'static str,
    url: String,
}

pub(crate) fn router(version: &'static str, url: String) -> Router {
    Router::new().fallback(serve).with_state(About { version, url })
}

async fn serve(State(about): State<About>, request: Request) -> Response {
    let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match path.as_slice() {
        ["ping"] if reading => "pong".into_response(),
        ["info"] if reading => {
            let body =
                json!({ "version": about.version, "libVersion": about.version, "config": {} });
            answer(StatusCode::OK, &body)
        }
        ["leader"] if reading => {
            answer(StatusCode::OK, &json!({ "leader": crate::authority(&about.url) }))
        }
        ["v1", "jobs" | "queue"] if reading => answer(StatusCode::OK, &json!([])),
        ["v1", "jobs", id, ..] if reading || request.method() != Method::POST => answer(
            StatusCode::NOT_FOUND,
            &json!({ "message": format!("Job '{id}' does not exist") }),
        ),
        ["v1", "jobs", ..] | ["v0", "scheduled-jobs", ..] => {
            let message = "jobs are not available in this release";
            answer(StatusCode::NOT_IMPLEMENTED, &json!({ "message": message }))
        }
        _ => {
            let body = json!({ "message": "Unknown route.", "requestPath": request.uri().path() });
            answer(StatusCode::NOT_FOUND, &body)
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
