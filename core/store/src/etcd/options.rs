//! How etcd is reached.

use std::fmt;
use std::time::Duration;

use karman_rt::tls::{Files, Pem, Unreadable};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};

/// Until a connection is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Pings tell a dead peer. etcd hangs up on who pings more often than every five
/// seconds; what must be known sooner is found out by requests.
const PING_EVERY: Duration = Duration::from_secs(7);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// What may be under way unread in one answer, and in all: loads are large.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Where etcd is and how its store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its members, as `https://10.0.0.1:2379` or `10.0.0.1:2379`; the first is
    /// tried first.
    pub endpoints: Vec<String>,
    /// Read for each connection, so that they may be renewed.
    pub tls: Option<Files>,
    /// Everything lies under this key.
    pub prefix: String,
    /// How long a leader that is silent is waited for. etcd knows whole seconds,
    /// and not less than one and a half of its election timeouts.
    pub lease_ttl: Duration,
}

impl Options {
    pub fn new(endpoints: Vec<String>) -> Self {
        let (prefix, lease_ttl) = ("/karman".to_owned(), Duration::from_secs(2));
        Self { endpoints, tls: None, prefix, lease_ttl }
    }
}

/// The store cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no etcd endpoint is configured; name at least one, such as https://10.0.0.1:2379")]
    NoEndpoints,
    #[error("etcd endpoint '{endpoint}' is not a URL such as https://10.0.0.1:2379: {rule}")]
    Endpoint { endpoint: String, rule: &'static str },
    #[error("the prefix '{prefix}' is not an absolute path such as /karman")]
    Prefix { prefix: String },
    #[error(transparent)]
    File(#[from] Unreadable),
    #[error(
        "the certificates for etcd cannot be used; check that ca, certificate and key are PEM and belong together"
    )]
    Tls(#[source] tonic::transport::Error),
}

/// One member of etcd.
#[derive(Clone)]
pub(super) struct Member {
    uri: Uri,
    tls: Option<Files>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri)
    }
}

impl Member {
    pub(super) fn all(options: &Options) -> Result<Vec<Self>, OpenError> {
        if options.endpoints.is_empty() {
            return Err(OpenError::NoEndpoints);
        }
        let member = |endpoint: &String| {
            let uri = uri(endpoint, options.tls.is_some())?;
            let member = Self { uri, tls: options.tls.clone() };
            member.endpoint()?;
            Ok(member)
        };
        options.endpoints.iter().map(member).collect()
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, OpenError> {
        let endpoint = Endpoint::from(self.uri.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let Some(files) = &self.tls else { return Ok(endpoint) };
        let Pem { ca, certificate, key } = files.read()?;
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let tls = ClientTlsConfig::new()
            .domain_name(host)
            .ca_certificate(Certificate::from_pem(ca))
            .identity(Identity::from_pem(certificate, key));
        endpoint.tls_config(tls).map_err(OpenError::Tls)
    }
}

fn uri(endpoint: &str, tls: bool) -> Result<Uri, OpenError> {
    let bad = |rule| OpenError::Endpoint { endpoint: endpoint.to_owned(), rule };
    let scheme = if tls { "https" } else { "http" };
    let full = match endpoint.split_once("://") {
        Some((given, _)) if given == scheme => endpoint.to_owned(),
        Some(("https", _)) => return Err(bad("https needs certificates")),
        Some(("http", _)) => return Err(bad("with certificates it is https")),
        Some(_) => return Err(bad("it begins with http:// or https://")),
        None => format!("{scheme}://{endpoint}"),
    };
    let uri: Uri = full.parse().map_err(|_invalid| bad("it cannot be parsed"))?;
    if uri.host().is_none_or(str::is_empty) || uri.port().is_none() {
        return Err(bad("it names a host and a port"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad("it has no path"));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests;
