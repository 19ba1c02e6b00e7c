//! Machines: an agent each, with a disk that survives its process and tasks that
//! survive it too.

use std::collections::BTreeMap;

use karman_api::convert::{Format, resources_from_wire, resources_to_wire};
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::session::{self, agent_message, master_message::Body};
use karman_master::ledger::is_terminal;
use karman_model::resource::Resources;

use super::framework::plain;
use super::net::{Client, Conn, End, Packet};
use super::updates::Updates;
use super::world::{What, World};

const BACKOFF_MS_MIN: u64 = 50;
const BACKOFF_MS_MAX: u64 = 5000;
/// For the answer to the registration.
const ANSWER_MS_MAX: u64 = 10_000;

/// The framework and the name of a task.
pub(super) type Name = (String, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Dial,
    /// Whether the master has answered on this connection.
    Answered(Conn),
    Boot,
    Retry,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) host: String,
    /// What the machine has by itself.
    pub(super) resources: Resources,
    /// The most that it ever had.
    pub(super) largest: Resources,
    /// What it had before it was made smaller, until a master takes it as it is.
    larger: Option<Resources>,
    /// What the master told it last that it has.
    pub(super) told: Option<Resources>,
    /// On disk, as everything of the tasks.
    pub(super) id: Option<String>,
    pub(super) tasks: BTreeMap<Name, Task>,
    frameworks: BTreeMap<String, v1::FrameworkInfo>,
    /// The process runs.
    pub(super) up: bool,
    conn: Option<Conn>,
    pub(super) registered: bool,
    backoff_ms: u64,
    dialling: bool,
    pub(super) unreachable_until: u64,
    /// Takes no new tasks, as far as it knows.
    drain: Option<v1::DrainConfig>,
    port: i32,
    boots: u64,
    /// When the next look at unacknowledged updates is.
    retry_at: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Task {
    info: v1::TaskInfo,
    /// Of its group.
    group: Option<v1::ExecutorInfo>,
    pub(super) resources: Resources,
    pub(super) state: TaskState,
    pub(super) updates: Updates,
    /// Its framework is gone: nobody wants to hear of it.
    pub(super) silent: bool,
    killed: bool,
    /// Another task of that name, later.
    life: u64,
}

impl Task {
    pub(super) fn executor(&self) -> Option<&v1::ExecutorInfo> {
        self.info.executor.as_deref().or(self.group.as_ref())
    }

    pub(super) const fn is_live(&self) -> bool {
        !is_terminal(self.state)
    }
}

impl Agent {
    pub(super) fn new(index: usize, resources: Resources) -> Self {
        Self {
            // Some machines have two agents.
            host: format!("host{}", index * 3 / 4),
            largest: resources.clone(),
            resources,
            larger: None,
            told: None,
            id: None,
            tasks: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            up: true,
            conn: None,
            registered: false,
            backoff_ms: BACKOFF_MS_MIN,
            dialling: false,
            unreachable_until: 0,
            drain: None,
            port: 5051 + i32::try_from(index).unwrap(),
            boots: 0,
            retry_at: None,
        }
    }

    /// What its tasks and their executors really take.
    pub(super) fn used(&self, of: impl Fn(&Task) -> bool) -> Resources {
        let live = || self.tasks.iter().filter(|(_, task)| task.is_live() && of(task));
        let executors: BTreeMap<(&str, &str), &v1::ExecutorInfo> = live()
            .filter_map(|((framework, _), task)| {
                let executor = task.executor()?;
                Some(((framework.as_str(), executor.executor_id.value.as_str()), executor))
            })
            .collect();
        let executors = executors.into_values().map(|executor| {
            resources_from_wire(&executor.resources).expect("checked by the master").unallocated()
        });
        let tasks = live().map(|(_, task)| task.resources.clone());
        tasks.chain(executors).fold(Resources::EMPTY, |sum, one| sum + one)
    }

