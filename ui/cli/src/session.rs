//! What every command that talks to a cluster has at hand.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::Value;

use crate::args::Global;
use crate::choose;
use crate::failure::Failure;
use crate::http::{Call, Client};

const MARATHON: &str = "/service/marathon";

#[derive(Clone, Debug)]
pub struct Session {
    pub client: Client,
    pub json: bool,
}

impl Session {
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        Ok(Self { client: choose::client(global).await?, json: global.json })
    }

    pub fn marathon(method: Method, path: &str) -> Call<'static> {
        Call::new(method, format!("{MARATHON}{path}"))
    }

    pub async fn get_marathon(&self, path: &str) -> Result<Value, Failure> {
        self.client.json(Self::marathon(Method::GET, path)).await
    }
}

/// The moment, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A word as one segment of a path.
pub fn segment(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An app id as a path: `/group/web` and `group/web` both give `group/web`.
pub fn id_path(id: &str) -> String {
    id.split('/').filter(|part| !part.is_empty()).map(segment).collect::<Vec<_>>().join("/")
}

/// An app id as servers write it.
pub fn absolute(id: &str) -> String {
    format!("/{}", id.trim_matches('/'))
}
