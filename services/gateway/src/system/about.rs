//! Versions and names, in the forms that DC/OS clients ask for.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::answer;

/// The DC/OS release whose interfaces are offered. Its clients refuse to talk
/// to a version that they do not know.
const DCOS_VERSION: &str = "2.2.0";

#[derive(Clone, Debug)]
pub(crate) struct About {
    pub cluster_id: String,
    pub version: &'static str,
    /// The address at which this gateway is reached, as far as it knows.
    pub ip: String,
}

/// `/dcos-metadata/dcos-version.json`; what is ours has names of ours.
pub(crate) fn version(about: &About) -> Response {
    let value = json!({
        "version": DCOS_VERSION,
        "dcos-variant": "open",
        "dcos-image-commit": about.version,
        "bootstrap-id": about.version,
        "karman-version": about.version,
    });
    answer::json(StatusCode::OK, &value)
}

pub(crate) fn ui_config(about: &About) -> Response {
    let value = json!({
        "uiConfiguration": { "plugins": {} },
        "clusterConfiguration": { "id": about.cluster_id, "firstUser": false },
    });
    answer::json(StatusCode::OK, &value)
}

pub(crate) fn metadata(about: &About) -> Response {
    answer::json(
        StatusCode::OK,
        &json!({ "PUBLIC_IPV4": about.ip, "CLUSTER_ID": about.cluster_id }),
    )
}

/// `/pkgpanda/active.buildinfo.full.json`. DC/OS lists its packages here;
/// Karman is one, and clients ask only whether they need to sign in.
pub(crate) fn build_info(about: &About) -> Response {
    answer::json(StatusCode::OK, &json!({ "karman": { "version": about.version } }))
}
