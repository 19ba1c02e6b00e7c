//! `/karman/v1/images`: what is kept on this machine, for operators. Karman's
//! own, not the original's.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use karman_image::{
    Auth, Failed, Image, Listed, LoadError, Policy, Progress, Reference, RemoveError, Store,
    UploadError, auth, reference,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Shared;

/// Why an image was not brought, listed or removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("this agent runs no images: it is not root")]
    NoStore,
    #[error("that is no request: {0}")]
    Body(#[source] serde_json::Error),
    #[error(transparent)]
    Name(#[from] reference::Error),
    #[error(transparent)]
    Credentials(#[from] auth::Error),
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Upload(error) => error.into(),
            LoadError::Load(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoStore => StatusCode::NOT_IMPLEMENTED,
            Self::Body(_) | Self::Name(_) | Self::Credentials(_) => StatusCode::BAD_REQUEST,
            Self::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Upload(UploadError::Id { .. }) => StatusCode::BAD_REQUEST,
            Self::Upload(UploadError::Offset { .. })
            | Self::Remove(RemoveError::Held { .. } | RemoveError::Pinned) => StatusCode::CONFLICT,
            Self::Upload(UploadError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Remove(RemoveError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Self::Upload(UploadError::DiskFull { .. }) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Upload(UploadError::Disk(_)) | Self::Remove(RemoveError::Disk(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, format!("{}\n", karman_rt::chain(&self))).into_response()
    }
}

fn store(shared: &Shared) -> Result<&Store, Error> {
    shared.settings.images.as_ref().ok_or(Error::NoStore)
}

fn shown(listed: &Listed) -> Value {
    let Listed { digest, names, bytes, pulled_ms, used_ms, holders } = listed;
    json!({
        "digest": digest,
        "names": names,
        "bytes": bytes,
        "pulled_ms": pulled_ms,
        "used_ms": used_ms,
        "holders": holders,
    })
}

/// Of images that were just brought.
fn digests(images: &[Image]) -> Json<Value> {
    let digests: Vec<_> = images.iter().map(|image| &image.digest).collect();
    Json(json!({ "images": digests }))
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, Error> {
    let images: Vec<Value> = store(&shared)?.images().iter().map(shown).collect();
    Ok(Json(json!({ "images": images })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pull {
    name: String,
    /// Ask the registry although the name is known.
    #[serde(default)]
    fresh: bool,
    /// A docker config with credentials.
    config: Option<Box<RawValue>>,
}

/// Answers when the image is here.
pub(super) async fn pull(State(shared): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let Pull { name, fresh, config } = serde_json::from_slice(&body).map_err(Error::Body)?;
    let reference: Reference = name.parse()?;
    let auth = match config {
        Some(config) => Auth::from_docker_config(config.get().as_bytes())?,
        None => Auth::default(),
    };
    let policy = if fresh { Policy::Fresh } else { Policy::Cached };
    let (progress, _) = watch::channel(Progress::default());
    let image = store(&shared)?.pull(&reference, &auth, policy, progress).await?;
    Ok(digests(&[image]))
}

#[derive(Debug, Deserialize)]
pub(super) struct Piece {
    offset: u64,
}

/// One piece of an archive.
pub(super) async fn upload(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(Piece { offset }): Query<Piece>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let bytes = store(&shared)?.upload(&id, offset, body).await?;
    Ok(Json(json!({ "bytes": bytes })))
}

#[derive(Debug, Deserialize)]
pub(super) struct Name {
    name: Option<String>,
}

/// Loads an archive that was uploaded.
pub(super) async fn load(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(Name { name }): Query<Name>,
) -> Result<Json<Value>, Error> {
    let name = name.map(|name| name.parse::<Reference>()).transpose()?;
    let images = store(&shared)?.load_upload(&id, name.as_ref()).await?;
    Ok(digests(&images))
}

/// Without a name nothing is removed.
pub(super) async fn remove(
    State(shared): State<Shared>,
    Query(Name { name }): Query<Name>,
) -> Result<Json<Value>, Error> {
    let name = name.unwrap_or_default();
    let digest = store(&shared)?.remove(&name).await?;
    Ok(Json(json!({ "digest": digest })))
}
