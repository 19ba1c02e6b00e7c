//! The doors of an orchestrator that does not lead yet: they say who does.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use karman_store::Leader;
use serde_json::json;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::Urls;

/// What is served once this orchestrator leads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routers(Arc<OnceLock<(Router, Router)>>);

impl Routers {
    /// The Marathon API and the Metronome API, from now on.
    pub(crate) fn open(&self, marathon: Router, metronome: Router) {
        // An orchestrator comes to lead once in its life.
        let _again = self.0.set((marathon, metronome));
    }

    /// Serves what is open, and until then says who leads.
    pub(crate) fn door(
        &self,
        pick: fn(&(Router, Router)) -> &Router,
        leader: watch::Receiver<Option<Leader>>,
    ) -> Router {
        let routers = self.clone();
        Router::new().fallback(move |request: Request| {
            let open = routers.0.get().map(|routers| pick(routers).clone());
            let leader = leader.clone();
            async move {
                match open {
                    Some(router) => {
                        router.oneshot(request).await.unwrap_or_else(|never| match never {})
                    }
                    None => standing_by(&request, leader.borrow().as_ref()),
                }
            }
        })
    }
}

fn standing_by(request: &Request, leader: Option<&Leader>) -> Response {
    if request.uri().path() == "/ping" {
        return "pong".into_response();
    }
    let urls = leader.and_then(|leader| Urls::of(&leader.holder));
    let message = match &urls {
        Some(Urls { marathon, .. }) => format!(
            "this orchestrator stands by; the one that leads is at {marathon}, and any gateway leads there"
        ),
        None => "this orchestrator stands by, and none leads; try again".to_owned(),
    };
    let body = axum::Json(json!({ "message": message }));
    let retry = [(header::RETRY_AFTER, HeaderValue::from(1))];
    (StatusCode::SERVICE_UNAVAILABLE, retry, body).into_response()
}
