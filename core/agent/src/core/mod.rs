//! The agent itself: one loop over everything that can happen.
//!
//! Task: one. Inputs: events of the session, of containers, of checks and the
//! clock. Order of effects: first the disk, then the network and processes,
//! last the snapshot that others read.

mod apply;
mod custom;
mod entry;
mod group;
mod hold;
mod leave;
mod messages;
mod nested;
mod perform;
mod restore;
mod status;

pub(crate) use custom::{Ask, Asked, Line, Refused, WORDS_MAX};
pub(crate) use entry::Entry;
pub(crate) use nested::{Launched, NestedAsk, NestedRefused};
pub(crate) use restore::Restored;
pub(crate) use status::seconds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use karman_api::mesos::v1::FrameworkInfo;
use karman_api::session::AgentMessage;
use karman_model::resource::Resources;
use karman_rt::Tasks;
use karman_rt::time::now_ms;
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::admit::Plan;
use crate::cgroup::{Group, Limits};
use crate::checks;
use crate::core::hold::{Arrangement, Holding};
use crate::drain::Drain;
use crate::driver::{Driver, Inside, Job};
use crate::lifecycle;
use crate::meta::Write;
use crate::probe;
use crate::session::Change;
use crate::settings::Settings;
use crate::shim::records::{Kill, RunDir};
use crate::view::{Snapshot, View};

/// Events that wait for the loop.
pub(crate) const EVENTS_MAX: usize = 4096;

/// Events that share one trip to the disk.
const BATCH_MAX: usize = 256;

/// How often unacknowledged updates are looked through.
const TICK: Duration = Duration::from_secs(1);

/// Ended tasks that are still shown.
const COMPLETED_MAX: usize = 1000;

/// Everything that can happen to an agent.
#[derive(Debug)]
pub(crate) enum Event {
    Session(Change),
    Container {
        container_id: String,
        event: lifecycle::Event,
    },
    /// The processes of a container, before it is said to have started.
    Running {
        container_id: String,
        shim_pid: u32,
        task_pid: u32,
    },
    Checked {
        container_id: String,
        kind: probe::Kind,
        effect: checks::Effect,
    },
    /// An executor has called.
    Executor(Box<Asked>),
    /// The connection of an executor is gone.
    ExecutorHungUp {
        container_id: String,
        stream: u64,
    },
    /// Something is asked of a container inside of another.
    Nested(Box<NestedAsk>),
    Tick,
}

/// Whether a master knows this agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Membership {
    #[default]
    None,
    Registered {
        agent_id: String,
    },
    Rejected {
        reason: String,
    },
    /// Rejected, but not for ever.
    Awaited,
}

pub(crate) struct Core {
    settings: Arc<Settings>,
    driver: Driver,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
    agent_id: Option<String>,
    containers: BTreeMap<String, Entry>,
    /// Container of each task that is not forgotten, by framework and task.
    by_task: BTreeMap<(String, String), String>,
    frameworks: BTreeMap<String, Arc<FrameworkInfo>>,
    /// Those of groups that have not ended.
    executors: BTreeMap<group::Key, group::Executor>,
    /// Those that frameworks brought along.
    customs: BTreeMap<group::Key, custom::Custom>,
    /// Their names by their containers.
    custom_of: BTreeMap<String, group::Key>,
    /// What operators started inside of containers.
    nested: BTreeMap<String, nested::Nested>,
    /// What the tasks and executors that have not ended take.
    used: Resources,
    completed: VecDeque<Arc<View>>,
    outgoing: Option<mpsc::Sender<AgentMessage>>,
    master: Option<String>,
    drain: Option<Drain>,
    holding: Holding,
    /// Messages for executors, of which there is none that could read them.
    messages_dropped: u64,
    membership: watch::Sender<Membership>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// What the restored state asks for, done first.
    restored: Todo,
}

