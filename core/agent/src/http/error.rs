//! What callers are told when something cannot be answered.

use std::io;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::files;

/// A refused request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Expecting 'path=value' in query.")]
    NoPath,
    #[error("Invalid {what}: {problem}.")]
    Invalid { what: &'static str, problem: String },
    #[error(transparent)]
    Files(#[from] files::Error),
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoPath
            | Self::Invalid { .. }
            | Self::Files(files::Error::NotAFolder | files::Error::NotAFile) => {
                StatusCode::BAD_REQUEST
            }
            Self::Files(files::Error::NotFound) => StatusCode::NOT_FOUND,
            Self::Files(files::Error::Outside) => StatusCode::FORBIDDEN,
            Self::Files(files::Error::Io(_)) | Self::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, format!("{self}\n")).into_response()
    }
}