    /// Of a machine on which nothing runs or ever did.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn shrink(&mut self, less: &Resources) {
        let smaller = self.resources.saturating_sub(less);
        self.larger.get_or_insert_with(|| self.resources.clone());
        self.resources = smaller;
    }

    pub(super) fn grow(&mut self, more: &Resources) {
        self.resources += more;
        self.larger = self.larger.take().map(|larger| larger + more);
        self.largest += more;
    }

    fn info(&self) -> v1::AgentInfo {
        v1::AgentInfo {
            hostname: self.host.clone(),
            port: Some(self.port),
            resources: resources_to_wire(&self.resources, Format::Refined),
            id: self.id.clone().map(|value| v1::AgentId { value }),
            ..Default::default()
        }
    }

    fn register(&self) -> session::Register {
        let task = |((framework, _), task): (&Name, &Task)| session::AgentTask {
            framework_id: Some(v1::FrameworkId { value: framework.clone() }),
            task: Some(Box::new(task.info.clone())),
            status: task.updates.outstanding().cloned().map(Box::new),
            latest: task.updates.latest.clone().map(Box::new),
            executor: task.group.clone().map(Box::new),
        };
        session::Register {
            agent: Some(self.info()),
            version: "1".to_owned(),
            boot_id: format!("b{}-{}", self.port, self.boots),
            drain: self.drain,
            tasks: self.tasks.iter().filter(|(_, task)| !task.silent).map(task).collect(),
            frameworks: self.frameworks.values().cloned().collect(),
            ..Default::default()
        }
    }
}

impl World {
    pub(super) fn agent_step(&mut self, index: usize, step: Step) {
        match step {
            Step::Dial => self.agent_dials(index),
            Step::Answered(conn) => {
                let agent = &self.agents[index];
                if agent.conn == Some(conn) && !agent.registered {
                    self.agent_leaves(index);
                }
            }
            Step::Boot => {
                self.agents[index].up = true;
                self.agents[index].backoff_ms = BACKOFF_MS_MIN;
                self.agent_will_dial(index);
            }
            Step::Retry => {
                self.agents[index].retry_at = None;
                self.agent_reports(index);
            }
        }
    }

    pub(super) fn agent_will_dial(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        if !agent.up || agent.conn.is_some() || std::mem::replace(&mut agent.dialling, true) {
            return;
        }
        let backoff = agent.backoff_ms;
        agent.backoff_ms = (backoff * 2).min(BACKOFF_MS_MAX);
        let wait = backoff / 2 + self.rng.below(backoff / 2 + 1);
        self.after(wait, What::Agent { index, step: Step::Dial });
    }

    fn agent_dials(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.dialling = false;
        if !agent.up || agent.conn.is_some() {
            return;
        }
        let Some(master) = self.leader.filter(|_| agent.unreachable_until <= self.now) else {
            return self.agent_will_dial(index);
        };
        let conn = self.connect(Client::Agent(index), master);
        self.sessions.insert(conn);
        let agent = &mut self.agents[index];
        agent.conn = Some(conn);
        let register = agent.register();
        self.note(&[20, index as u64, conn], || {
            format!(
                "agent {index} registers as {:?} on {conn}",
                register.agent.as_ref().and_then(|it| it.id.as_ref())
            )
        });
        let body = agent_message::Body::Register(register);
        self.send(conn, End::Master, Packet::FromAgent(Box::new(body)));
        self.after(ANSWER_MS_MAX, What::Agent { index, step: Step::Answered(conn) });
    }

    /// Closes the session and looks for another.
    pub(super) fn agent_leaves(&mut self, index: usize) {
        if let Some(conn) = self.agents[index].conn.take() {
            self.hang_up(conn, End::Client);
        }
        self.agents[index].registered = false;
        self.agent_will_dial(index);
    }

    pub(super) fn agent_hung_up(&mut self, index: usize, conn: Conn) {
        if self.agents[index].conn == Some(conn) {
            self.agents[index].conn = None;
            self.agents[index].registered = false;
            self.agent_will_dial(index);
        }
    }

    /// The process ends; `boot` is when it starts again.
    pub(super) fn agent_stops(&mut self, index: usize, boot_ms: u64) {
        self.note(&[21, index as u64], || format!("agent {index} stops for {boot_ms} ms"));
        let agent = &mut self.agents[index];
        agent.up = false;
        agent.registered = false;
        if let Some(conn) = agent.conn.take() {
            let silently = self.rng.percent(20);
            self.hang_up(conn, End::Client);
            self.cut(conn, silently);
        }
        self.after(boot_ms, What::Agent { index, step: Step::Boot });
    }

    /// The machine restarts: no task survives, all are reported.
    pub(super) fn machine_restarts(&mut self, index: usize) {
        let names: Vec<Name> = self.agents[index].tasks.keys().cloned().collect();
        for name in names {
            if self.agents[index].tasks.get(&name).is_some_and(Task::is_live) {
                self.task_becomes(index, &name, TaskState::TaskLost);
            }
        }
        self.agents[index].boots += 1;
    }

