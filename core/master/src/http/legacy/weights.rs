//! `/weights`: GET reads those that are not 1, PUT changes some.

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
        return padded(&json!(registry::weights(&shared.view())), &asked.query);
    }
    if asked.method != Method::PUT {
        return answer::not_allowed("GET, PUT");
    }
    let weights = match from_json(&asked.body) {
        Ok(weights) => weights,
        Err(error) => {
            let message = format!("Failed to parse update weights request JSON: {error}");
            return answer::text(StatusCode::BAD_REQUEST, message);
        }
    };
    if let Err(response) = shared.throttle.pass(asked.principal.as_deref()).await {
        return *response;
    }
    carry_out(shared, Command::UpdateWeights { weights }, StatusCode::OK).await
}
