//! Errors as the clients of Cosmos read them: `{type, message, data}`, and
//! status 400 for nearly everything.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::exchange::answer;
use crate::media::MediaType;
use crate::resolve;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request is not understood")]
    Request { mistakes: Vec<Mistake> },
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Accept,
    ContentType,
    Body,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Missing { item: Item },
    Unreadable { item: Item, reason: String },
    Unsuitable { item: Item, specified: Vec<String>, available: Vec<String> },
}

impl Item {
    fn name(self) -> &'static str {
        match self {
            Self::Accept => "header 'Accept'",
            Self::ContentType => "header 'Content-Type'",
            Self::Body => "body",
        }
    }

    fn data(self) -> Value {
        match self {
            Self::Accept => json!({ "type": "header", "name": "Accept" }),
            Self::ContentType => json!({ "type": "header", "name": "Content-Type" }),
            Self::Body => json!({ "type": "body" }),
        }
    }
}

impl Mistake {
    fn body(&self) -> Value {
        match self {
            Self::Missing { item } => json!({
                "type": "not_present",
                "message": format!("Item '{}' not present but required", item.name()),
            }),
            Self::Unreadable { item, reason } => json!({
                "type": "not_parsed",
                "message": format!("Item '{}' unable to be parsed : '{reason}'", item.name()),
            }),
            Self::Unsuitable { item, specified, available } => json!({
                "type": "not_valid",
                "message": format!(
                    "Item '{}' deemed invalid by rule: 'should match one of: {}'", item.name(), available.join(", ")
                ),
                "data": { "invalidItem": item.data(), "specified": specified, "available": available },
            }),
        }
    }
}

impl Error {
    fn body(&self) -> Value {
        match self {
            Self::Request { mistakes } => match mistakes.as_slice() {
                [mistake] => mistake.body(),
                mistakes => json!({
                    "type": "multiple_errors",
                    "message": "Multiple errors while processing request",
                    "data": { "errors": mistakes.iter().map(Mistake::body).collect::<Vec<_>>() },
                }),
            },
            Self::Resolve(error) => {
                let (kind, data) = match error {
                    resolve::Error::Package { name } => {
                        ("PackageNotFound", json!({ "packageName": name }))
                    }
                    resolve::Error::Version { name, version } => (
                        "VersionNotFound",
                        json!({ "packageName": name, "packageVersion": version }),
                    ),
                };
                json!({ "type": kind, "message": error.to_string(), "data": data })
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = answer(&MediaType::dcos("package.error", 1), &self.body());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }
}
