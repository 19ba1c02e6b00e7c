//! The machine under a small world that loses messages and kills it: seeded,
//! the same seed makes the same world.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use karman_api::mesos::v1::scheduler::call::Type;
use karman_api::mesos::v1::value::{self, Range, Ranges, Scalar};
use karman_api::mesos::v1::{AgentId, Offer, OfferId, Resource, TaskId, TaskState, TaskStatus};
use karman_store::Entry;
use serde_json::json;

use super::*;
use crate::record::{self, InstanceRecord};

const AGENTS: [&str; 3] = ["a0", "a1", "a2"];
const APPS: [&str; 2] = ["/web", "/db"];

enum Message {
    Offers(Vec<Offer>),
    Update(Box<TaskStatus>),
}

/// The store, the master with its agents, and what is on its way between them.
struct World {
    core: Core,
    random: Random,
    now: Timestamp,
    store: BTreeMap<String, Bytes>,
    calls: VecDeque<Call>,
    messages: VecDeque<Message>,
    /// Task and agent; the state is what the agent would say.
    tasks: BTreeMap<String, (String, TaskState)>,
    offers: BTreeMap<String, String>,
    suppressed: bool,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            core: Core::new(seed),
            random: Random::new(seed ^ 1),
            now: Timestamp(1_000_000),
            store: BTreeMap::new(),
            calls: VecDeque::new(),
            messages: VecDeque::new(),
            tasks: BTreeMap::new(),
            offers: BTreeMap::new(),
            suppressed: true,
            trace: Vec::new(),
        };
        world.subscribe();
        world
    }

    fn pick(&mut self, n: usize) -> usize {
        usize::try_from(self.random.number() % n.max(1) as u64).unwrap()
    }

    fn subscribe(&mut self) {
        self.suppressed = true;
        self.offers.clear();
        self.core.subscribed(self.now, "f1", "http://master");
        self.release();
    }

    /// Stores, then sends.
    fn release(&mut self) {
        let effects = self.core.take_effects();
        for change in effects.changes {
            match change {
                Change::Put { key, value } => drop(self.store.insert(key, value)),
                Change::Delete { key } => drop(self.store.remove(&key)),
            }
        }
        self.calls.extend(effects.calls);
        self.check();
    }

    /// Every task that exists was on record before it was launched, under its
    /// very incarnation or, being on its way out, an earlier one.
    fn check(&self) {
        for task in self.tasks.keys() {
            let (instance, incarnation) = crate::instance::parse_task_id(task).unwrap();
            let Some(value) = self.store.get(&record::instance_key(instance)) else { continue };
            let stored: InstanceRecord = record::decode(value).unwrap();
            let (_, stored) = stored.restore(instance.to_owned());
            assert!(
                stored.incarnation >= incarnation,
                "{task} was launched before it was on record"
            );
        }
    }

    /// The process dies: what it had in memory or on its way is lost, of the
    /// calls perhaps the later part only.
    fn crash(&mut self) {
        for _ in 0..self.pick(self.calls.len() + 1) {
            self.serve_call();
        }
        self.calls.clear();
        self.messages.clear();
        let seed = self.random.number();
        self.core = Core::new(seed);
        let entries: Vec<Entry> = self
            .store
            .iter()
            .map(|(key, value)| Entry { key: key.clone(), value: value.clone(), revision: 1 })
            .collect();
        self.core.restore(self.now, &entries).unwrap();
        self.release();
        self.subscribe();
    }

    fn serve_call(&mut self) {
        let Some(call) = self.calls.pop_front() else { return };
        match call.r#type() {
            Type::Accept => {
                let accept = call.accept.unwrap();
                let offer = self.offers.remove(&accept.offer_ids[0].value);
                for task in
                    accept.operations.into_iter().flat_map(|one| one.launch.unwrap().task_infos)
                {
                    let id = task.task_id.value;
                    assert!(!self.tasks.contains_key(&id), "{id} was launched twice");
                    match &offer {
                        Some(agent) => {
                            drop(self.tasks.insert(id, (agent.clone(), TaskState::TaskStaging)));
                        }
                        None => self.update(&id, TaskState::TaskDropped),
                    }
                }
            }
            Type::Decline => {
                for offer in call.decline.unwrap().offer_ids {
                    self.offers.remove(&offer.value);
                }
            }
            Type::Revive => {
                self.suppressed = false;
                self.offer();
            }
            Type::Suppress => self.suppressed = true,
            Type::Kill => {
                let id = call.kill.unwrap().task_id.value;
                let known = self.tasks.remove(&id).is_some();
                self.update(
                    &id,
                    if known { TaskState::TaskKilled } else { TaskState::TaskUnknown },
                );
            }
            Type::Reconcile => {
                let mut ids: Vec<String> = call
                    .reconcile
                    .unwrap()
                    .tasks
                    .into_iter()
                    .map(|task| task.task_id.value)
                    .collect();
                if ids.is_empty() {
                    ids = self.tasks.keys().cloned().collect();
                }
                for id in ids {
                    let state =
                        self.tasks.get(&id).map_or(TaskState::TaskUnknown, |(_, state)| *state);
                    self.update(&id, state);
                }
            }
            Type::Acknowledge => {}
            other => panic!("{other:?} is not expected"),
        }
    }

    fn offer(&mut self) {
        if self.suppressed {
            return;
        }
        let open: Vec<String> = self.offers.values().cloned().collect();
        let mut offers = Vec::new();
        for agent in AGENTS.iter().filter(|agent| !open.contains(&(**agent).to_owned())) {
            let id = format!("o{}", self.random.number());
            self.offers.insert(id.clone(), (*agent).to_owned());
            let used = self.tasks.values().filter(|(on, _)| on == agent).count();
            offers.push(offer(id, agent, 6.0 - used as f64));
        }
        self.messages.push_back(Message::Offers(offers));
    }

    fn update(&mut self, id: &str, state: TaskState) {
        let agent = self.tasks.get(id).map_or_else(|| "a0".to_owned(), |(agent, _)| agent.clone());
        self.messages.push_back(Message::Update(Box::new(TaskStatus {
            task_id: TaskId { value: id.into() },
            state: state.into(),
            agent_id: Some(AgentId { value: agent }),
            uuid: Some(Bytes::from_static(&[7; 16])),
            ..TaskStatus::default()
        })));
    }

    fn deliver(&mut self) {
        match self.messages.pop_front() {
            None => return,
            Some(Message::Offers(offers)) => self.core.offers(self.now, &offers),
            Some(Message::Update(status)) => {
                self.core.update(self.now, &status);
                self.core.settle(self.now);
            }
        }
        self.release();
    }

    /// A task gets further, or fails.
    fn work(&mut self, may_fail: bool) {
        let at = self.pick(self.tasks.len());
        let Some(id) = self.tasks.keys().nth(at).cloned() else { return };
        if may_fail && self.pick(4) == 0 {
            self.tasks.remove(&id);
            self.update(&id, TaskState::TaskFailed);
        } else if let Some((_, state)) = self.tasks.get_mut(&id) {
            *state = TaskState::TaskRunning;
            self.update(&id, TaskState::TaskRunning);
        }
    }

    fn user(&mut self) {
        let app = APPS[self.pick(APPS.len())].to_owned();
        let body = json!({
            "cmd": format!("run {}", self.pick(3)), "instances": self.pick(4), "cpus": 1, "backoffSeconds": 1,
            "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5},
        });
        let serde_json::Value::Object(body) = body else { panic!("is an object") };
        let force = self.pick(2) == 0;
        let which = Which::App { app: app.clone(), host: None };
        let first = self.core.deployments().next().map(|deployment| deployment.id.clone());
        let command = match self.pick(6) {
            0 => Command::Delete { apps: vec![app], force },
            1 => Command::Restart { app, force },
            2 => Command::Kill(KillRequest { which, scale: false, wipe: force, force }),
            3 => Command::StopDeployment { id: first.unwrap_or_default(), force },
            _ => Command::Update {
                items: vec![Item { id: Some(app), body }],
                replace: false,
                create: true,
                force,
                origin: Origin::default(),
            },
        };
        // Refusals change nothing and are as good as any outcome here.
        drop(self.core.command(self.now, command));
        self.release();
    }

    fn pass(&mut self, by: Duration) {
        self.now = self.now + by;
        self.core.tick(self.now);
        self.release();
    }

    fn step(&mut self) {
        match self.pick(20) {
            0..6 => self.serve_call(),
            6..12 => self.deliver(),
            12..15 => self.work(true),
            15 => self.user(),
            16 => self.crash(),
            17 => self.offer(),
            18 => self.pass(Duration::from_millis(500)),
            _ => self.pass(Duration::from_secs(20)),
        }
        self.trace.push(format!("{} {} {}", self.tasks.len(), self.calls.len(), self.store.len()));
    }

    /// Nothing goes wrong any more, until nothing moves.
    fn calm_down(&mut self) {
        for _ in 0..100 {
            for _ in 0..self.tasks.len() {
                self.work(false);
            }
            while !self.calls.is_empty() || !self.messages.is_empty() {
                self.serve_call();
                self.deliver();
            }
            // Long enough for refusals to run out.
            self.pass(Duration::from_secs(10));
            self.offer();
        }
    }
}

