//! The process of a master around the pure ledger: batches as the real one makes
//! them, stopped between any two steps, started again from what is stored.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler;
use karman_api::session;
use karman_master::ledger::{
    CallGate, Command, Effect, Event, Identity, Key, Ledger, Refusal, SessionId, StreamId,
};
use karman_master::{stored, validate};
use karman_model::id::FrameworkId;
use karman_model::time::Timestamp;
use karman_store::Change;

use super::clock::{Clock, Wall};
use super::laws::{Cause, Laws};
use super::net::{BACKLOG_MAX, Client, Conn, End, Packet};
use super::world::{What, World};

/// Between two tries to commit, as in the real core.
const COMMIT_RETRY_MS: u64 = 200;

#[derive(Debug)]
pub(super) enum Request {
    Subscribe { conn: Conn, info: Box<v1::FrameworkInfo>, suppressed: Vec<String> },
    Call { from: usize, conn: Conn, stream: StreamId, call: Box<scheduler::Call> },
    Register { conn: Conn, register: Box<session::Register> },
    Command { command: Box<Command> },
    Happened(Event),
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    effects: Vec<Effect>,
    gates: Vec<(usize, Conn, CallGate)>,
    commands: Vec<Result<(), Refusal>>,
    parts: VecDeque<Vec<Change>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wake,
    /// The store looks at the commit.
    Commit,
    /// The store has answered.
    Committed,
    Release,
}

pub(super) struct Master {
    pub(super) ledger: Ledger,
    clock: Clock,
    inbox: VecDeque<Request>,
    followups: VecDeque<Event>,
    /// What is decided and not yet said.
    batch: Option<Batch>,
    /// The part that is on its way was applied.
    applied: bool,
    outlets: BTreeSet<Conn>,
    wake: Option<u64>,
    fence: u64,
    laws: Laws,
}

impl Master {
    fn has_work(&mut self, wall: Wall, now: u64) -> bool {
        let now = Timestamp(self.clock.at(wall, now));
        !self.inbox.is_empty()
            || !self.followups.is_empty()
            || self.ledger.next_deadline().is_some_and(|due| due <= now)
    }
}

pub(super) fn stream(conn: Conn) -> StreamId {
    format!("s{conn}").into()
}

fn conn_of(stream: &StreamId) -> Conn {
    stream.strip_prefix('s').and_then(|conn| conn.parse().ok()).unwrap()
}

impl World {
    /// A new process takes over; whoever led before will find out.
    pub(super) fn start_master(&mut self) {
        self.masters_made += 1;
        self.store.fence += 1;
        let contents = stored::read(&self.store.load()).expect("what a master stored can be read");
        let mut clock = Clock::new(self.wall, self.now);
        let now = Timestamp(clock.at(self.wall, self.now));
        let id = format!("m{}", self.masters_made);
        let info = v1::MasterInfo { id: id.clone(), ..Default::default() };
        let identity = Identity { id: id.into(), info, started: now };
        let mut ledger = Ledger::with_settings(identity, self.settings.clone());
        ledger.restore(now, contents).expect("what a master stored can be restored");
        ledger.check();
        let mut laws = Laws::default();
        laws.check_limits(&ledger, Cause::Excused);
        self.note(&[2, self.masters_made], || "a master starts".to_owned());
        let master = Master {
            ledger,
            clock,
            inbox: VecDeque::new(),
            followups: VecDeque::new(),
            batch: None,
            applied: false,
            outlets: BTreeSet::new(),
            wake: None,
            fence: self.store.fence,
            laws,
        };
        // Whoever listens to another master is away from this one.
        for index in 0..self.frameworks.len() {
            self.truth.away.entry(index).or_insert(self.now);
        }
        self.leader = Some(self.masters_made);
        self.masters.insert(self.masters_made, master);
        self.check_restored();
        self.check_kept();
        self.wake_master(self.masters_made);
    }

