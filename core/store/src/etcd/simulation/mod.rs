//! The store and its leadership in a world where everything goes wrong.
//!
//! Three processes run the real machines against a simulated etcd. Requests are
//! lost, delayed beyond their deadline, doubled a minute later; answers are lost;
//! processes crash, pause and start again; clocks jump; leases end early; streams
//! break, lag and meet compaction; an operator restores older states. One queue
//! of events and one source of chance: the same seed is the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;

use super::machines::call::{Call, Outcome};
use super::machines::candidate::{CallId, Effect, Event};
use super::machines::follow::{self, Checked, Follow};
use super::machines::record::Claim;
use super::machines::timeline::{Observed, Sent};
use crate::Change;
use crate::limits;

mod cluster;
mod faults;
mod host;
mod laws;
mod rng;
mod tests;

use cluster::{Cluster, State};
use host::{Host, Stream};
use laws::{DATA, FENCE, Laws, MARK};
use rng::Rng;

const HOSTS: usize = 3;
const SHARED_KEYS: u64 = 8;
const CLAIM: &str = "/k/leader/test";
/// How long there is trouble, and how long everything has to settle then.
const TROUBLE_MS: u64 = 30_000;
const CALM_MS: u64 = 25_000;
/// At the very end nobody asks for more, so that all can be known.
const QUIET_MS: u64 = 5_000;
/// When the shell gives a request up.
const TIMEOUT_MS: u64 = 5_000;

/// Something that happens to a host, in the life that it belongs to.
#[derive(Debug)]
enum Action {
    Boot,
    Campaign,
    Tick,
    Work,
    Resign,
    /// A request reaches etcd.
    Arrives {
        call: CallId,
        request: Call,
        sent: Sent,
        answer_lost: bool,
    },
    Answered {
        call: CallId,
        outcome: Outcome,
        header: Option<Header>,
    },
    ClaimSeen(Option<u64>),
    /// The client looked whether its member answers.
    Probed {
        header: Header,
    },
    Load,
    Loaded {
        round: u64,
        state: BTreeMap<String, Bytes>,
        header: Header,
    },
    Check {
        round: u64,
        key: String,
        revision: i64,
        sent: Sent,
    },
    Checked {
        round: u64,
        checked: Checked,
        header: Option<Header>,
    },
    Open {
        round: u64,
        from: i64,
    },
    /// A stream brings what its member has by now.
    Pump {
        round: u64,
    },
    Fault,
    Leases,
}

/// What an answer says about the cluster, and what was known when it was asked.
#[derive(Clone, Copy, Debug)]
struct Header {
    sent: Sent,
    cluster: u64,
    revision: i64,
}

struct World {
    now: u64,
    rng: Rng,
    queue: BTreeMap<(u64, u64), (usize, u64, Action)>,
    queued: u64,
    cluster: Cluster,
    /// etcd answers nobody until then.
    away_until: u64,
    backups: Vec<State>,
    hosts: Vec<Host>,
    laws: Laws,
    calm: bool,
    /// What came about in this run.
    seen: BTreeSet<&'static str>,
    nonces: u128,
    trace: Trace,
}

/// What happened, as a number to compare and, where asked for, as text.
struct Trace {
    hash: u64,
    text: Option<String>,
}

/// What a run that kept all laws was like.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    hash: u64,
    seen: BTreeSet<&'static str>,
    acknowledged: usize,
}

/// Runs a seed to its end, or panics where a law is broken. `shown` prints what
/// happens.
fn simulate(seed: u64, shown: bool) -> Run {
    let mut world = World::new(seed, shown);
    while world.now < TROUBLE_MS {
        world.step();
    }
    world.end_trouble();
    while world.now < TROUBLE_MS + CALM_MS {
        world.step();
    }
    world.check_calm();
    Run { hash: world.trace.hash, seen: world.seen, acknowledged: world.laws.acknowledged() }
}

