//! What the master knows, and all of its decisions: agents, frameworks, tasks,
//! offers. A machine: [`Ledger::apply`] takes an event, changes the state and
//! returns what must be done about it. Pure.
//!
//! Everything large is shared with snapshots: [`Ledger::view`] costs next to
//! nothing, and of what a snapshot holds only that is copied which changes.
#![deny(clippy::disallowed_methods)]

mod accept;
mod admission;
mod agent;
mod agents;
mod calls;
mod command;
mod drain;
mod event;
mod framework;
mod frameworks;
mod gone;
mod invariants;
mod inverse;
mod machines;
mod maintenance;
mod offering;
mod operations;
mod pool;
mod quota;
mod reconcile;
mod recover;
mod registration;
mod registry;
mod removals;
mod returning;
mod session;
mod settings;
mod status;
mod task;
mod tasks;
mod timers;
mod weights;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use karman_allocator::{Allocator, Role};
use karman_api::mesos::v1;
use karman_api::session::master_message::Body;
use karman_model::id::{AgentId, FrameworkId, OfferId, TaskId};
use karman_model::shared_map::SharedMap;
use karman_model::time::Timestamp;

pub use agent::{Agent, Presence};
pub use command::{Command, Refusal};
pub use drain::{Drain, Standing};
pub use event::{CallGate, Counters, Effect, Event, Key, Report, SessionId, StreamId};
pub use framework::{Capabilities, Framework, Link};
pub use gone::{ABSENT_AGENTS_MAX, UNREACHABLE_AGE_MAX};
pub use inverse::{Answer, InverseOffer, InverseOffers};
pub use machines::Machine;
pub use maintenance::Maintenance;
pub use offering::Offer;
pub use operations::{Executor, OPERATIONS_UNACKNOWLEDGED_MAX, Operation, StoredOperation};
pub use quota::{Amounts, Quota};
pub use recover::{Contents, StoredAgent, StoredFramework, StoredMaintenance, Unrestorable};
pub use registration::Registration;
pub use registry::Registry;
pub use settings::{CallRate, MinimumError, Rate, RateError, RateLimits, Settings};
pub use task::{Task, is_terminal};
pub use tasks::{Completed, States, Tasks};
use timers::Timer;

/// The ids of removed frameworks that may not come back.
pub const REMOVED_IDS_MAX: usize = 10_000;

/// Who this master is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// New with every start, so that no id made from it is used twice.
    pub id: Arc<str>,
    pub info: v1::MasterInfo,
    pub started: Timestamp,
}

/// Everything there is to read, shared with the ledger.
#[derive(Clone, Debug)]
pub struct View {
    pub identity: Arc<Identity>,
    pub agents: SharedMap<AgentId, Arc<Agent>>,
    pub frameworks: SharedMap<FrameworkId, Arc<Framework>>,
    pub completed: VecDeque<Arc<Framework>>,
    pub registry: Registry,
    pub counters: Counters,
    pub filters: usize,
}

impl View {
    /// Whether agents that were admitted before this master started are not
    /// back.
    pub fn awaits_agents(&self) -> bool {
        self.agents.values().any(|agent| matches!(agent.presence, Presence::Recovered))
    }
}

/// What changed since names were last computed.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// In no order and some several times, until they are put in order.
    pub tasks: Vec<(FrameworkId, TaskId)>,
    pub agents: BTreeSet<AgentId>,
    pub frameworks: BTreeSet<FrameworkId>,
}

impl Touched {
    pub fn append(&mut self, more: &Self) {
        self.tasks.extend_from_slice(&more.tasks);
        self.agents.extend(more.agents.iter().cloned());
        self.frameworks.extend(more.frameworks.iter().cloned());
    }

    /// Each task once, by framework and id.
    pub fn put_in_order(&mut self) {
        self.tasks.sort_unstable();
        self.tasks.dedup();
    }
}

#[derive(Debug)]
pub struct Ledger {
    identity: Arc<Identity>,
    agents: SharedMap<AgentId, Arc<Agent>>,
    frameworks: SharedMap<FrameworkId, Arc<Framework>>,
    completed: VecDeque<Arc<Framework>>,
    /// In the order in which they were removed.
    removed: VecDeque<FrameworkId>,
    removed_ids: BTreeSet<FrameworkId>,
    offers: BTreeMap<OfferId, Arc<Offer>>,
    streams: BTreeMap<StreamId, FrameworkId>,
    sessions: BTreeMap<SessionId, AgentId>,
    registry: Registry,
    invitations: inverse::Invitations,
    removals: removals::Removals,
    /// Agents whose registration may not have been answered.
    unconfirmed: BTreeMap<admission::Identity, AgentId>,
    /// Agents that were admitted before this master started and are not back.
    recovering: usize,
    /// So many of them must come back before anything is offered.
    recovery_awaits: usize,
    /// Roles that consume more than before without having been offered it.
    consuming: BTreeSet<Role>,
    /// Agents of which the last task may have ended.
    idle: BTreeSet<AgentId>,
    operations: operations::Operations,
    allocator: Allocator,
    timers: timers::Timers,
    agents_made: u64,
    frameworks_made: u64,
    offers_made: u64,
    counters: Counters,
    touched: Touched,
    /// Equal resources of tasks.
    pool: pool::Pool,
    effects: Vec<Effect>,
    /// The latest instant that it was told of.
    clock: Timestamp,
}

