//! Typed clients of the APIs.

pub mod discovery;
pub mod scheduler;

use std::sync::Arc;
use std::time::Duration;

/// Connecting takes milliseconds; a master that does not answer is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How HTTP is spoken with masters: with `tls` for URLs that begin with `https`.
///
/// # Errors
/// When the TLS set-up of the process is unusable.
pub fn http(tls: Option<Arc<rustls::ClientConfig>>) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .no_proxy();
    if let Some(tls) = tls {
        builder = builder.tls_backend_preconfigured(Arc::unwrap_or_clone(tls));
    }
    builder.build()
}