impl World {
    fn new(seed: u64, shown: bool) -> Self {
        let mut world = Self {
            now: 0,
            rng: Rng::new(seed),
            queue: BTreeMap::new(),
            queued: 0,
            cluster: Cluster::new(),
            away_until: 0,
            backups: Vec::new(),
            hosts: (0..HOSTS).map(|n| Host::new(&format!("host-{n}"))).collect(),
            laws: Laws::default(),
            calm: false,
            seen: BTreeSet::new(),
            nonces: 0,
            trace: Trace { hash: seed, text: shown.then(String::new) },
        };
        for host in 0..HOSTS {
            world.after(host, 10, Action::Boot);
        }
        world.after(0, 500, Action::Fault);
        world.after(0, 100, Action::Leases);
        world
    }

    /// `delay` and up to as much again.
    fn after(&mut self, host: usize, delay: u64, action: Action) {
        let at = self.now + delay + self.rng.below(delay + 1);
        self.at(host, at, action);
    }

    fn at(&mut self, host: usize, at: u64, action: Action) {
        self.queued += 1;
        let life = self.hosts[host].life;
        self.queue.insert((at.max(self.now), self.queued), (host, life, action));
    }

    fn step(&mut self) {
        let Some(((at, _), (host, life, action))) = self.queue.pop_first() else {
            self.now = u64::MAX;
            return;
        };
        self.now = at;
        let lives = self.hosts[host].life == life;
        match action {
            Action::Fault => return self.fault(),
            Action::Leases => {
                if self.now >= self.away_until {
                    self.cluster.expire(self.now);
                    self.claim_changed();
                }
                return self.after(0, 100, Action::Leases);
            }
            // What is under way arrives, whoever sent it.
            Action::Arrives { .. } => {}
            _ if !lives => return,
            _ if self.hosts[host].paused_until > self.now => {
                let until = self.hosts[host].paused_until;
                return self.at(host, until, action);
            }
            _ => {}
        }
        let shown = if self.trace.text.is_some() { format!("{action:?}") } else { String::new() };
        self.note(host, &shown);
        self.happens(host, life, action);
    }

