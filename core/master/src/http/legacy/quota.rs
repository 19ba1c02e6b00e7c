//! `/quota`: GET reads, POST sets where there is none, DELETE removes.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use karman_api::codec::from_json;
use serde_json::json;

use super::super::change::carry_out;
use super::super::render::registry;
use super::super::{Asked, Shared, answer};
use super::padded;
use crate::ledger::Command;

pub(in crate::http) async fn handle(shared: &Shared, asked: &Asked) -> Response {
    if asked.is_read() {
        return padded(&json!(registry::quota(&shared.view())), &asked.query);
    }
    let command = match asked.method {
        Method::POST => match from_json(&asked.body) {
            Ok(request) => Command::SetQuota { request: Box::new(request) },
            Err(error) => {
                let message = format!("Failed to parse set quota request JSON: {error}");
                return answer::text(StatusCode::BAD_REQUEST, message);
            }
        },
        Method::DELETE => match role(&asked.path) {
            Some(role) => Command::RemoveQuota { role: role.to_owned() },
            None => {
                let message = "Failed to parse remove quota request: expecting '/quota/<role>'";
                return answer::text(StatusCode::BAD_REQUEST, message);
            }
        },
        _ => return answer::not_allowed("GET, POST, DELETE"),
    };
    if let Err(response) = shared.throttle.pass(asked.principal.as_deref()).await {
        return *response;
    }
    carry_out(shared, command, StatusCode::OK).await
}

/// What follows `/quota/`; roles may have slashes.
fn role(path: &str) -> Option<&str> {
    let (_, role) = path.split_once("quota/")?;
    let role = role.trim_end_matches('/');
    (!role.is_empty()).then_some(role)
}
