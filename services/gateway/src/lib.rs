//! The front door: identity, routing, system APIs, dashboard.

use std::fmt;
use std::sync::Arc;

use karman_rt::Tasks;
use karman_store::Store;
use tokio::net::TcpListener;

/// What the gateway needs to know. URLs are bases without a slash at the end.
#[derive(Debug)]
pub struct Config {
    pub http: TcpListener,
    pub master: String,
    pub marathon: String,
    pub metronome: String,
    pub catalog: String,
    /// The Mesos-DNS HTTP interface.
    pub dns_http: String,
    pub cluster_id: String,
    pub cluster_name: String,
    pub auth: Auth,
    pub store: Arc<dyn Store>,
    pub version: &'static str,
}

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Everybody who can reach the port.
    #[default]
    Off,
    /// Users with a password in the store.
    Local(Superuser),
}

/// The user that exists from the start. Its password is set only when the
/// user is not in the store yet.
#[derive(Clone, Debug)]
pub struct Superuser {
    pub uid: String,
    pub password: Password,
}

/// A password in the configuration.
#[derive(Clone)]
pub enum Password {
    Plain(String),
    /// An argon2 hash in PHC form (`$argon2id$v=19$…`).
    Hash(String),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read or write the users in the store")]
    Store(#[from] karman_store::Error),
}

/// Serves until `tasks` stop; returns once requests are answered.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let auth = matches!(config.auth, Auth::Local(_));
    let dashboard = karman_dashboard::router(
        karman_dashboard::Config {
            master: config.master,
            marathon: config.marathon,
            cluster_name: config.cluster_name,
            version: config.version,
            auth,
        },
        tasks,
    );
    karman_rt::http::serve("gateway", config.http, dashboard, tasks);
    Ok(())
}
