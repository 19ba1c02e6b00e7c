//! The orchestrator's machine: events in, effects out, nothing else.
//!
//! Commands of users, updates and offers of the master and the passing of time
//! go in; changes of the store, calls to the master and events for subscribers
//! come out. The shell stores first, then sends, then publishes and answers.
//! Whatever is running is held to what is wanted by one level-triggered step per
//! app ([`Core::settle`]), no matter which event made it necessary.
#![deny(clippy::disallowed_methods)]

mod calls;
mod commands;
mod deploy;
mod hold;
mod kill;
mod offers;
mod publish;
mod random;
mod reconcile;
mod restore;
mod service;
mod status;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karman_api::marathon::v2::deployment::{DeploymentRef, Step};
use karman_api::marathon::v2::error::Invalid;
use karman_api::mesos::v1::scheduler::Call;
use karman_model::time::Timestamp;
use karman_store::Change;

pub use commands::{Command, Item, Origin, Reply};
pub use deploy::Deployment;
pub use kill::{KillRequest, Which};
pub use publish::Published;
pub use restore::RestoreError;
pub use service::{Service, Spec};

use random::Random;
use timers::Timer;

/// Versions kept of each app.
pub const VERSIONS_MAX: usize = 25;
/// A kill that shows no effect is repeated.
const KILL_RETRY: Duration = Duration::from_secs(30);
/// A launch that has not come to life is given up.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(300);
/// The first repetition of a question that the master left open; doubles.
const RECONCILE_RETRY: Duration = Duration::from_secs(1);
/// How often everything is asked about.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(600);
/// Refused offers of an agent come back after this unless they grow. Whatever
/// lets them be used after all takes refusals back at once.
const REFUSE_SECONDS: f64 = 120.0;

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the body is not valid")]
    Invalid(Invalid),
    #[error("App '{0}' does not exist")]
    UnknownApp(String),
    #[error("App '{0}' does not exist in version {1}")]
    UnknownVersion(String, String),
    #[error("DeploymentPlan {0} does not exist")]
    UnknownDeployment(String),
    #[error("Task '{0}' does not exist")]
    UnknownTask(String),
    #[error("App '{0}' is not in the launch queue")]
    NotQueued(String),
    #[error("An app with id [{0}] already exists.")]
    Exists(String),
    #[error("Group {0} is already created. Use PUT to change this group.")]
    GroupExists(String),
    #[error("{message}")]
    Locked { message: String, deployments: Vec<DeploymentRef> },
    #[error("{0}")]
    BadRequest(String),
}

/// What to do, in this order: store, send, publish.
#[derive(Debug, Default)]
pub struct Effects {
    pub changes: Vec<Change>,
    pub calls: Vec<Call>,
    pub events: Vec<Published>,
    /// Apps whose view is out of date.
    pub touched: BTreeSet<String>,
    pub deployments_changed: bool,
}

/// Everything the orchestrator knows.
#[derive(Debug)]
pub struct Core {
    services: BTreeMap<String, Service>,
    deployments: BTreeMap<String, Deployment>,
    /// Which app an instance belongs to.
    owners: BTreeMap<String, String>,
    /// How many apps use a service port.
    service_ports: BTreeMap<u16, u32>,
    framework_id: Option<String>,
    connected: bool,
    suppressed: bool,
    revive_wanted: bool,
    /// Apps with instances that wait for an offer.
    waiting: BTreeSet<String>,
    /// Apps that may not be as they are wanted.
    dirty: BTreeSet<String>,
    /// Instances that the master was asked about and has not answered for.
    unanswered: BTreeSet<String>,
    reconcile_retry: Duration,
    timers: BTreeSet<(Timestamp, Timer)>,
    random: Random,
    last_version: Timestamp,
    out: Effects,
}

impl Core {
    pub fn new(seed: u64) -> Self {
        Self {
            services: BTreeMap::new(),
            deployments: BTreeMap::new(),
            owners: BTreeMap::new(),
            service_ports: BTreeMap::new(),
            framework_id: None,
            connected: false,
            suppressed: true,
            revive_wanted: false,
            waiting: BTreeSet::new(),
            dirty: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            reconcile_retry: RECONCILE_RETRY,
            timers: BTreeSet::new(),
            random: Random::new(seed),
            last_version: Timestamp::default(),
            out: Effects::default(),
        }
    }

    pub fn framework_id(&self) -> Option<&str> {
        self.framework_id.as_deref()
    }

    pub fn service(&self, app: &str) -> Option<&Service> {
        self.services.get(app)
    }

    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values()
    }

    /// Takes what has to be done since the last time.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.out)
    }

    /// Brings every app that may have strayed closer to what is wanted, and
    /// deployments forward, until nothing more can be done now.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some(app) = self.dirty.pop_first() {
            self.out.touched.insert(app.clone());
            let done = self.hold(now, &app);
            let deployment = self.services.get(&app).and_then(|service| service.deployment.clone());
            if let (true, Some(deployment)) = (done, deployment) {
                self.action_done(&deployment, &app);
            }
        }
        self.ask_for_offers(now);
    }

    /// Later than every version given before.
    fn next_version(&mut self, now: Timestamp) -> Timestamp {
        let version = now.max(self.last_version + Duration::from_millis(1));
        self.last_version = version;
        version
    }

    fn lock_of(&self, apps: &[&str]) -> Vec<DeploymentRef> {
        let locks = apps.iter().filter_map(|app| self.services.get(*app)?.deployment.clone());
        let locks: BTreeSet<String> = locks.collect();
        locks.into_iter().map(|id| DeploymentRef { id }).collect()
    }
}

/// The apps that the actions of a step name.
fn apps_of(step: &Step) -> impl Iterator<Item = &str> {
    step.actions.iter().map(|action| action.app.as_str())
}

#[cfg(test)]
mod tests;