    /// Its disk is empty: it comes back as somebody else.
    pub(super) fn machine_forgets(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.boots += 1;
        let id = agent.id.take();
        agent.told = None;
        agent.frameworks.clear();
        agent.drain = None;
        let tasks = std::mem::take(&mut agent.tasks);
        self.note(&[22, index as u64], || format!("agent {index} forgets that it was {id:?}"));
        for name in tasks.into_keys() {
            self.truth.vanished(&name);
        }
        self.truth.lost_agents.extend(id);
    }

    pub(super) fn agent_hears(&mut self, index: usize, conn: Conn, body: Body) {
        if self.agents[index].conn != Some(conn) {
            return;
        }
        match body {
            Body::Registered(registered) => {
                let id = registered.agent_id.expect("an agent is told its id").value;
                let agent = &mut self.agents[index];
                assert!(
                    agent.id.as_ref().is_none_or(|known| *known == id),
                    "an agent keeps its id: {:?} became {id}",
                    agent.id
                );
                agent.id = Some(id.clone());
                agent.registered = true;
                if agent.larger.take().is_some() {
                    self.truth.seen.insert("an agent is smaller");
                }
                agent.backoff_ms = BACKOFF_MS_MIN;
                agent.tasks.values_mut().for_each(|task| task.updates.reconnected());
                self.truth.places.insert(id.clone(), index);
                self.truth.agents.insert(id);
                self.agent_reports(index);
            }
            Body::Rejected(rejected) => self.agent_rejected(index, &rejected.reason),
            Body::Launch(launch) => self.agent_launches(index, launch),
            Body::Kill(session::Kill { framework_id, task_id, .. }) => {
                let (Some(framework), Some(task)) = (framework_id, task_id) else { return };
                self.task_killed(index, &(framework.value, task.value));
            }
            Body::Acknowledge(session::Acknowledge { framework_id, task_id, uuid }) => {
                let (Some(framework), Some(task)) = (framework_id, task_id) else { return };
                self.agent_acknowledged(index, &(framework.value, task.value), &uuid);
            }
            Body::Ping(_) => {
                let body = agent_message::Body::Pong(session::Pong {});
                self.send(conn, End::Master, Packet::FromAgent(Box::new(body)));
            }
            Body::ShutdownFramework(session::ShutdownFramework { framework_id }) => {
                let Some(framework) = framework_id else { return };
                self.agent_ends_framework(index, &framework.value);
            }
            Body::ShutdownExecutor(session::ShutdownExecutor { framework_id, executor_id }) => {
                let (Some(framework), Some(executor)) = (framework_id, executor_id) else { return };
                self.executor_killed(index, &framework.value, &executor.value);
            }
            Body::Drain(session::Drain { config }) => {
                self.agents[index].drain = config;
                if config.is_none() {
                    self.truth.seen.insert("a drained agent is used again");
                }
                let names: Vec<Name> = self.agents[index].tasks.keys().cloned().collect();
                for name in names.iter().filter(|_| config.is_some()) {
                    self.task_killed(index, name);
                }
            }
            Body::Shutdown(_) => {
                let agent = &self.agents[index];
                let is_wanted = self.truth.taken_down.contains(&agent.host)
                    || agent.id.as_ref().is_none_or(|id| self.truth.condemned.contains(id));
                self.truth.seen.insert("an agent is shut down");
                assert!(is_wanted, "nobody wanted {:?} to end", agent.id);
                self.machine_forgets(index);
                self.agent_stops(index, 5000);
            }
            Body::Resources(resources) => self.agent_told(index, &resources.resources),
            Body::Message(_) => {}
        }
    }

    /// Its machine is down, or it came back smaller than it may.
    fn agent_rejected(&mut self, index: usize, reason: &str) {
        self.note(&[26, index as u64], || format!("agent {index} is rejected: {reason}"));
        let agent = &mut self.agents[index];
        if reason.contains("was taken down") || reason.contains("is down for maintenance") {
            assert!(self.truth.taken_down.contains(&agent.host), "nobody took {index} down");
            self.truth.seen.insert("a machine that is down wants in");
        } else if let Some(larger) = agent.larger.take() {
            agent.resources = larger;
            self.truth.seen.insert("an agent may not be smaller");
        } else {
            panic!("agent {index} is rejected: {reason}");
        }
        self.agent_leaves(index);
    }

    /// What it has, with all reservations and volumes.
    fn agent_told(&mut self, index: usize, wire: &[v1::Resource]) {
        let told = resources_from_wire(wire).expect("the master says what is so");
        let agent = &mut self.agents[index];
        assert_eq!(told.origin(), agent.resources.origin(), "agent {index} has what it has");
        agent.told = Some(told.clone());
        if let Some(id) = agent.id.clone() {
            self.truth.reserved(&id, &told);
        }
    }

