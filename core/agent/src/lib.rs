//! Runs containers on one machine.
//!
//! The agent dials in to the leading master, is told what to launch and kill,
//! and reports what became of it. Every task runs under its own shim process,
//! so that restarting the agent touches no task: what must be remembered lies
//! in checkpoints on disk and in the shims themselves.
//!
//! It knows nothing of services; it never decides where a task runs.

pub mod admit;
pub mod attach;
pub mod checks;
mod core;
mod disk;
mod domain;
pub mod drain;
mod driver;
pub mod executors;
mod files;
mod gc;
mod http;
pub mod lifecycle;
mod machine;
mod meta;
pub mod nested;
mod probe;
pub mod recover;
mod session;
mod settings;
pub mod shim;
pub mod stock;
pub mod updates;
mod view;
mod volume_folders;
pub mod volumes;

pub use karman_container::{cgroup, process};

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use karman_image::{Fetcher, Pressure, Store, fetch};
use karman_model::attribute::Attributes;
use karman_model::resource::Resources;
use karman_rt::Tasks;
use karman_rt::http::Doors;
use karman_rt::tls::Files;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::cgroup::Hierarchy;
pub use crate::domain::{Error as DomainError, FaultDomain};
pub use crate::executors::Patience;

use crate::core::{Core, Membership, Outputs, Restored};
use crate::settings::Settings;

/// What an agent needs to know about itself.
#[derive(Debug)]
pub struct Config {
    /// Checkpoints and sandboxes; one agent per folder.
    pub work_dir: PathBuf,
    pub hostname: String,
    pub ip: IpAddr,
    pub http: Doors,
    /// Session URLs of the masters, tried in turn.
    pub masters: Vec<String>,
    /// What the agent shows to masters, and who they must be.
    pub tls: Option<Files>,
    /// `cpus:4;mem:1024;…` or a JSON list; detected where absent.
    pub resources: Option<String>,
    /// `rack:r1;zone:a`.
    pub attributes: Option<String>,
    /// Where the machine stands; `None` is not known.
    pub domain: Option<FaultDomain>,
    /// What of the machine tasks must not see, besides `work_dir`.
    pub hidden: Vec<PathBuf>,
    /// The program that is run as `<shim> shim <run dir>` for each task.
    pub shim: PathBuf,
    /// How long executors may take to speak.
    pub executors: Patience,
    pub version: &'static str,
}

