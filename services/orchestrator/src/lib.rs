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
mod standby;
pub mod view;

use std::sync::Arc;

use karman_api::client::scheduler::Client;
use karman_api::credentials::Credentials;
use karman_model::time::Timestamp;
use karman_rt::Tasks;
use karman_rt::http::{Doors, Leader, Reach};
use karman_store::{Replica, Store};
use tokio::sync::{mpsc, watch};

pub use error::StartError;

use board::Board;

use hub::Hub;
use link::{Identity, Masters};
use machine::Core;
use run::{COMMANDS_MAX, Loop};
use standby::Routers;

/// The name under which one orchestrator of a datacenter leads.
pub const LEADERSHIP: &str = "orchestrator";

/// What an orchestrator needs to run.
#[derive(Debug)]
pub struct Config {
    pub marathon: Doors,
    pub metronome: Doors,
    /// Where other machines find the two.
    pub urls: Urls,
    /// Base URLs of masters, such as `http://127.0.0.1:5050`, at least one; any
    /// knows the leader.
    pub masters: Vec<String>,
    /// The leading master, where it is known without asking.
    pub leader: Option<Leader>,
    pub reach: Reach,
    pub store: Arc<dyn Store>,
    pub hostname: String,
    /// Whom tasks run as that name nobody.
    pub user: String,
    /// Also the principal of the framework.
    pub framework_name: String,
    /// For a master that asks; the principal must be the framework's.
    pub credentials: Option<Credentials>,
    pub version: &'static str,
}

/// The base URLs of an orchestrator's doors, as other machines reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    pub marathon: String,
    pub metronome: String,
}

impl Urls {
    /// What everybody can read of a leader, for [`Urls::of`].
    fn holder(&self) -> String {
        format!("{} {}", self.marathon, self.metronome)
    }

    /// From what a leader says of itself.
    pub fn of(holder: &str) -> Option<Self> {
        let (marathon, metronome) = holder.split_once(' ')?;
        Some(Self { marathon: marathon.to_owned(), metronome: metronome.to_owned() })
    }
}

/// Host and port of a base URL.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, authority)| authority)
}

/// Starts the orchestrator; returns once it leads and is subscribed. Until then
/// it follows the one that leads, and says who that is.
///
/// # Errors
/// When its state cannot be read or the process stops before a master accepts
/// the subscription.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let Config {
        marathon,
        metronome,
        urls,
        masters,
        leader: leading_master,
        reach,
        store,
        hostname,
        user,
        framework_name,
        credentials,
        version,
    } = config;
    let client = Client::new(karman_api::client::http(reach.tls)?).with_credentials(credentials);
    let (routers, leader) = (Routers::default(), store.leader(LEADERSHIP));
    let door = routers.door(|(marathon, _)| marathon, leader.clone());
    karman_rt::http::serve("marathon", marathon, door, tasks);
    let door = routers.door(|(_, metronome)| metronome, leader);
    karman_rt::http::serve("metronome", metronome, door, tasks);

    let replica = Replica::follow(Arc::clone(&store), record::PREFIX, tasks);
    let door = |holder: &str| Some(Urls::of(holder)?.marathon);
    let leadership = karman_store::campaign(&*store, LEADERSHIP, &urls.holder(), door).await?;
    let mut core = Core::new(seed());
    let entries = replica.caught_up(&leadership.fence).await?;
    core.restore(Timestamp(karman_rt::time::now_ms()), &entries)?;
    drop((replica, entries));

    let identity = Identity {
        name: framework_name.clone(),
        user,
        hostname: hostname.clone(),
        webui_url: urls.marathon.clone(),
    };
    let framework_id = core.framework_id().map(str::to_owned);
    let link =
        link::spawn(client, Masters::new(masters, leading_master), identity, framework_id, tasks);

    let (commands, requests) = mpsc::channel(COMMANDS_MAX);
    let (ready, mut is_ready) = watch::channel(false);
    let (board, hub) = (Board::default(), Hub::new(karman_rt::time::now_ms()));
    let metronome = metronome::router(version, urls.metronome);
    let about = http::About { name: framework_name, hostname, url: urls.marathon, version };
    routers.open(http::router(about, commands, board.clone(), hub.clone()), metronome);
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
