//! `/maintenance/schedule`, `/maintenance/status`, `/machine/down` and `/machine/up`.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use karman_api::codec::from_json;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::change::carry_out;
use super::super::query::Query;
use super::super::render::registry;
use super::super::{Asked, Shared, answer};
use super::padded;
use crate::ledger::Command;

pub(in crate::http) async fn schedule(shared: &Shared, asked: &Asked) -> Response {
    if asked.is_read() {
        return padded(&json!(registry::schedule(&shared.view())), &asked.query);
    }
    if asked.method != Method::POST {
        return answer::not_allowed("GET, POST");
    }
    change(shared, asked, |schedule| Command::UpdateSchedule { schedule }).await
}

pub(in crate::http) fn status(shared: &Shared, query: &Query) -> Response {
    padded(&json!(shared.view().maintenance_status()), query)
}

pub(in crate::http) async fn down(shared: &Shared, asked: &Asked) -> Response {
    change(shared, asked, |machines| Command::StartMaintenance { machines }).await
}

pub(in crate::http) async fn up(shared: &Shared, asked: &Asked) -> Response {
    change(shared, asked, |machines| Command::StopMaintenance { machines }).await
}

async fn change<T: DeserializeOwned>(
    shared: &Shared,
    asked: &Asked,
    command: impl FnOnce(T) -> Command,
) -> Response {
    let wanted = match from_json(&asked.body) {
        Ok(wanted) => wanted,
        Err(error) => {
            let message = format!("Failed to parse the body as JSON: {error}");
            return answer::text(StatusCode::BAD_REQUEST, message);
        }
    };
    if let Err(response) = shared.throttle.pass(asked.principal.as_deref()).await {
        return *response;
    }
    carry_out(shared, command(wanted), StatusCode::OK).await
}