/// What one batch of events asks for.
#[derive(Debug, Default)]
struct Todo {
    /// A master gave this agent an id, maybe a new one.
    registered: Option<String>,
    /// By run folder, in order.
    writes: BTreeMap<PathBuf, (RunDir, Vec<Write>)>,
    frameworks: Vec<(String, Arc<FrameworkInfo>)>,
    launches: Vec<(Job, Arc<Plan>)>,
    watches: Vec<Job>,
    /// Events that follow from what was found, not from anything new.
    events: Vec<Event>,
    kills: Vec<(RunDir, Kill)>,
    /// The order to drain, or that there is none any more.
    drain: Option<Option<Drain>>,
    /// The master removed this agent: its id is void.
    removed: Option<String>,
    /// What becomes of volumes, in order.
    volumes: Vec<Arrangement>,
    /// Groups that are launched, of which all tasks must be on record before.
    groups: BTreeSet<String>,
    /// With what waitpid(2) says of them.
    executors_ended: Vec<(group::Key, i32)>,
    /// What executors hear once everything is on record, in order.
    says: Vec<custom::Said>,
    /// Containers to start inside of others.
    inside: Vec<(Job, Inside)>,
    signals: Vec<(RunDir, Signal)>,
    /// Groups whose limits change.
    resizes: Vec<(Group, Limits)>,
    /// Containers whose updates may be due.
    updated: BTreeSet<String>,
    /// Every container's may.
    all_updated: bool,
}

impl Todo {
    fn write(&mut self, run: &RunDir, change: Write) {
        let entry =
            self.writes.entry(run.path().to_owned()).or_insert_with(|| (run.clone(), Vec::new()));
        entry.1.push(change);
    }
}

/// What the core needs besides its settings.
pub(crate) struct Outputs {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) membership: watch::Sender<Membership>,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Core {
    pub(crate) fn new(
        settings: Arc<Settings>,
        outputs: Outputs,
        restored: Restored,
        tasks: &Tasks,
    ) -> Self {
        let Outputs { events, membership, snapshot } = outputs;
        let driver = Driver::new(Arc::clone(&settings), events.clone(), tasks);
        let mut core = Self {
            settings,
            driver,
            events,
            tasks: tasks.clone(),
            agent_id: restored.agent_id.clone(),
            containers: BTreeMap::new(),
            by_task: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            executors: BTreeMap::new(),
            customs: BTreeMap::new(),
            custom_of: BTreeMap::new(),
            nested: BTreeMap::new(),
            used: Resources::default(),
            completed: VecDeque::new(),
            outgoing: None,
            master: None,
            drain: None,
            holding: Holding::default(),
            messages_dropped: 0,
            membership,
            snapshot,
            restored: Todo::default(),
        };
        core.restore(restored);
        core.publish();
        core
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let restored = std::mem::take(&mut self.restored);
        self.perform(restored).await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                _ = events.recv_many(&mut batch, BATCH_MAX) => {}
                _ = tick.tick() => batch.push(Event::Tick),
            }
            let mut todo = Todo::default();
            for event in batch.drain(..) {
                self.apply(now_ms(), event, &mut todo);
            }
            self.perform(todo).await;
            self.publish();
        }
    }

    fn publish(&self) {
        let snapshot = Snapshot {
            agent_id: self.agent_id.clone(),
            master: self.master.clone(),
            frameworks: self.frameworks.clone(),
            containers: self
                .containers
                .iter()
                .map(|(id, entry)| (id.clone(), Arc::clone(&entry.view)))
                .collect(),
            executors: self
                .customs
                .values()
                .map(|custom| (custom.container_id().to_owned(), custom.view()))
                .collect(),
            nested: self
                .nested
                .values()
                .map(|nested| nested.view())
                .map(|view| (view.path.clone(), view))
                .collect(),
            completed: self.completed.clone(),
            drain: self.drain.clone(),
            held: self.holding.resources.clone(),
            messages_dropped: self.messages_dropped,
        };
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}