    fn note(&mut self, host: usize, text: &str) {
        let facts = [
            self.now,
            host as u64,
            self.queued,
            u64::try_from(self.cluster.state.revision).unwrap(),
        ];
        for fact in facts {
            self.trace.hash =
                (self.trace.hash ^ fact).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        if let Some(lines) = &mut self.trace.text {
            let _ = writeln!(lines, "{:>6} {host} {text}", self.now);
            print!("{:>6} {host} {text}\n", self.now);
        }
    }

    fn happens(&mut self, host: usize, life: u64, action: Action) {
        match action {
            Action::Boot => self.boot(host),
            Action::Campaign => {
                if self.hosts[host].candidate.is_none() {
                    self.nonces += 1;
                    let nonce = self.nonces;
                    self.hosts[host].campaign(nonce);
                    self.tell(host, Event::Start);
                }
            }
            Action::Tick => {
                if self.hosts[host].tick_at.is_some_and(|at| at <= self.now) {
                    self.hosts[host].tick_at = None;
                }
                self.tell(host, Event::Tick);
            }
            Action::Work => self.work(host),
            Action::Resign => self.tell(host, Event::Resign),
            Action::ClaimSeen(token) => self.tell(host, Event::ClaimSeen(token)),
            Action::Arrives { call, request, sent, answer_lost } => {
                self.arrives((host, life), call, request, sent, answer_lost);
            }
            Action::Answered { call, outcome, header } => {
                self.answered(host, call, outcome, header);
            }
            Action::Probed { header } => {
                self.observe(host, header);
            }
            Action::Load => self.load(host),
            Action::Loaded { round, state, header } => self.loaded(host, round, state, header),
            Action::Check { round, key, revision, sent } => {
                self.check(host, round, &key, revision, sent);
            }
            Action::Checked { round, checked, header } => {
                self.checked(host, round, checked, header);
            }
            Action::Open { round, from } => self.open(host, round, from),
            Action::Pump { round } => self.pump(host, round),
            Action::Fault | Action::Leases => {}
        }
    }

    fn boot(&mut self, host: usize) {
        if self.hosts[host].up {
            return;
        }
        self.hosts[host].boot(self.now);
        self.after(host, 5, Action::Campaign);
        self.after(host, 5, Action::Load);
        self.after(host, 50, Action::Work);
    }

    /// Lets the candidate decide, and does what it says.
    fn tell(&mut self, at: usize, event: Event) {
        let host = &mut self.hosts[at];
        let now = host.now(self.now);
        let Some(candidate) = &mut host.candidate else { return };
        let effects = candidate.apply(now, event);
        let wake = candidate.wake().map(|wake| host.at(wake));
        if let Some(wake) = wake.map(|wake| wake.max(self.now + 1))
            && host.tick_at.is_none_or(|tick_at| wake < tick_at)
        {
            host.tick_at = Some(wake);
            self.at(at, wake, Action::Tick);
        }
        for effect in effects {
            self.effect(at, effect);
        }
    }

    fn effect(&mut self, at: usize, effect: Effect) {
        let timeline = self.cluster.timeline;
        let host = &mut self.hosts[at];
        match effect {
            Effect::Call { id, call } => self.send(at, id, call),
            Effect::Leads { token } => {
                host.token = Some(token);
                host.leads_since = timeline;
                self.seen.insert("led");
            }
            Effect::Lost => {
                host.token = None;
                let restored = host.leads_since != timeline;
                self.laws.lost(host.nonce, restored);
                self.seen.insert(if restored { "lost by a restored backup" } else { "lost" });
            }
            Effect::Done { id, result } => {
                let id = host.asked.remove(&id).expect("answered once");
                self.laws.told(timeline, id, &result);
                self.seen.insert(match result {
                    Ok(_) => "stored",
                    Err(_) => "not stored",
                });
            }
            Effect::Note(note) => panic!("{note}"),
            Effect::Ended => {
                host.candidate = None;
                host.token = None;
                self.after(at, 50, Action::Campaign);
            }
        }
    }

    /// Commits while it leads: one, or many at once.
    fn work(&mut self, at: usize) {
        if self.now > TROUBLE_MS + CALM_MS - QUIET_MS {
            return;
        }
        self.after(at, if self.calm { 400 } else { 60 }, Action::Work);
        if self.hosts[at].token.is_none() {
            return;
        }
        let commits = if self.rng.percent(5) { self.rng.between(50, 200) } else { 1 };
        for _ in 0..commits {
            let shared: BTreeSet<u64> =
                (0..self.rng.below(3)).map(|_| self.rng.below(SHARED_KEYS)).collect();
            let mut keys: Vec<String> =
                shared.iter().map(|n| format!("{DATA}shared/{n}")).collect();
            let nonce = self.hosts[at].nonce;
            let id = self.laws.asked(nonce, keys.clone());
            keys.push(format!("{MARK}{id}"));
            let value = Bytes::from(id.to_string());
            let put = |key: &String| Change::Put {
                key: key.strip_prefix("/k/data").unwrap().to_owned(),
                value: value.clone(),
            };
            let changes = limits::check(keys.iter().map(put).collect()).unwrap();
            let host = &mut self.hosts[at];
            host.commits += 1;
            let commit = host.commits;
            host.asked.insert(commit, id);
            self.tell(at, Event::Commit { id: commit, changes });
        }
    }

    /// The network: what becomes of a request.
    fn send(&mut self, at: usize, call: CallId, request: Call) {
        let sent = self.hosts[at].timeline.sent();
        let trouble = !self.calm;
        if trouble && self.rng.percent(2) {
            self.seen.insert("a request was doubled");
            let delay = self.rng.between(10, 30_000);
            let request = request.clone();
            self.after(at, delay, Action::Arrives { call, request, sent, answer_lost: true });
        }
        let lost = trouble && self.rng.percent(4);
        let answer_lost = trouble && self.rng.percent(4);
        let late = trouble && self.rng.percent(2);
        if lost {
            self.seen.insert("a request was lost");
        } else {
            let delay = if late { TIMEOUT_MS } else { self.rng.between(1, 10) };
            self.after(at, delay, Action::Arrives { call, request, sent, answer_lost });
        }
        if answer_lost {
            self.seen.insert("an answer was lost");
        }
        // A connection that breaks is noticed before the time is over.
        let given_up = if self.rng.percent(50) { 100 } else { TIMEOUT_MS };
        let outcome = Outcome::Unknown { reason: "no answer".into() };
        self.after(at, given_up, Action::Answered { call, outcome, header: None });
    }

    fn arrives(
        &mut self,
        (host, life): (usize, u64),
        call: CallId,
        request: Call,
        sent: Sent,
        answer_lost: bool,
    ) {
        if self.now < self.away_until {
            // Some connections outlive it.
            if self.rng.percent(30) {
                let arrives = Action::Arrives { call, request, sent, answer_lost };
                self.queued += 1;
                self.queue.insert((self.away_until, self.queued), (host, life, arrives));
            }
            return;
        }
        let served = self.cluster.serve(self.now, request);
        if let Some(txn) = &served.applied {
            self.laws.applied(self.cluster.timeline, self.cluster.state.revision, txn);
        }
        self.claim_changed();
        if self.hosts[host].life != life || answer_lost {
            return;
        }
        let header =
            Header { sent, cluster: self.cluster.id, revision: self.cluster.state.revision };
        let outcome = served.outcome;
        self.after(host, 3, Action::Answered { call, outcome, header: Some(header) });
    }

    fn answered(&mut self, at: usize, call: CallId, outcome: Outcome, header: Option<Header>) {
        let outcome = match header.map(|header| self.observe(at, header)) {
            Some(Observed::Outdated) => Outcome::Unknown { reason: "set back".into() },
            _ => outcome,
        };
        self.tell(at, Event::Outcome { call, outcome });
    }

    /// What the client learns from an answer, whoever asked.
    fn observe(&mut self, at: usize, header: Header) -> Observed {
        let Header { sent, cluster, revision } = header;
        let observed = self.hosts[at].timeline.observe(sent, cluster, revision);
        if observed == Observed::SetBack {
            self.seen.insert("a restored backup was noticed");
            self.relist(at);
            self.tell(at, Event::Doubt);
        }
        observed
    }

    /// Watches of the claim, some of them late or lost.
    fn claim_changed(&mut self) {
        let claim = self.cluster.state.data.get(CLAIM);
        let token = claim.and_then(|claim| Claim::decode(&claim.value)).map(|claim| claim.token);
        for host in 0..HOSTS {
            let delay = if self.rng.percent(90) { 5 } else { 3_000 };
            if self.rng.percent(if self.calm { 20 } else { 10 }) {
                self.after(host, delay, Action::ClaimSeen(token));
            }
        }
    }
}

/// Following.
impl World {
    fn relist(&mut self, at: usize) {
        let follower = &mut self.hosts[at].follower;
        follower.round += 1;
        follower.machine = None;
        follower.stream = None;
        self.after(at, 5, Action::Load);
    }