fn offer(id: String, agent: &str, cpus: f64) -> Offer {
    let scalar = |name: &str, value: f64| Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    };
    let ports = Resource {
        name: "ports".into(),
        r#type: value::Type::Ranges.into(),
        ranges: Some(Ranges { range: vec![Range { begin: 31_000, end: 31_999 }] }),
        ..Resource::default()
    };
    Offer {
        id: OfferId { value: id },
        agent_id: AgentId { value: agent.into() },
        hostname: agent.into(),
        resources: vec![scalar("cpus", cpus), scalar("mem", 1e6), ports],
        ..Offer::default()
    }
}

fn live(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..300 {
        world.step();
    }
    world
}

#[test]
fn whatever_happens_the_goal_is_reached_in_the_end() {
    for seed in 0..60 {
        let mut world = live(seed);
        world.calm_down();
        assert_eq!(
            world.core.deployments().count(),
            0,
            "seed {seed}: {:?}",
            world.core.deployments
        );
        let mut wanted = 0;
        for app in APPS {
            let instances = world.core.target(app).map_or(0, |spec| spec.app.instances as usize);
            let prefix = format!("{}.instance-", app.trim_start_matches('/'));
            let tasks = world.tasks.keys().filter(|task| task.starts_with(&prefix)).count();
            assert_eq!(tasks, instances, "seed {seed}: {app}");
            wanted += instances;
        }
        let on_record = world.store.keys().filter(|key| key.starts_with(record::INSTANCES)).count();
        assert_eq!((world.tasks.len(), on_record), (wanted, wanted), "seed {seed}");
    }
}