    /// The process dies, wherever it was.
    pub(super) fn crash_master(&mut self, id: u64) {
        let Some(master) = self.masters.remove(&id) else { return };
        let step = master.batch.as_ref().map_or("idle", |batch| {
            if batch.parts.is_empty() { "before it says what is stored" } else { "while it stores" }
        });
        self.note(&[3, id], || format!("master {id} dies, {step}"));
        if self.leader == Some(id) {
            self.leader = None;
        }
        // What was not acknowledged may be stored or not.
        if let Some(part) = master.batch.as_ref().and_then(|batch| batch.parts.front())
            && !master.applied
            && master.fence == self.store.fence
            && self.rng.percent(50)
        {
            self.store.apply(part);
        }
        let conns: Vec<Conn> =
            self.links.iter().filter(|(_, link)| link.master == id).map(|(id, _)| *id).collect();
        // A machine that dies says nothing, a process resets its connections.
        let silently = self.rng.percent(20);
        for conn in conns {
            self.cut(conn, silently);
        }
    }

    pub(super) fn ask_master(&mut self, id: u64, request: Request) {
        let Some(master) = self.masters.get_mut(&id) else { return };
        master.inbox.push_back(request);
        self.wake_master(id);
    }

    /// Lets the process run when it has something to do.
    fn wake_master(&mut self, id: u64) {
        let Some(master) = self.masters.get_mut(&id) else { return };
        if master.batch.is_some() {
            return;
        }
        let reading = master.clock.at(self.wall, self.now);
        let wait = if master.inbox.is_empty() && master.followups.is_empty() {
            let due = master.ledger.next_deadline();
            due.map(|due| u64::try_from(due.since(Timestamp(reading)).as_millis()).unwrap())
        } else {
            Some(self.rng.below(3))
        };
        let Some(at) = wait.map(|wait| self.now.saturating_add(wait)) else { return };
        if master.wake.is_none_or(|wake| wake > at) {
            master.wake = Some(at);
            self.at(at, What::Master { id, step: Step::Wake });
        }
    }

    pub(super) fn master_step(&mut self, id: u64, step: Step) {
        let Some(mut master) = self.masters.remove(&id) else { return };
        match step {
            Step::Wake => {
                if master.wake.is_some_and(|wake| wake <= self.now) {
                    master.wake = None;
                }
                if master.batch.is_none() && master.has_work(self.wall, self.now) {
                    self.fill(id, &mut master);
                }
            }
            Step::Commit => self.store_commit(id, &mut master),
            Step::Committed => {
                master.applied = false;
                let more = master.batch.as_mut().is_some_and(|batch| {
                    batch.parts.pop_front();
                    !batch.parts.is_empty()
                });
                let step = if more { Step::Commit } else { Step::Release };
                let wait = self.rng.below(2);
                self.after(wait, What::Master { id, step });
            }
            Step::Release => {
                if let Some(batch) = master.batch.take() {
                    self.release(id, &mut master, batch);
                }
            }
        }
        self.masters.insert(id, master);
        self.wake_master(id);
    }

    /// Applies what waits, offers, and decides what to store.
    fn fill(&mut self, id: u64, master: &mut Master) {
        let now = Timestamp(master.clock.at(self.wall, self.now));
        let mut batch = Batch::default();
        batch.effects.extend(master.ledger.apply(now, Event::Tick));
        if master.laws.check_removals(&master.ledger, now) {
            self.truth.seen.insert("agents are given up in turn");
        }
        while let Some(event) = master.followups.pop_front() {
            batch.effects.extend(master.ledger.apply(now, event));
        }
        let most = if self.rng.percent(80) { 512 } else { 1 };
        for _ in 0..most {
            let Some(request) = master.inbox.pop_front() else { break };
            let cause = Cause::of(&request);
            self.handle(now, master, request, &mut batch);
            // The last one is checked with the offers that follow from it.
            if !master.inbox.is_empty() {
                master.ledger.check();
            }
            master.laws.check_limits(&master.ledger, cause);
        }
        batch.effects.extend(master.ledger.allocate(now));
        master.ledger.check();
        self.batches += 1;
        let keys: BTreeSet<&Key> = batch
            .effects
            .iter()
            .filter_map(|effect| if let Effect::Save(key) = effect { Some(key) } else { None })
            .collect();
        let changes: Vec<Change> =
            keys.into_iter().map(|key| stored::change(&master.ledger, key)).collect();
        let count = batch.effects.len() as u64;
        self.note(&[4, id, count, changes.len() as u64], || {
            format!("master {id} decides {count} effects and stores {}", changes.len())
        });
        if changes.is_empty() {
            return self.release(id, master, batch);
        }
        // The real limit of a part is larger; the order is the same.
        let most = usize::try_from(self.rng.between(1, 5)).unwrap();
        batch.parts = changes.chunks(most).map(<[Change]>::to_vec).collect();
        master.batch = Some(batch);
        let wait = self.store_latency();
        self.after(wait, What::Master { id, step: Step::Commit });
    }

