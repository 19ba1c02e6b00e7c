//! The files that pages load. Their URLs carry a hash of their content, so
//! browsers keep them for ever and never see an old one.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

pub(crate) struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    hash: u64,
}

macro_rules! asset {
    ($file:literal, $media_type:literal) => {
        Asset {
            name: $file,
            media_type: $media_type,
            content: include_bytes!(concat!("../assets/", $file)),
            hash: fnv(include_bytes!(concat!("../assets/", $file))),
        }
    };
}

pub(crate) const CSS: Asset = asset!("karman.css", "text/css; charset=utf-8");
pub(crate) const SCRIPT: Asset = asset!("karman.js", "text/javascript; charset=utf-8");
pub(crate) const HTMX: Asset = asset!("htmx-2.0.11.min.js", "text/javascript; charset=utf-8");
pub(crate) const SSE: Asset = asset!("htmx-ext-sse-2.2.4.min.js", "text/javascript; charset=utf-8");
pub(crate) const ICON: Asset = asset!("icon.svg", "image/svg+xml");
pub(crate) const LICENSES: Asset = asset!("LICENSES.txt", "text/plain; charset=utf-8");

const ALL: &[Asset] = &[CSS, SCRIPT, HTMX, SSE, ICON, LICENSES];

impl Asset {
    pub(crate) fn url(&self) -> String {
        format!("/ui/assets/{:016x}/{}", self.hash, self.name)
    }
}

/// Serves `/ui/assets/{hash}/{name}`. A hash of another release gets the file
/// of this one, which must not be kept under that name.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let current = format!("{:016x}", asset.hash) == hash;
    let cache = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.content).into_response()
}

/// FNV-1a: enough to tell releases apart.
pub(crate) const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash ^= bytes[at] as u64;
        hash = hash.wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