/// The agent is registered with a master, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Absent while its machine is down for maintenance.
    pub agent_id: Option<String>,
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the work folder {}; choose another or make it writable", path.display())]
    WorkDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the agent's HTTP listener")]
    Listener(#[source] io::Error),
    #[error("resources '{text}' are not valid: {problem}")]
    Resources { text: String, problem: String },
    #[error("attributes '{text}' are not valid: {problem}")]
    Attributes { text: String, problem: String },
    #[error("cannot read the boot id of this machine")]
    Machine {
        #[source]
        source: io::Error,
    },
    #[error("images cannot be kept on this machine")]
    Images(#[from] karman_image::OpenError),
    #[error("no master is configured")]
    NoMaster,
    #[error("the master refused this agent: {reason}")]
    Rejected { reason: String },
    #[error("stopped before the agent was registered")]
    Stopped,
}

/// Starts the agent and returns once it is registered.
pub async fn start(config: Config, tasks: &Tasks) -> Result<Started, StartError> {
    let Config {
        work_dir,
        hostname,
        ip,
        http,
        masters,
        tls,
        resources,
        attributes,
        domain,
        hidden,
        shim,
        executors,
        version,
    } = config;
    if masters.is_empty() {
        return Err(StartError::NoMaster);
    }
    let door = http.local_addr().map_err(StartError::Listener)?;
    let in_work_dir = |source| StartError::WorkDir { path: work_dir.clone(), source };
    std::fs::create_dir_all(work_dir.join("meta/slaves")).map_err(in_work_dir)?;
    let work_dir = work_dir.canonicalize().map_err(in_work_dir)?;
    // What tasks fetch and want kept; nobody else looks inside.
    let fetcher = Fetcher::open(&work_dir.join("fetch"), fetch::Settings::default())
        .map_err(|source| StartError::WorkDir { path: work_dir.join("fetch"), source })?;
    let root = rustix::process::geteuid().is_root();
    let settings = Settings {
        fetcher,
        resources: resources_of(resources, &work_dir)?,
        attributes: attributes_of(attributes)?,
        domain,
        hostname,
        ip,
        port: door.port(),
        door,
        shim,
        executors,
        version,
        boot_id: machine::boot_id().map_err(|source| StartError::Machine { source })?,
        hierarchy: hierarchy(),
        root,
        hidden: hidden.into_iter().chain([work_dir.clone()]).collect(),
        images: root.then(|| images(&work_dir)).transpose()?,
        path: Settings::path_of_agent(),
        started_ms: karman_rt::time::now_ms(),
        work_dir,
    };
    let settings = Arc::new(settings);
    let read = Arc::clone(&settings);
    let restored = driver::blocking(move || Restored::load(&read)).await;
    let restored = restored
        .map_err(|source| StartError::WorkDir { path: settings.work_dir.clone(), source })?;
    spawn(settings, restored, Wires { masters, tls, http }, tasks).await
}

/// What leads out of the agent.
struct Wires {
    masters: Vec<String>,
    tls: Option<Files>,
    http: Doors,
}

/// Starts the parts and waits until a master has answered.
async fn spawn(
    settings: Arc<Settings>,
    restored: Restored,
    Wires { masters, tls, http }: Wires,
    tasks: &Tasks,
) -> Result<Started, StartError> {
    let (events, inbox) = mpsc::channel(core::EVENTS_MAX);
    let (membership, mut member) = watch::channel(Membership::None);
    let (snapshot, snapshots) = watch::channel(Arc::default());
    let outputs = Outputs { events: events.clone(), membership, snapshot };
    let core = Core::new(Arc::clone(&settings), outputs, restored, tasks);
    tasks.spawn("agent", core.run(inbox));
    let http::Routers { all, streams } =
        http::routers(Arc::clone(&settings), snapshots.clone(), events.clone(), tasks.clone());
    karman_rt::http::serve_with_streams("agent", http, all, streams, tasks);
    if let Some(images) = settings.images.clone() {
        tasks.spawn("images", async move { images.tend(Pressure::default()).await });
    }
    tasks.spawn("sandboxes", gc::run(settings, snapshots));
    tasks.spawn("session", session::run(masters, tls, events));
    let answered = member.wait_for(|membership| *membership != Membership::None);
    let membership = tokio::select! {
        answered = answered => answered.map(|membership| membership.clone()).unwrap_or_default(),
        () = tasks.cancelled() => Membership::None,
    };
    match membership {
        Membership::Registered { agent_id } => Ok(Started { agent_id: Some(agent_id) }),
        Membership::Awaited => Ok(Started { agent_id: None }),
        Membership::Rejected { reason } => Err(StartError::Rejected { reason }),
        Membership::None => Err(StartError::Stopped),
    }
}

/// The images of this machine.
fn images(work_dir: &Path) -> Result<Store, StartError> {
    Ok(Store::open(&work_dir.join("images"), karman_image::Settings::default())?)
}

fn resources_of(text: Option<String>, work_dir: &Path) -> Result<Resources, StartError> {
    let Some(text) = text else { return Ok(machine::detect(work_dir)) };
    stock::parse(&text)
        .map_err(|error| StartError::Resources { problem: karman_rt::chain(&error), text })
}

fn attributes_of(text: Option<String>) -> Result<Attributes, StartError> {
    let Some(text) = text else { return Ok(Attributes::default()) };
    Attributes::parse(&text)
        .map_err(|error| StartError::Attributes { problem: karman_rt::chain(&error), text })
}

/// The control groups that tasks are put into; without them tasks run
/// unlimited, which is said once.
fn hierarchy() -> Option<Hierarchy> {
    match Hierarchy::usable(&uuid::Uuid::new_v4().to_string()) {
        Ok(hierarchy) => Some(hierarchy),
        Err(reason) => {
            warn!(
                reason,
                "tasks run without limits on cpu and memory: no control groups can be made"
            );
            None
        }
    }
}