    fn store_latency(&mut self) -> u64 {
        if self.rng.percent(95) { self.rng.between(0, 5) } else { self.rng.between(5, 800) }
    }

    fn store_commit(&mut self, id: u64, master: &mut Master) {
        let Some(part) = master.batch.as_ref().and_then(|batch| batch.parts.front()) else {
            return;
        };
        if master.fence != self.store.fence {
            self.note(&[5, id], || format!("master {id} is deposed"));
            // It ends itself without another word.
            return self.after(0, What::Deposed { id });
        }
        if self.now < self.store.away_until {
            // Not acknowledged, which does not mean that it was not stored.
            if self.rng.percent(20) {
                self.store.apply(part);
                master.applied = true;
            }
            return self.after(COMMIT_RETRY_MS, What::Master { id, step: Step::Commit });
        }
        self.store.apply(part);
        master.applied = true;
        let wait = self.store_latency();
        self.after(wait, What::Master { id, step: Step::Committed });
    }

    fn handle(&mut self, now: Timestamp, master: &mut Master, request: Request, batch: &mut Batch) {
        let event = match request {
            Request::Subscribe { conn, info, suppressed } => {
                master.outlets.insert(conn);
                Event::Subscribe { stream: stream(conn), info, suppressed, constraints: None }
            }
            Request::Call { from, conn, stream, call } => {
                let Some(id) = call.framework_id.as_ref().map(FrameworkId::from) else { return };
                let gate = master.ledger.gate(&id, Some(&*stream), None);
                batch.gates.push((from, conn, gate));
                if gate != CallGate::Open {
                    return;
                }
                if let Some(update) = call.update_framework {
                    let scheduler::call::UpdateFramework {
                        framework_info, suppressed_roles, ..
                    } = update;
                    let done = master.ledger.update_framework(
                        &id,
                        framework_info,
                        &suppressed_roles,
                        None,
                    );
                    batch.effects.extend(done.unwrap_or_default());
                    return;
                }
                Event::Call { framework: id, call }
            }
            Request::Register { conn, register } => {
                master.outlets.insert(conn);
                let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
                Event::Register {
                    session: SessionId(conn),
                    register: Box::new((*register).into()),
                    ip,
                }
            }
            Request::Command { command } => {
                let done = master.ledger.command(now, *command);
                let done = done.map(|effects| batch.effects.extend(effects));
                return batch.commands.push(done);
            }
            Request::Happened(event) => event,
        };
        batch.effects.extend(master.ledger.apply(now, event));
    }