impl Ledger {
    pub fn new(identity: Identity) -> Self {
        Self::with_settings(identity, Settings::default())
    }

    pub fn with_settings(identity: Identity, settings: Settings) -> Self {
        Self {
            allocator: settings.allocator(),
            registry: Registry { settings: Arc::new(settings), ..Registry::default() },
            invitations: inverse::Invitations::default(),
            removals: removals::Removals::default(),
            unconfirmed: BTreeMap::new(),
            recovering: 0,
            recovery_awaits: 0,
            consuming: BTreeSet::new(),
            clock: Timestamp(0),
            idle: BTreeSet::new(),
            identity: Arc::new(identity),
            agents: SharedMap::new(),
            frameworks: SharedMap::new(),
            completed: VecDeque::new(),
            removed: VecDeque::new(),
            removed_ids: BTreeSet::new(),
            offers: BTreeMap::new(),
            streams: BTreeMap::new(),
            sessions: BTreeMap::new(),
            operations: operations::Operations::default(),
            timers: timers::Timers::default(),
            agents_made: 0,
            frameworks_made: 0,
            offers_made: 0,
            counters: Counters::default(),
            touched: Touched::default(),
            pool: pool::Pool::default(),
            effects: Vec::new(),
        }
    }

    /// Everything that can happen. Offers are made by [`Ledger::allocate`], once
    /// for all events that came together.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let now = self.advance(now);
        match event {
            Event::Subscribe { stream, info, suppressed, constraints } => {
                self.subscribe(now, stream, *info, &suppressed, constraints);
            }
            Event::StreamClosed { stream } => self.stream_closed(now, &stream),
            Event::Call { framework, call } => self.call(now, &framework, *call),
            Event::Register { session, register, ip } => self.register(now, session, *register, ip),
            Event::SessionClosed { session } => self.session_closed(now, session),
            Event::Status { session, update } => self.status(now, session, *update),
            Event::ExecutorMessage { session, message } => {
                self.executor_message(session, *message);
            }
            Event::ExecutorEnded { session, ended } => self.executor_ended(session, *ended),
            Event::Pong { session } => self.pong(session),
            Event::Tick => self.tick(now),
        }
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// Offers what has become free.
    pub fn allocate(&mut self, now: Timestamp) -> Vec<Effect> {
        let now = self.advance(now);
        self.make_offers(now);
        self.make_inverse_offers(now);
        std::mem::take(&mut self.effects)
    }

    /// Time does not run backwards in here: should a clock be set back and
    /// nobody outside make up for it, it stands still until the clock has caught
    /// up, and nothing is due early or twice.
    pub(self) fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// When [`Event::Tick`] or [`Ledger::allocate`] has something to do next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        // What follows from a restart has yet to be stored.
        if !self.effects.is_empty() {
            return Some(Timestamp(0));
        }
        [self.timers.next(), self.allocator.next_deadline()].into_iter().flatten().min()
    }

    /// For questions; only the ledger changes it.
    pub const fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    pub fn view(&self) -> View {
        View {
            identity: Arc::clone(&self.identity),
            agents: self.agents.clone(),
            frameworks: self.frameworks.clone(),
            completed: self.completed.clone(),
            registry: self.registry.clone(),
            counters: self.counters.clone(),
            filters: self.allocator.filter_count(),
        }
    }

    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// The same as [`View::awaits_agents`].
    pub const fn awaits_agents(&self) -> bool {
        self.recovering > 0
    }

    /// Counts one for the metric of that name.
    fn note_metric(&mut self, name: &'static str) {
        *self.counters.noted.entry(name).or_default() += 1;
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The only way to change one: how readers are shown it is made anew.
    fn agent_mut(&mut self, agent: &AgentId) -> Option<&mut Agent> {
        let agent = Arc::make_mut(self.agents.get_mut(agent)?);
        agent.shown.forget();
        agent.shown_outline.forget();
        Some(agent)
    }

    fn framework_mut(&mut self, framework: &FrameworkId) -> Option<&mut Framework> {
        self.frameworks.get_mut(framework).map(Arc::make_mut)
    }

    /// Sends an event to the framework, if it is connected.
    fn send(&mut self, framework: &FrameworkId, event: v1::scheduler::Event) {
        if let Some(stream) =
            self.frameworks.get(framework).and_then(|framework| framework.stream())
        {
            let effect = Effect::Send { stream: Arc::clone(stream), event: Box::new(event) };
            self.effects.push(effect);
        }
    }

    /// Sends a message to the agent; false if it is not connected.
    fn tell(&mut self, agent: &AgentId, message: Body) -> bool {
        let Some(session) = self.agents.get(agent).and_then(|agent| agent.session) else {
            return false;
        };
        self.effect(Effect::Tell { session, message: Box::new(message) });
        true
    }

    fn touch_task(&mut self, framework: &FrameworkId, task: &TaskId) {
        self.touched.tasks.push((framework.clone(), task.clone()));
    }
}

#[cfg(test)]
mod tests;
