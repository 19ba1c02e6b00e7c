//! Services, pods, jobs and cron, in one scheduler.
//!
//! A framework like any other: it reaches the core through the public scheduler
//! API alone. It keeps apps, their instances and running deployments in the
//! store, and serves the Marathon API.

pub mod backoff;
mod board;

mod error;
mod http;
mod hub;
pub mod instance;
pub mod launch;
mod link;
pub mod machine;
pub mod matcher;
mod metronome;
pub mod plan;
mod record;
mod run;
pub mod view;

use std::sync::Arc;

use karman_api::client::scheduler::Client;
use karman_api::credentials::Credentials;
use karman_model::time::Timestamp;
use karman_rt::Tasks;
use karman_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub use error::StartError;

use board::Board;

use hub::Hub;
use link::Identity;
use machine::Core;
use run::{COMMANDS_MAX, Loop};

/// The name under which one orchestrator of a datacenter leads.
const LEADERSHIP: &str = "orchestrator";

/// What an orchestrator needs to run.
#[derive(Debug)]
pub struct Config {
    pub marathon: TcpListener,
    pub metronome: TcpListener,
    /// Base URL of a master, such as `http://127.0.0.1:5050`.
    pub master: String,
    pub store: Arc<dyn Store>,
    pub hostname: String,
    /// Also the principal of the framework.
    pub framework_name: String,
    /// For a master that asks; the principal must be the framework's.
    pub credentials: Option<Credentials>,
    pub version: &'static str,
}

/// Starts the orchestrator; returns once it is subscribed.
///
/// # Errors
/// When its state cannot be read or the process stops before a master accepts
/// the subscription.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let address = config.marathon.local_addr().map_err(StartError::Listener)?;
    let holder = format!("http://{address}");
    let leadership = config.store.campaign(LEADERSHIP, &holder).await?;
    let loaded = config.store.load(record::PREFIX).await?;
    let mut core = Core::new(seed());
    core.restore(Timestamp(karman_rt::time::now_ms()), &loaded.entries)?;

    let identity = Identity {
        name: config.framework_name.clone(),
        user: std::env::var("USER").unwrap_or_else(|_| "root".into()),
        hostname: config.hostname.clone(),
        webui_url: holder,
    };
    let framework_id = core.framework_id().map(str::to_owned);
    let client = Client::new()?.with_credentials(config.credentials);
    let link = link::spawn(client, config.master, identity, framework_id, tasks);

    let (commands, requests) = mpsc::channel(COMMANDS_MAX);
    let (ready, mut is_ready) = watch::channel(false);
    let (board, hub) = (Board::default(), Hub::new(karman_rt::time::now_ms()));
    let about = http::About {
        name: config.framework_name,
        hostname: config.hostname,
        address,
        version: config.version,
    };
    karman_rt::http::serve(
        "marathon",
        config.marathon,
        http::router(about, commands, board.clone(), hub.clone()),
        tasks,
    );
    karman_rt::http::serve(
        "metronome",
        config.metronome,
        metronome::router(config.version, address),
        tasks,
    );
    let store = config.store;
    let machine =
        Loop { core, store, leadership, link, requests, board, hub, ready, subscription: 0 };
    tasks.spawn_critical("orchestrator", machine.run());
    tokio::select! {
        subscribed = is_ready.wait_for(|ready| *ready) => subscribed.map(drop).map_err(|_| StartError::Stopped),
        () = tasks.cancelled() => Err(StartError::Stopped),
    }
}

/// Ids must differ from those of every earlier run.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 ^ karman_rt::time::now_ms()
}

#[cfg(test)]
mod tests;
