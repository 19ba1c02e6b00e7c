//! The world: one queue of everything that is going to happen, one clock, one
//! source of chance.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1::scheduler::Call;
use karman_api::session::agent_message;
use karman_master::ledger::{CallGate, Event, SessionId, Settings};
use karman_model::resource::Resources;

use super::agent::{self, Agent, Name};
use super::clock::Wall;
use super::faults::Chances;
use super::framework::{self, Framework};
use super::master::{self, Master, Request};
use super::net::{Client, Conn, End, Link, Packet};
use super::rng::Rng;
use super::store::Store;
use super::trace::{Lines, Trace};
use super::truth::Truth;

/// Everything that can happen.
#[derive(Debug)]
pub(super) enum What {
    Packet {
        conn: Conn,
        to: End,
        packet: Packet,
    },
    /// An end learns that its connection is over.
    Hangup {
        conn: Conn,
        at: End,
    },
    Call {
        from: usize,
        conn: Conn,
        call: Box<Call>,
    },
    Answer {
        framework: usize,
        conn: Conn,
        gate: CallGate,
    },
    Master {
        id: u64,
        step: master::Step,
    },
    Deposed {
        id: u64,
    },
    Election,
    Agent {
        index: usize,
        step: agent::Step,
    },
    Task {
        agent: usize,
        name: Name,
        life: u64,
    },
    Framework {
        index: usize,
        step: framework::Step,
    },
    Operator,
    Fault,
}

pub(super) struct World {
    /// Milliseconds since the beginning.
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) trace: Trace,
    queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    pub(super) wall: Wall,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) links: BTreeMap<Conn, Link>,
    pub(super) conns_made: u64,
    /// Connections of agents.
    pub(super) sessions: BTreeSet<Conn>,
    /// The masters that streams of frameworks lead to.
    pub(super) call_master: BTreeMap<Conn, u64>,
    pub(super) masters: BTreeMap<u64, Master>,
    pub(super) masters_made: u64,
    pub(super) leader: Option<u64>,
    pub(super) agents: Vec<Agent>,
    pub(super) frameworks: Vec<Framework>,
    pub(super) truth: Truth,
    pub(super) chances: Chances,
    /// Nothing goes wrong any longer and nobody wants anything new.
    pub(super) calm: bool,
    pub(super) tasks_made: u64,
    pub(super) uuids_made: u64,
    pub(super) operations_made: u64,
    pub(super) batches: u64,
    pub(super) steps: u64,
}

const MACHINES: [&str; 5] = [
    "cpus:4;mem:4096;disk:1000;ports:[1000-1009]",
    "cpus:8;mem:2048;disk:500;ports:[1000-1003,2000-2009]",
    "cpus:2;mem:1024;ports:[1000-1001]",
    "cpus:4;mem:2000;cpus(a):2;mem(a):500",
    "cpus:16;mem:8192;disk:4000;disk(c):100;ports:[1-5]",
];

impl World {
    pub(super) fn new(seed: u64, lines: Option<Lines>) -> Self {
        let mut rng = Rng::new(seed);
        let chances = Chances::new(&mut rng);
        let machines = usize::try_from(rng.between(1, 5)).unwrap();
        let agents = (0..machines)
            .map(|index| {
                let text = rng.pick(&MACHINES).unwrap();
                Agent::new(index, Resources::parse(text, "*").unwrap())
            })
            .collect();
        let schedulers = usize::try_from(rng.between(1, 5)).unwrap();
        let frameworks = (0..schedulers).map(|index| Framework::new(index, &mut rng)).collect();
        let rates = ["1/5secs", "1/30secs", "2/1mins"].map(|rate| rate.parse().unwrap());
        let agent_removal_rate = if rng.percent(30) { rng.pick(&rates).copied() } else { None };
        let wall = Wall::new(rng.percent(20));
        Self {
            now: 0,
            rng,
            trace: Trace::new(lines),
            queue: BTreeMap::new(),
            queued: 0,
            wall,
            settings: Settings { agent_removal_rate, ..Settings::default() },
            store: Store::default(),
            links: BTreeMap::new(),
            conns_made: 0,
            sessions: BTreeSet::new(),
            call_master: BTreeMap::new(),
            masters: BTreeMap::new(),
            masters_made: 0,
            leader: None,
            agents,
            frameworks,
            truth: Truth::default(),
            chances,
            calm: false,
            tasks_made: 0,
            uuids_made: 0,
            operations_made: 0,
            batches: 0,
            steps: 0,
        }
    }

