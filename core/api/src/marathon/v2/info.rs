//! `GET /v2/info` and `GET /v2/leader`.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The three objects must be there even when empty: clients read into them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    pub name: String,
    pub version: String,
    pub buildref: String,
    pub elected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    #[serde(default, rename = "frameworkId", skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<String>,
    pub marathon_config: Map<String, Value>,
    pub zookeeper_config: Map<String, Value>,
    pub http_config: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// `host:port`.
    pub leader: String,
}