/// A machine that is subscribed and was asked for an app.
fn with_app(app: serde_json::Value) -> Core {
    let serde_json::Value::Object(body) = app else { panic!("is an object") };
    let mut core = Core::new(1);
    core.subscribed(Timestamp(1000), "f1", "http://master");
    let origin = Origin::default();
    core.command(Timestamp(1000), Command::Create { body, force: false, origin }).unwrap();
    assert_eq!(said(&mut core).last(), Some(&Type::Revive));
    core
}

fn said(core: &mut Core) -> Vec<Type> {
    core.take_effects().calls.iter().map(Call::r#type).collect()
}

fn offered(core: &mut Core, ms: u64, agent: &str) -> Vec<Type> {
    core.offers(Timestamp(ms), &[offer(format!("o{ms}"), agent, 4.0)]);
    said(core)
}

#[test]
fn what_fits_nowhere_is_refused_for_long() {
    let mut core = with_app(json!({"id": "/big", "cmd": "run", "cpus": 100}));
    core.offers(Timestamp(2000), &[offer("o".into(), "a0", 4.0)]);
    let calls = core.take_effects().calls;
    let declined = calls.iter().filter_map(|call| call.decline.as_ref()?.filters.as_ref());
    let seconds: Vec<_> = declined.map(|filters| filters.refuse_seconds).collect();
    assert_eq!((calls.len(), seconds), (1, vec![Some(120.0)]));
    core.tick(Timestamp(500_000));
    assert!(!said(&mut core).contains(&Type::Revive));
    // It shall be smaller: now it may fit.
    let serde_json::Value::Object(body) = json!({"cpus": 1}) else { panic!("is an object") };
    let items = vec![Item { id: Some("/big".into()), body }];
    let (replace, create, force, origin) = (false, false, true, Origin::default());
    let update = Command::Update { items, replace, create, force, origin };
    core.command(Timestamp(500_000), update).unwrap();
    assert_eq!(said(&mut core), [Type::Revive]);
}

#[test]
fn refusals_are_taken_back_when_constraints_may_allow_more() {
    let mut core = with_app(json!({
        "id": "/web", "cmd": "run", "cpus": 1, "instances": 2, "constraints": [["hostname", "UNIQUE"]],
    }));
    assert_eq!(offered(&mut core, 2000, "a0"), [Type::Accept, Type::Revive]);
    assert_eq!(offered(&mut core, 3000, "a0"), [Type::Decline]);
    let (_, _, (task, _)) = core.launched().next().unwrap();
    let which = Which::App { app: "/web".into(), host: None };
    let kill = KillRequest { which, scale: false, wipe: true, force: false };
    core.command(Timestamp(4000), Command::Kill(kill)).unwrap();
    said(&mut core);
    let status = TaskStatus {
        task_id: TaskId { value: task },
        state: TaskState::TaskKilled.into(),
        ..TaskStatus::default()
    };
    core.update(Timestamp(5000), &status);
    core.settle(Timestamp(5000));
    assert_eq!(said(&mut core), [Type::Revive]);
}

#[test]
fn a_kill_that_is_asked_for_again_is_repeated_at_one_pace() {
    let mut core = with_app(json!({"id": "/web", "cmd": "run", "cpus": 1}));
    offered(&mut core, 2000, "a0");
    for ms in [3000, 3500, 4000] {
        let which = Which::App { app: "/web".into(), host: None };
        let kill = KillRequest { which, scale: false, wipe: false, force: false };
        core.command(Timestamp(ms), Command::Kill(kill)).unwrap();
        assert_eq!(said(&mut core), [Type::Kill]);
    }
    let retries = core.timers.iter().filter(|(_, timer)| matches!(timer, Timer::Kill(_)));
    assert_eq!(retries.count(), 1);
}

#[test]
fn a_change_that_cannot_be_put_on_record_is_refused_whole() {
    let mut core = Core::new(1);
    let items = (0..10_000).map(|n| {
        let id = format!("/one-of-very-many-applications-{n}");
        let app = json!({"id": id, "cmd": "run", "portDefinitions": []});
        let serde_json::Value::Object(body) = app else { panic!("is an object") };
        Item { id: None, body }
    });
    let (items, origin) = (items.collect(), Origin::default());
    let update = Command::Update { items, replace: true, create: true, force: false, origin };
    let refused = core.command(Timestamp(1000), update);
    assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{refused:?}");
    let effects = core.take_effects();
    assert_eq!((effects.changes.len(), core.services.len(), core.deployments.len()), (0, 0, 0));
}

#[test]
fn the_same_seed_makes_the_same_world() {
    assert_eq!(live(7).trace, live(7).trace);
}