    fn load(&mut self, at: usize) {
        if self.hosts[at].follower.machine.is_some() {
            return;
        }
        if self.now < self.away_until {
            return self.after(at, 200, Action::Load);
        }
        let sent = self.hosts[at].timeline.sent();
        let revision = self.cluster.state.revision;
        let header = Header { sent, cluster: self.cluster.id, revision };
        let (round, state) = (self.hosts[at].follower.round, self.cluster.under(DATA));
        self.after(at, 3, Action::Loaded { round, state, header });
    }

    fn loaded(&mut self, at: usize, round: u64, state: BTreeMap<String, Bytes>, header: Header) {
        if self.observe(at, header) != Observed::Onward {
            return self.relist(at);
        }
        let host = &mut self.hosts[at];
        if host.follower.round != round || host.follower.machine.is_some() {
            return;
        }
        let revision = host.timeline.revision(header.revision);
        assert!(revision >= host.follower.revision, "a load goes backwards");
        host.follower.revision = revision;
        host.follower.state = state;
        host.follower.check();
        host.follower.machine = Some(Follow::new(DATA.to_owned(), header.revision));
        self.follow(at, follow::Event::Start);
    }

    fn follow(&mut self, at: usize, event: follow::Event) {
        let host = &mut self.hosts[at];
        let Some(machine) = &mut host.follower.machine else { return };
        for effect in machine.apply(event) {
            let round = self.hosts[at].follower.round;
            match effect {
                follow::Effect::Check { key, revision } => {
                    let sent = self.hosts[at].timeline.sent();
                    self.hosts[at].follower.stream = None;
                    self.after(at, 5, Action::Check { round, key, revision, sent });
                }
                follow::Effect::Open { from } => self.after(at, 3, Action::Open { round, from }),
                follow::Effect::Deliver { revision, changes } => {
                    self.deliver(at, revision, changes);
                }
                follow::Effect::Relist => {
                    self.seen.insert("a watch had to list again");
                    return self.relist(at);
                }
            }
        }
    }

