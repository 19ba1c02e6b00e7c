//! The front door: identity, routing, system APIs, dashboard.

mod answer;
mod cluster;
mod front;
pub mod identity;
pub mod policy;
mod proxy;
pub mod route;
mod system;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
pub use karman_api::credentials::Credentials;
use karman_rt::Tasks;
use karman_rt::http::{Doors, Reach};
use karman_store::Store;
use tokio::net::TcpListener;

use crate::cluster::Cluster;
use crate::front::{Front, Urls};
use crate::identity::Identity;
use crate::proxy::Proxy;
use crate::system::About;

/// Under which name gateways campaign to be the one that writes users.
pub const LEADERSHIP: &str = "gateway";

/// What the gateway needs to know. URLs are bases without a slash at the end.
#[derive(Debug)]
pub struct Config {
    pub http: Doors,
    /// Where everybody is sent to the first of `http`, which speaks TLS.
    pub redirect: Option<TcpListener>,
    pub reach: Reach,
    /// What other machines know this one by.
    pub ip: IpAddr,
    /// Where this gateway takes changes of users from other gateways.
    pub holder: String,
    /// The gateway that leads, for such changes.
    pub writer: String,
    pub master: String,
    /// For a master that asks: what callers get who show none of their own.
    pub credentials: Option<Credentials>,
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
    #[error("sign-in cannot be set up")]
    Identity(#[from] identity::OpenError),
    #[error("the gateway's own address cannot be read")]
    Address(#[source] std::io::Error),
}

/// Serves until `tasks` stop; returns once requests are answered.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let Config {
        http,
        redirect,
        reach,
        ip,
        holder,
        writer,
        master,
        credentials,
        marathon,
        metronome,
        catalog,
        dns_http,
        cluster_id,
        cluster_name,
        auth,
        store,
        version,
    } = config;
    let address = http.local_addr().map_err(StartError::Address)?;
    let identity = match auth {
        Auth::Off => None,
        Auth::Local(superuser) => Some(Identity::open(store, &holder, &superuser, tasks).await?),
    };
    let auth = identity.is_some();
    let dashboard = karman_dashboard::Config {
        master: master.clone(),
        credentials: credentials.clone(),
        marathon: marathon.clone(),
        reach: reach.clone(),
        cluster_name,
        version,
        auth,
    };
    let ip = ip.to_string();
    let front = Arc::new(Front {
        cluster: Cluster::new(
            master.clone(),
            credentials.as_ref(),
            marathon.clone(),
            reach.clone(),
        ),
        credentials,
        urls: Urls { master, marathon, metronome, catalog, dns_http, writer },
        about: About { cluster_id, version, ip },
        proxy: Proxy::new(reach),
        identity,
        dashboard: karman_dashboard::router(dashboard, tasks),
    });
    let router =
        Router::new().fallback(move |request: Request| front::handle(Arc::clone(&front), request));
    karman_rt::http::serve_to_pass_on("gateway", http, router, tasks);
    if let Some(listener) = redirect {
        karman_rt::http::serve("redirect", listener, front::to_tls(address.port()), tasks);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
