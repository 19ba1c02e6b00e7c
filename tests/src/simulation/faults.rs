//! What goes wrong.

use super::framework::Step as FrameworkStep;
use super::net::Client;
use super::rng::Rng;
use super::world::{What, World};

/// How likely small things go wrong in this run, in percent. Most runs have only
/// some of them: what breaks under one kind of fault hides behind the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chances {
    pub(super) lost_call: u64,
    pub(super) doubled_call: u64,
    pub(super) reordered_call: u64,
    pub(super) lost_answer: u64,
    pub(super) forgotten_ack: u64,
    /// Of each kind of [`World::fault`].
    weights: [u64; 15],
    pace_ms: u64,
}

impl Chances {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut some = |most| if rng.percent(50) { rng.below(most) } else { 0 };
        let mut chances = Self {
            lost_call: some(20),
            doubled_call: some(20),
            reordered_call: some(50),
            lost_answer: some(20),
            forgotten_ack: some(30),
            weights: [0; 15],
            pace_ms: 0,
        };
        for weight in &mut chances.weights {
            *weight = if rng.percent(50) { rng.between(1, 10) } else { 0 };
        }
        // Always something.
        chances.weights[0] += 1;
        chances.pace_ms = *rng.pick(&[2000, 8000, 20_000, 60_000]).unwrap();
        chances
    }
}

impl World {
    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.rng.between(1, self.chances.pace_ms * 2);
        self.after(wait, What::Fault);
        let agent = self.rng.index(self.agents.len()).unwrap();
        let framework = self.rng.index(self.frameworks.len()).unwrap();
        match self.rng.weighted(&self.chances.weights.clone()) {
            0 => self.break_something(),
            1 => self.restart_master(),
            2 => self.take_over(),
            3 => self.partition(Client::Agent(agent)),
            4 => self.partition(Client::Framework(framework)),
            5 => {
                let wait = self.rng.between(100, 20_000);
                self.agent_stops(agent, wait);
            }
            6 => {
                let wait = self.rng.between(1000, 200_000);
                self.agent_stops(agent, wait);
                self.machine_restarts(agent);
            }
            7 => {
                let wait = self.rng.between(1000, 100_000);
                self.agent_stops(agent, wait);
                self.machine_forgets(agent);
            }
            8 => {
                let away = self.rng.between(10, 15_000);
                self.note(&[60], || format!("the store is away for {away} ms"));
                self.store.away_until = self.now + away;
            }
            9 => self.set_clock(),
            10 => self.stall(),
            11 => self.grow(agent),
            12 => self.shrink(agent),
            13 => self.set_clock_far(),
            _ => self.agent_dials_twice(agent),
        }
    }

    fn break_something(&mut self) {
        let conns: Vec<_> = self.links.keys().copied().collect();
        let Some(conn) = self.rng.pick(&conns).copied() else { return };
        let silently = self.rng.percent(30);
        self.cut(conn, silently);
    }

    fn restart_master(&mut self) {
        let Some(leader) = self.leader else { return };
        self.crash_master(leader);
        let wait = if self.rng.percent(90) {
            self.rng.between(10, 20_000)
        } else {
            self.rng.between(20_000, 300_000)
        };
        self.after(wait, What::Election);
    }

    /// Another one leads; the old one finds out when it stores something, or
    /// after a while.
    fn take_over(&mut self) {
        let Some(old) = self.leader else { return };
        self.start_master();
        let wait = self.rng.below(10_000);
        self.after(wait, What::Deposed { id: old });
    }

    fn partition(&mut self, client: Client) {
        let until = self.now + self.rng.between(1000, 300_000);
        self.note(&[61], || format!("{client:?} is cut off until {}", until / 1000));
        match client {
            Client::Agent(index) => self.agents[index].unreachable_until = until,
            Client::Framework(index) => self.frameworks[index].unreachable_until = until,
        }
        for conn in self.conns_of(client) {
            self.cut(conn, true);
        }
    }

    fn set_clock(&mut self) {
        let by = i64::try_from(self.rng.between(1, 120_000)).unwrap();
        let by = if self.rng.percent(50) { by } else { -by };
        self.note(&[62], || format!("the wall clock is set by {by} ms"));
        self.wall.set(by);
        if by > 0 {
            self.truth.clock_ms += by.unsigned_abs();
        }
    }

    /// A framework or an agent that does not read.
    fn stall(&mut self) {
        let conns: Vec<_> = self.links.keys().copied().collect();
        let Some(conn) = self.rng.pick(&conns).copied() else { return };
        if let Some(link) = self.links.get_mut(&conn)
            && let Client::Framework(index) = link.client
        {
            link.backlog.get_or_insert_default();
            self.note(&[63, conn], || format!("nobody reads {conn}"));
            let wait = self.rng.between(1000, 300_000);
            let step = FrameworkStep::Read(conn);
            self.after(wait, What::Framework { index, step });
        }
    }

    /// The machine gets more of everything.
    fn grow(&mut self, index: usize) {
        let more = karman_model::resource::Resources::parse("cpus:1;mem:512", "*").unwrap();
        self.agents[index].grow(&more);
        self.note(&[64], || format!("agent {index} grows"));
        self.agent_stops(index, 1000);
    }

    /// The machine has less of everything than before; where it may not, it comes
    /// back as it was.
    fn shrink(&mut self, index: usize) {
        if !self.agents[index].is_empty() {
            return;
        }
        let less = karman_model::resource::Resources::parse("cpus:1;mem:256;disk:10", "*").unwrap();
        self.agents[index].shrink(&less);
        self.note(&[65], || format!("agent {index} shrinks"));
        self.agent_stops(index, 1000);
    }

    /// Days, as when somebody mends a wrong date.
    fn set_clock_far(&mut self) {
        // Whoever goes backwards with its clock waits for days.
        if self.wall.raw {
            return;
        }
        let by = i64::try_from(self.rng.between(1, 172_800_000)).unwrap();
        let by = if self.rng.percent(30) { by } else { -by };
        self.note(&[66], || format!("the wall clock is set far: {by} ms"));
        self.wall.set(by);
        if by > 0 {
            self.truth.clock_ms += by.unsigned_abs();
        }
    }

    /// It does not trust its connection and opens another.
    fn agent_dials_twice(&mut self, index: usize) {
        self.agent_leaves(index);
    }
}