    fn deliver(&mut self, at: usize, revision: i64, changes: Vec<Change>) {
        let host = &mut self.hosts[at];
        let revision = host.timeline.revision(revision);
        assert!(revision > host.follower.revision, "a watch goes backwards");
        host.follower.revision = revision;
        host.follower.take(changes);
    }

    fn check(&mut self, at: usize, round: u64, key: &str, revision: i64, sent: Sent) {
        let trouble = !self.calm && self.rng.percent(10);
        let (checked, header) = if self.now < self.away_until || trouble {
            (Checked::Unreachable, None)
        } else {
            let header =
                Header { sent, cluster: self.cluster.id, revision: self.cluster.state.revision };
            (self.cluster.check(key, revision), Some(header))
        };
        if checked == Checked::Compacted {
            self.seen.insert("a watch met compaction");
        }
        if checked == Checked::Future {
            self.seen.insert("a watch met an older cluster");
        }
        self.after(at, 20, Action::Checked { round, checked, header });
    }

    fn checked(&mut self, at: usize, round: u64, checked: Checked, header: Option<Header>) {
        let outdated = header.is_some_and(|header| self.observe(at, header) == Observed::Outdated);
        if self.hosts[at].follower.round != round {
            return;
        }
        let checked = if outdated { Checked::Unreachable } else { checked };
        self.follow(at, follow::Event::Checked(checked));
    }

    fn open(&mut self, at: usize, round: u64, from: i64) {
        if self.hosts[at].follower.round != round {
            return;
        }
        if self.now < self.away_until {
            return self.follow(at, follow::Event::Broken);
        }
        let timeline = self.cluster.timeline;
        self.hosts[at].follower.stream = Some(Stream { next: from, timeline });
        self.after(at, 10, Action::Pump { round });
    }

    fn pump(&mut self, at: usize, round: u64) {
        if self.hosts[at].follower.round != round {
            return;
        }
        let Some(mut stream) = self.hosts[at].follower.stream.take() else { return };
        let breaks = !self.calm && self.rng.percent(3);
        if stream.timeline != self.cluster.timeline || self.now < self.away_until || breaks {
            self.seen.insert("a stream broke");
            return self.follow(at, follow::Event::Broken);
        }
        if self.cluster.is_compacted(stream.next) {
            self.seen.insert("a watch met compaction");
            let compacted = follow::Answer { compacted: true, ..follow::Answer::default() };
            return self.follow(at, follow::Event::Answer(compacted));
        }
        // Its member may be behind, and may say again what it said.
        let lag = if self.calm { 0 } else { i64::try_from(self.rng.below(20)).unwrap() };
        let to = (self.cluster.state.revision - lag).max(stream.next - 1);
        let again = i64::from(self.rng.percent(10)) * 3;
        let first = (stream.next - again).max(1);
        let mut changed = self.cluster.changes(DATA, first, to);
        stream.next = to + 1;
        self.hosts[at].follower.stream = Some(stream);
        self.after(at, if self.calm { 100 } else { 30 }, Action::Pump { round });
        if changed.len() > 3 && self.rng.percent(20) {
            let rest = changed.split_off(changed.len() / 2);
            let piece = follow::Answer { unfinished: true, changed, compacted: false };
            self.follow(at, follow::Event::Answer(piece));
            changed = rest;
        }
        let answer = follow::Answer { changed, ..follow::Answer::default() };
        self.follow(at, follow::Event::Answer(answer));
    }
}
