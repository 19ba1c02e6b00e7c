//! The frame around every page.

use crate::assets;
use crate::pages::App;
use crate::view::Snapshot;

/// What the frame shows.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub title: String,
    /// Which entry of the navigation is current.
    pub section: &'static str,
    pub cluster: String,
    pub version: &'static str,
    pub auth: bool,
    /// Running deployments, as the badge of the navigation.
    pub badge: String,
    pub files: Files,
}

/// The URLs of the files that a page loads.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub css: String,
    pub script: String,
    pub htmx: String,
    pub sse: String,
    pub icon: String,
    pub licenses: String,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            css: assets::CSS.url(),
            script: assets::SCRIPT.url(),
            htmx: assets::HTMX.url(),
            sse: assets::SSE.url(),
            icon: assets::ICON.url(),
            licenses: assets::LICENSES.url(),
        }
    }
}

impl Layout {
    pub(crate) fn new(
        app: &App,
        snapshot: &Snapshot,
        section: &'static str,
        title: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            section,
            cluster: app.config.cluster_name.clone(),
            version: app.config.version,
            auth: app.config.auth,
            badge: badge(snapshot.deployments.len(), ""),
            files: Files::new(),
        }
    }
}

/// The number of running deployments beside "Services".
fn badge(deployments: usize, replaces: &str) -> String {
    if deployments == 0 {
        return format!(r#"<span id="nav-deployments"{replaces}></span>"#);
    }
    let noun = if deployments == 1 { "deployment" } else { "deployments" };
    let title = format!("{deployments} running {noun}");
    format!(
        r#"<span id="nav-deployments" class="count" title="{title}"{replaces}>{deployments}<span class="hidden"> running {noun}</span></span>"#
    )
}

/// The same, sent with a live region: it replaces the one in the navigation.
pub(crate) fn live_badge(deployments: usize) -> String {
    badge(deployments, r#" hx-swap-oob="true""#)
}