    fn executor_killed(&mut self, index: usize, framework: &str, executor: &str) {
        let tasks = self.agents[index].tasks.iter();
        let own = tasks.filter(|((owner, name), task)| {
            let id = task.executor().map_or(name.as_str(), |it| it.executor_id.value.as_str());
            owner == framework && id == executor
        });
        for name in own.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.task_killed(index, &name);
        }
    }

    fn agent_launches(&mut self, index: usize, launch: session::Launch) {
        let framework = launch.framework.expect("a launch names its framework");
        let id = framework.id.clone().expect("a launch names its framework").value;
        self.agents[index].frameworks.insert(id.clone(), framework);
        let group = launch.executor;
        if group.is_some() {
            self.truth.seen.insert("a group is launched");
        }
        for info in launch.tasks {
            let name = (id.clone(), info.task_id.value.clone());
            self.note(&[23, index as u64], || format!("agent {index} launches {}", name.1));
            if info.executor.is_some() {
                self.truth.seen.insert("a task with an executor is launched");
            }
            assert_eq!(
                Some(&info.agent_id.value),
                self.agents[index].id.as_ref(),
                "{name:?} was meant for this agent"
            );
            assert!(self.agents[index].drain.is_none(), "{name:?} is launched on a drained agent");
            if self.agents[index].tasks.contains_key(&name) {
                // As the real one: said twice.
                continue;
            }
            let resources =
                resources_from_wire(&info.resources).expect("checked by the master").unallocated();
            self.truth.started(index, &name);
            self.check_once(&name);
            self.tasks_made += 1;
            let task = Task {
                info,
                group: group.clone(),
                resources,
                state: TaskState::TaskStaging,
                updates: Updates::default(),
                silent: false,
                killed: false,
                life: self.tasks_made,
            };
            let agent = &mut self.agents[index];
            agent.tasks.insert(name.clone(), task);
            // Reservations and volumes are the master's business.
            if plain(&agent.resources).contains(&plain(&agent.used(|_| true))) {
                self.task_goes_on(index, name);
                continue;
            }
            // Tasks of a framework that was shut down are off the books of the
            // master at once and off the machine a little later. Nothing else may
            // be in the way.
            let agent = &self.agents[index];
            let wanted = agent.used(|task| !task.silent);
            assert!(
                plain(&agent.resources).contains(&plain(&wanted)),
                "agent {index} has {} and is to run {wanted}",
                agent.resources
            );
            self.task_becomes(index, &name, TaskState::TaskFailed);
        }
    }

    fn task_goes_on(&mut self, index: usize, name: Name) {
        let life = self.agents[index].tasks[&name].life;
        let wait = match self.rng.below(10) {
            0..6 => self.rng.between(20, 400),
            6..8 => self.rng.between(400, 20_000),
            _ => self.rng.between(20_000, 300_000),
        };
        self.after(wait, What::Task { agent: index, name, life });
    }

    /// Something happens to the task.
    pub(super) fn task_step(&mut self, index: usize, name: &Name, life: u64) {
        let Some(task) = self.agents[index].tasks.get(name) else { return };
        if task.life != life || !task.is_live() {
            return;
        }
        let state = match (task.killed, task.state) {
            (true, _) => TaskState::TaskKilled,
            (false, TaskState::TaskStaging) if self.rng.percent(50) => TaskState::TaskStarting,
            (false, TaskState::TaskStaging | TaskState::TaskStarting) => TaskState::TaskRunning,
            (false, _) if self.calm => return,
            (false, _) => *self
                .rng
                .pick(&[TaskState::TaskFinished, TaskState::TaskFailed, TaskState::TaskRunning])
                .unwrap(),
        };
        self.task_becomes(index, name, state);
        if !is_terminal(state) {
            self.task_goes_on(index, name.clone());
        }
    }

    fn task_killed(&mut self, index: usize, name: &Name) {
        let Some(task) = self.agents[index].tasks.get_mut(name) else { return };
        if task.killed || !task.is_live() {
            return;
        }
        task.killed = true;
        let life = task.life;
        self.note(&[24, index as u64], || format!("agent {index} kills {}", name.1));
        if self.rng.percent(50) {
            self.task_becomes(index, name, TaskState::TaskKilling);
        }
        let wait = self.rng.between(0, 3000);
        self.after(wait, What::Task { agent: index, name: name.clone(), life });
    }

    /// A new state and the update that says so.
    fn task_becomes(&mut self, index: usize, name: &Name, state: TaskState) {
        self.uuids_made += 1;
        let uuid = u128::from(self.uuids_made).to_be_bytes();
        let agent = &mut self.agents[index];
        let Some(task) = agent.tasks.get_mut(name) else { return };
        task.state = state;
        let status = v1::TaskStatus {
            task_id: task.info.task_id.clone(),
            state: state.into(),
            agent_id: agent.id.clone().map(|value| v1::AgentId { value }),
            uuid: Some(uuid.to_vec().into()),
            ..Default::default()
        };
        task.updates.push(status);
        let silent = task.silent;
        self.note(&[25, index as u64, self.uuids_made], || {
            format!("{} on agent {index} is {}", name.1, state.as_str_name())
        });
        if is_terminal(state) {
            self.truth.ended(index, name);
            self.executor_ends(index, name);
        }
        self.truth.made(uuid, name, state);
        if silent {
            self.task_settles(index, name);
        } else {
            self.agent_reports(index);
        }
    }

    /// With its last task; nobody says it again if it is lost.
    fn executor_ends(&mut self, index: usize, name: &Name) {
        let agent = &self.agents[index];
        let executor = |task: &Task| Some(task.executor()?.executor_id.value.clone());
        let Some(executor_id) = agent.tasks.get(name).and_then(executor) else { return };
        let mut others = agent.tasks.iter().filter(|((framework, _), _)| *framework == name.0);
        let lives = others.any(|(_, task)| {
            task.is_live() && executor(task).as_deref() == Some(executor_id.as_str())
        });
        let Some(conn) = agent.conn.filter(|_| agent.registered && !lives) else { return };
        let ended = session::ExecutorEnded {
            framework_id: Some(v1::FrameworkId { value: name.0.clone() }),
            executor_id: Some(v1::ExecutorId { value: executor_id }),
            status: 0,
        };
        let body = agent_message::Body::ExecutorEnded(ended);
        self.send(conn, End::Master, Packet::FromAgent(Box::new(body)));
    }

    /// Sends what is due.
    fn agent_reports(&mut self, index: usize) {
        let now = self.now;
        let agent = &mut self.agents[index];
        let Some(conn) = agent.conn.filter(|_| agent.registered) else { return };
        let mut packets = Vec::new();
        let mut next: Option<u64> = None;
        for ((framework, _), task) in &mut agent.tasks {
            if task.silent {
                continue;
            }
            if let Some(status) = task.updates.due(now) {
                packets.push(session::StatusUpdate {
                    framework_id: Some(v1::FrameworkId { value: framework.clone() }),
                    status: Some(status),
                    latest: task.updates.latest.clone(),
                });
            }
            if !task.updates.is_delivered() {
                next = next.into_iter().chain(task.updates.retry_at).min();
            }
        }
        for update in packets {
            let body = agent_message::Body::Status(update);
            self.send(conn, End::Master, Packet::FromAgent(Box::new(body)));
        }
        if let Some(at) = next
            && self.agents[index].retry_at.is_none_or(|before| before > at)
        {
            self.agents[index].retry_at = Some(at);
            self.at(at, What::Agent { index, step: Step::Retry });
        }
    }

    fn agent_acknowledged(&mut self, index: usize, name: &Name, uuid: &[u8]) {
        let Some(task) = self.agents[index].tasks.get_mut(name) else { return };
        if task.updates.acknowledge(uuid) {
            self.check_acknowledged(name, uuid);
            self.task_settles(index, name);
            self.agent_reports(index);
        }
    }

    /// Forgets a task that is over and wholly delivered.
    fn task_settles(&mut self, index: usize, name: &Name) {
        let agent = &mut self.agents[index];
        let Some(task) = agent.tasks.get(name) else { return };
        if !task.is_live() && (task.silent || task.updates.is_delivered()) {
            agent.tasks.remove(name);
            if agent.tasks.keys().all(|(framework, _)| *framework != name.0) {
                agent.frameworks.remove(&name.0);
            }
        }
    }

    fn agent_ends_framework(&mut self, index: usize, framework: &str) {
        let names: Vec<Name> = self.agents[index]
            .tasks
            .keys()
            .filter(|(owner, _)| owner == framework)
            .cloned()
            .collect();
        self.check_shut_down(framework);
        for name in names {
            if let Some(task) = self.agents[index].tasks.get_mut(&name) {
                task.silent = true;
            }
            self.task_killed(index, &name);
            self.task_settles(index, &name);
        }
    }
}