    /// Now that it is durable, everybody hears of it.
    fn release(&mut self, id: u64, master: &mut Master, batch: Batch) {
        let Batch { effects, gates, commands, parts: _ } = batch;
        // A master that was deposed knows less than the store.
        if master.fence == self.store.fence && (!commands.is_empty() || self.rng.percent(10)) {
            self.check_stored(&master.ledger);
        }
        for (from, conn, gate) in gates {
            let wait = self.latency();
            if self.rng.percent(self.chances.lost_answer) {
                continue;
            }
            self.after(wait, What::Answer { framework: from, conn, gate });
        }
        for done in commands {
            self.commanded(&done);
        }
        let mut groups: std::collections::BTreeMap<Conn, Vec<scheduler::Event>> =
            std::collections::BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Save(_) | Effect::Report(_) => {}
                Effect::Send { stream, event } => {
                    groups.entry(conn_of(&stream)).or_default().push(*event);
                }
                Effect::CloseStream(stream) => {
                    let conn = conn_of(&stream);
                    if let Some(events) = groups.remove(&conn) {
                        self.speak(master, conn, Packet::Events(events));
                    }
                    if master.outlets.remove(&conn) {
                        self.hang_up(conn, End::Master);
                        // Whoever serves the stream says that it has ended.
                        master.inbox.push_back(Request::Happened(Event::StreamClosed { stream }));
                    }
                }
                Effect::Tell { session, message } => {
                    self.speak(master, session.0, Packet::ToAgent(message));
                }
                Effect::CloseSession(session) => {
                    if master.outlets.remove(&session.0) {
                        self.hang_up(session.0, End::Master);
                        let event = Event::SessionClosed { session };
                        master.inbox.push_back(Request::Happened(event));
                    }
                }
            }
        }
        for (conn, events) in groups {
            self.speak(master, conn, Packet::Events(events));
        }
        self.note(&[6, id], || format!("master {id} has spoken"));
    }

    fn speak(&mut self, master: &mut Master, conn: Conn, packet: Packet) {
        if !master.outlets.contains(&conn) {
            return;
        }
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.is_open(End::Master)) else {
            return self.cut_off(master, conn);
        };
        let client = link.client;
        match &mut link.backlog {
            Some(backlog) if backlog.len() >= BACKLOG_MAX => {
                self.note(&[7, conn], || format!("{conn} does not read and is cut off"));
                if let Client::Framework(index) = client {
                    self.lost_touch(index, conn);
                }
                self.hang_up(conn, End::Master);
                self.cut_off(master, conn);
            }
            Some(backlog) => backlog.push(packet),
            None => self.send(conn, End::Client, packet),
        }
    }

    fn cut_off(&mut self, master: &mut Master, conn: Conn) {
        master.outlets.remove(&conn);
        master.followups.push_back(self.over(conn));
    }

    /// What the master hears when a connection has ended.
    pub(super) fn over(&self, conn: Conn) -> Event {
        if self.sessions.contains(&conn) {
            Event::SessionClosed { session: SessionId(conn) }
        } else {
            Event::StreamClosed { stream: stream(conn) }
        }
    }

    /// A call arrives; what the shell refuses never gets to the ledger.
    pub(super) fn call_arrives(&mut self, from: usize, conn: Conn, call: Box<scheduler::Call>) {
        let Some(master) = self.call_master.get(&conn).copied() else { return };
        if !self.masters.contains_key(&master) {
            return;
        }
        if validate::call::check(&call).is_err() {
            return;
        }
        self.ask_master(master, Request::Call { from, conn, stream: stream(conn), call });
    }

    /// Every object is in the store as the ledger would store it now: nothing was
    /// forgotten.
    fn check_stored(&self, ledger: &Ledger) {
        let view = ledger.view();
        let agents = view.agents.keys().cloned().map(Key::Agent);
        let frameworks = view.frameworks.keys().cloned().map(Key::Framework);
        let gone = view.registry.gone.keys().cloned().map(Key::Gone);
        let single = [Key::Weights, Key::Quotas, Key::Maintenance];
        for key in agents.chain(frameworks).chain(gone).chain(single) {
            let change = stored::change(ledger, &key);
            let is_default = match key {
                Key::Weights => view.registry.weights.is_empty(),
                Key::Quotas => view.registry.quotas.is_empty(),
                Key::Maintenance => true,
                Key::Gone(_) | Key::Agent(_) | Key::Framework(_) => false,
            };
            if is_default && self.store.get(change.key()).is_none() {
                continue;
            }
            assert!(
                self.store.has(&change),
                "what is stored of {key:?} is what the ledger knows: {change:?}, not {:?}",
                self.store.get(change.key())
            );
        }
    }

    /// Nothing that anybody was told of is forgotten.
    fn check_restored(&self) {
        let Some(master) = self.leader.and_then(|id| self.masters.get(&id)) else { return };
        let view = master.ledger.view();
        for agent in &self.truth.agents {
            let known = view.agents.contains_key(agent.as_str())
                || view.registry.gone.contains_key(agent.as_str());
            assert!(known, "agent {agent} is remembered");
        }
        for framework in &self.truth.frameworks {
            let id = FrameworkId::from(framework.as_str());
            let known = view.frameworks.contains_key(&id)
                || matches!(
                    stored::change(&master.ledger, &Key::Framework(id)),
                    Change::Put { .. }
                );
            assert!(known, "framework {framework} is remembered");
        }
    }

    /// Nothing that anybody was told is reserved is lost.
    pub(super) fn check_kept(&self) {
        if let Some(master) = self.leader.and_then(|id| self.masters.get(&id)) {
            self.truth.check_kept(&master.ledger.view());
        }
    }

    pub(super) fn leading(&self) -> Option<Arc<karman_master::ledger::View>> {
        let master = self.leader.and_then(|id| self.masters.get(&id))?;
        Some(Arc::new(master.ledger.view()))
    }
}