    pub(super) fn at(&mut self, at: u64, what: What) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), what);
    }

    pub(super) fn after(&mut self, wait: u64, what: What) {
        self.at(self.now.saturating_add(wait), what);
    }

    pub(super) fn note(&mut self, facts: &[u64], text: impl FnOnce() -> String) {
        self.trace.note(self.now, facts, text);
    }

    pub(super) fn begin(&mut self) {
        self.start_master();
        for index in 0..self.agents.len() {
            self.agent_will_dial(index);
        }
        for index in 0..self.frameworks.len() {
            self.framework_will_dial(index);
        }
        let wait = self.rng.between(1, 20_000);
        self.after(wait, What::Fault);
        self.after(wait, What::Operator);
    }

    /// Lets everything happen that happens before then.
    pub(super) fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), what) = entry.remove_entry();
            self.now = at;
            self.steps += 1;
            self.happen(what);
        }
        self.now = end;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Packet { conn, to, packet } => self.arrive(conn, to, packet),
            What::Hangup { conn, at } => self.hung_up(conn, at),
            What::Call { from, conn, call } => self.call_arrives(from, conn, call),
            What::Answer { framework, conn, gate } => {
                self.framework_answered(framework, conn, gate);
            }
            What::Master { id, step } => self.master_step(id, step),
            What::Deposed { id } => {
                if self.leader != Some(id) {
                    self.crash_master(id);
                }
            }
            What::Election => {
                if self.leader.is_none() {
                    self.start_master();
                }
            }
            What::Agent { index, step } => self.agent_step(index, step),
            What::Task { agent, name, life } => self.task_step(agent, &name, life),
            What::Framework { index, step } => self.framework_step(index, step),
            What::Operator => self.operator_acts(),
            What::Fault => self.fault(),
        }
    }

    fn hung_up(&mut self, conn: Conn, at: End) {
        let Some(link) = self.links.get(&conn) else { return };
        let (client, master) = (link.client, link.master);
        if !self.closed(conn, at) {
            return;
        }
        match (at, client) {
            (End::Client, Client::Agent(index)) => self.agent_hung_up(index, conn),
            (End::Client, Client::Framework(index)) => self.framework_hung_up(index, conn),
            (End::Master, _) => {
                let event = self.over(conn);
                self.ask_master(master, Request::Happened(event));
            }
        }
    }

    fn arrive(&mut self, conn: Conn, to: End, packet: Packet) {
        if !self.arrives(conn, to) {
            return;
        }
        let (client, master) = (self.links[&conn].client, self.links[&conn].master);
        let request = match (packet, client) {
            (Packet::FromAgent(body), _) => match *body {
                agent_message::Body::Register(register) => {
                    Request::Register { conn, register: Box::new(register) }
                }
                agent_message::Body::Status(update) => Request::Happened(Event::Status {
                    session: SessionId(conn),
                    update: Box::new(update),
                }),
                agent_message::Body::ExecutorEnded(ended) => {
                    Request::Happened(Event::ExecutorEnded {
                        session: SessionId(conn),
                        ended: Box::new(ended),
                    })
                }
                agent_message::Body::Pong(_) => {
                    Request::Happened(Event::Pong { session: SessionId(conn) })
                }
                agent_message::Body::Message(_) => return,
            },
            (Packet::Subscribe { info, suppressed }, _) => {
                Request::Subscribe { conn, info, suppressed }
            }
            (Packet::ToAgent(body), Client::Agent(index)) => {
                return self.agent_hears(index, conn, *body);
            }
            (Packet::Events(events), Client::Framework(index)) => {
                return self.framework_hears(index, conn, events);
            }
            (Packet::ToAgent(_), Client::Framework(_)) | (Packet::Events(_), Client::Agent(_)) => {
                panic!("a packet for somebody else")
            }
        };
        self.ask_master(master, request);
    }
}
