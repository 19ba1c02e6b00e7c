//! How failures become statuses and bodies.

use axum::response::Response;
use http::StatusCode;
use karman_api::marathon::v2::ErrorBody;

use crate::machine::Refusal;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("refused")]
    Refused(#[source] Refusal),
    #[error("Invalid JSON")]
    Json(String),
    #[error("the body is too large")]
    TooLarge,
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    NotFound(String),
    #[error("this method is not allowed here")]
    Method,
    #[error("{0}")]
    NotImplemented(&'static str),
    #[error("the orchestrator is stopping")]
    Stopping,
}

impl Error {
    pub(super) fn into_response(self) -> Response {
        let (status, body) = self.parts();
        super::json(status, &body)
    }

    fn parts(self) -> (StatusCode, ErrorBody) {
        let status = match &self {
            Self::Refused(refusal) => status_of(refusal),
            Self::Json(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = match self {
            Self::Refused(refusal) => body_of(refusal),
            Self::Json(details) => ErrorBody {
                message: "Invalid JSON".into(),
                details: Some(details.into()),
                ..ErrorBody::default()
            },
            error @ (Self::TooLarge
            | Self::BadRequest(_)
            | Self::NotFound(_)
            | Self::Method
            | Self::NotImplemented(_)
            | Self::Stopping) => message(error.to_string()),
        };
        (status, body)
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Invalid(invalid) => {
            StatusCode::from_u16(invalid.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Refusal::UnknownApp(_)
        | Refusal::UnknownVersion(..)
        | Refusal::UnknownDeployment(_)
        | Refusal::UnknownTask(_)
        | Refusal::NotQueued(_) => StatusCode::NOT_FOUND,
        Refusal::Exists(_) | Refusal::GroupExists(_) | Refusal::Locked { .. } => {
            StatusCode::CONFLICT
        }
        Refusal::BadRequest(_) => StatusCode::BAD_REQUEST,
    }
}

fn body_of(refusal: Refusal) -> ErrorBody {
    match refusal {
        Refusal::Invalid(invalid) => invalid.body(),
        Refusal::Locked { message, deployments } => {
            ErrorBody { message, details: None, deployments }
        }
        refusal @ (Refusal::UnknownApp(_)
        | Refusal::UnknownVersion(..)
        | Refusal::UnknownDeployment(_)
        | Refusal::UnknownTask(_)
        | Refusal::NotQueued(_)
        | Refusal::Exists(_)
        | Refusal::GroupExists(_)
        | Refusal::BadRequest(_)) => message(refusal.to_string()),
    }
}

fn message(message: String) -> ErrorBody {
    ErrorBody { message, ..ErrorBody::default() }
}
