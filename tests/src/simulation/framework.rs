//! Schedulers: what they keep, how they connect, what they do with what they
//! hear. What they feel like doing is in `whims`.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::framework_info::{Capability, capability::Type};
use karman_api::mesos::v1::scheduler::{self, Call, call};
use karman_master::ledger::{CallGate, is_terminal};
use karman_model::resource::Resources;

use super::net::{Client, Conn, End, Packet};
use super::rng::Rng;
use super::world::{What, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Dial,
    /// Whether it is subscribed by now.
    Answered(Conn),
    Act,
    Reconcile,
    Return,
    /// Reads again.
    Read(Conn),
}

/// What a scheduler keeps on its disk of a task.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// What it heard last; it has sent the launch if there is nothing.
    pub(super) state: Option<TaskState>,
    pub(super) agent: String,
    pub(super) launched: u64,
    /// Of its own, or of its group.
    pub(super) executor: Option<String>,
    /// It launched another by the same name.
    pub(super) doubled: bool,
}

impl View {
    pub(super) fn is_over(&self) -> bool {
        self.state.is_some_and(|state| {
            is_terminal(state)
                || matches!(state, TaskState::TaskUnknown | TaskState::TaskGoneByOperator)
        })
    }
}

#[derive(Debug)]
pub(super) struct Framework {
    pub(super) info: v1::FrameworkInfo,
    pub(super) failover_ms: u64,
    pub(super) multi_role: bool,
    pub(super) refinement: bool,
    pub(super) id: Option<String>,
    pub(super) tasks: BTreeMap<String, View>,
    pub(super) tasks_made: u64,
    pub(super) offers: BTreeMap<String, v1::Offer>,
    /// What it is asked to leave, by the id of the question.
    pub(super) inverse: BTreeMap<String, v1::InverseOffer>,
    pub(super) up: bool,
    pub(super) conn: Option<Conn>,
    pub(super) subscribed: bool,
    dialling: bool,
    pub(super) unreachable_until: u64,
    /// It will never come back.
    pub(super) dead: bool,
    pub(super) suppressed: BTreeSet<String>,
    /// When the calls before arrive, by the connection that they take.
    lanes: [u64; 2],
    /// Acts only now and then.
    pub(super) lazy: bool,
    acting: bool,
    reconciling: bool,
}

impl Framework {
    pub(super) fn new(index: usize, rng: &mut Rng) -> Self {
        let multi_role = rng.percent(60);
        let mut has = vec![Type::TaskKillingState];
        has.retain(|_| rng.percent(50));
        let refinement = rng.percent(60);
        has.extend(multi_role.then_some(Type::MultiRole));
        has.extend(refinement.then_some(Type::ReservationRefinement));
        has.extend(rng.percent(60).then_some(Type::PartitionAware));
        let failover_ms =
            *rng.pick(&[0, 0, 1000, 10_000, 60_000, 60_000, 300_000, 300_000]).unwrap();
        let mut info = v1::FrameworkInfo {
            user: "u".to_owned(),
            name: format!("f{index}"),
            principal: Some(format!("p{index}")),
            checkpoint: Some(true),
            #[expect(clippy::cast_precision_loss, reason = "small")]
            failover_timeout: Some(failover_ms as f64 / 1000.0),
            capabilities: has
                .into_iter()
                .map(|kind| Capability { r#type: Some(kind.into()) })
                .collect(),
            ..Default::default()
        };
        set_roles(&mut info, multi_role, rng);
        Self {
            info,
            failover_ms,
            multi_role,
            refinement,
            id: None,
            tasks: BTreeMap::new(),
            tasks_made: 0,
            offers: BTreeMap::new(),
            inverse: BTreeMap::new(),
            up: true,
            conn: None,
            subscribed: false,
            dialling: false,
            unreachable_until: 0,
            dead: false,
            suppressed: BTreeSet::new(),
            lanes: [0; 2],
            lazy: rng.percent(15),
            acting: false,
            reconciling: false,
        }
    }
}

pub(super) const ROLES: [&str; 4] = ["*", "a", "a/b", "c"];

#[expect(deprecated, reason = "frameworks without MULTI_ROLE say their role there")]
pub(super) fn set_roles(info: &mut v1::FrameworkInfo, multi_role: bool, rng: &mut Rng) {
    if multi_role {
        info.roles = ROLES.iter().filter(|_| rng.percent(50)).map(|&it| it.to_owned()).collect();
        if info.roles.is_empty() {
            info.roles = vec!["a".to_owned()];
        }
    } else {
        info.role = rng.pick(&ROLES).map(|&role| role.to_owned());
    }
}

impl World {
    pub(super) fn framework_step(&mut self, index: usize, step: Step) {
        match step {
            Step::Dial => self.framework_dials(index),
            Step::Answered(conn) => {
                let framework = &self.frameworks[index];
                if framework.conn == Some(conn) && !framework.subscribed {
                    self.framework_leaves(index);
                }
            }
            Step::Act => {
                self.frameworks[index].acting = false;
                if self.frameworks[index].subscribed {
                    self.framework_acts(index);
                    self.framework_will_act(index);
                }
            }
            Step::Reconcile => self.framework_reconciles(index),
            Step::Return => {
                self.frameworks[index].up = true;
                self.framework_will_dial(index);
            }
            Step::Read(conn) => self.framework_reads(index, conn),
        }
    }

    pub(super) fn framework_will_dial(&mut self, index: usize) {
        let framework = &mut self.frameworks[index];
        if framework.dead
            || !framework.up
            || framework.conn.is_some()
            || std::mem::replace(&mut framework.dialling, true)
        {
            return;
        }
        let wait = self.rng.between(10, 2000);
        self.after(wait, What::Framework { index, step: Step::Dial });
    }

    fn framework_dials(&mut self, index: usize) {
        let framework = &mut self.frameworks[index];
        framework.dialling = false;
        if framework.dead || !framework.up {
            return;
        }
        let Some(master) = self.leader.filter(|_| framework.unreachable_until <= self.now) else {
            return self.framework_will_dial(index);
        };
        self.framework_subscribes(index, master);
    }

    /// Whoever is connected already keeps its old stream until it is closed.
    pub(super) fn framework_subscribes(&mut self, index: usize, master: u64) {
        let conn = self.connect(Client::Framework(index), master);
        self.call_master.insert(conn, master);
        let framework = &mut self.frameworks[index];
        framework.conn = Some(conn);
        framework.subscribed = false;
        framework.offers.clear();
        framework.inverse.clear();
        self.lost_touch(index, conn);
        let framework = &self.frameworks[index];
        let mut info = framework.info.clone();
        info.id = framework.id.clone().map(|value| v1::FrameworkId { value });
        let suppressed = framework.suppressed.iter().cloned().collect();
        self.note(&[30, index as u64, conn], || {
            format!("framework {index} subscribes as {:?} on {conn}", info.id)
        });
        self.send(conn, End::Master, Packet::Subscribe { info: Box::new(info), suppressed });
        self.after(10_000, What::Framework { index, step: Step::Answered(conn) });
    }

    /// Hangs up; comes back unless it is down.
    pub(super) fn framework_leaves(&mut self, index: usize) {
        if let Some(conn) = self.frameworks[index].conn {
            self.lost_touch(index, conn);
            self.hang_up(conn, End::Client);
        }
        self.frameworks[index].conn = None;
        self.frameworks[index].subscribed = false;
        self.frameworks[index].offers.clear();
        self.frameworks[index].inverse.clear();
        self.framework_will_dial(index);
    }

    pub(super) fn framework_hung_up(&mut self, index: usize, conn: Conn) {
        if self.frameworks[index].conn == Some(conn) {
            self.framework_leaves(index);
        }
    }

    /// From now on its failover timeout may run.
    pub(super) fn lost_touch(&mut self, index: usize, conn: Conn) {
        if self.frameworks[index].conn == Some(conn) {
            let since = self.now;
            self.truth.away.entry(index).or_insert(since);
        }
    }

    fn framework_reads(&mut self, index: usize, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let waiting = link.backlog.take().unwrap_or_default();
        self.note(&[31, index as u64], || format!("framework {index} reads again"));
        for packet in waiting {
            self.send(conn, End::Client, packet);
        }
    }

    /// Sends a call on one of its other connections; it may arrive twice or never.
    pub(super) fn call(&mut self, index: usize, mut call: Call) {
        let framework = &self.frameworks[index];
        let (Some(conn), Some(id)) = (framework.conn, framework.id.clone()) else { return };
        call.framework_id = Some(v1::FrameworkId { value: id });
        let kind = call.r#type();
        self.note(&[32, index as u64, kind as u64], || {
            format!("framework {index} calls {}", kind.as_str_name())
        });
        if self.frameworks[index].unreachable_until > self.now
            || self.rng.percent(self.chances.lost_call)
        {
            return;
        }
        let copies = if self.rng.percent(self.chances.doubled_call) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.latency();
            let lane = usize::from(self.rng.percent(self.chances.reordered_call));
            let last = &mut self.frameworks[index].lanes[lane];
            let at = (self.now + delay).max(*last);
            *last = at;
            self.at(at, What::Call { from: index, conn, call: Box::new(call.clone()) });
        }
    }

    pub(super) fn framework_answered(&mut self, index: usize, conn: Conn, gate: CallGate) {
        // Its stream is not what it thinks.
        if gate != CallGate::Open
            && self.frameworks[index].conn == Some(conn)
            && self.frameworks[index].subscribed
        {
            self.note(&[33, index as u64], || format!("framework {index} is refused: {gate:?}"));
            self.framework_leaves(index);
        }
    }

    pub(super) fn framework_hears(
        &mut self,
        index: usize,
        conn: Conn,
        events: Vec<scheduler::Event>,
    ) {
        for event in events {
            if self.frameworks[index].conn != Some(conn) {
                return;
            }
            if let Some(subscribed) = event.subscribed {
                self.framework_subscribed(index, subscribed.framework_id.value);
            }
            for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
                self.framework_offered(index, offer);
            }
            if let Some(rescind) = event.rescind {
                self.frameworks[index].offers.remove(&rescind.offer_id.value);
            }
            for offer in event.inverse_offers.into_iter().flat_map(|it| it.inverse_offers) {
                self.framework_asked(index, offer);
            }
            if let Some(rescind) = event.rescind_inverse_offer {
                self.frameworks[index].inverse.remove(&rescind.inverse_offer_id.value);
            }
            if let Some(update) = event.update {
                self.framework_updated(index, update.status);
            }
            if let Some(update) = event.update_operation_status {
                self.operation_updated(index, update.status);
            }
            if let Some(executor) = event.failure.and_then(|failure| failure.executor_id) {
                self.executor_failed(index, &executor.value);
            }
            if let Some(error) = event.error {
                self.framework_failed(index, &error.message);
            }
        }
    }

    fn framework_subscribed(&mut self, index: usize, id: String) {
        let conn = self.frameworks[index].conn;
        if conn.and_then(|conn| self.call_master.get(&conn)) == self.leader.as_ref() {
            self.truth.away.remove(&index);
        }
        self.truth.frameworks.insert(id.clone());
        let framework = &mut self.frameworks[index];
        assert!(framework.id.as_ref().is_none_or(|known| *known == id), "a framework keeps its id");
        framework.id = Some(id.clone());
        framework.subscribed = true;
        self.truth.names.insert(id.clone(), index);
        self.note(&[34, index as u64], || format!("framework {index} is {id}"));
        self.framework_will_act(index);
        if self.calm {
            self.revive(index);
        }
        if !std::mem::replace(&mut self.frameworks[index].reconciling, true) {
            let wait = self.rng.between(1000, 15_000);
            self.after(wait, What::Framework { index, step: Step::Reconcile });
        }
    }

    fn framework_will_act(&mut self, index: usize) {
        let framework = &mut self.frameworks[index];
        if self.calm || std::mem::replace(&mut framework.acting, true) {
            return;
        }
        let slow = if framework.lazy { 20 } else { 1 };
        let wait = self.rng.between(50, 6000) * slow;
        self.after(wait, What::Framework { index, step: Step::Act });
    }

    fn framework_offered(&mut self, index: usize, offer: v1::Offer) {
        let agent = offer.agent_id.value.clone();
        let id = offer.id.value.clone();
        self.note(&[35, index as u64], || format!("framework {index} is offered {id} of {agent}"));
        let framework = &mut self.frameworks[index];
        assert_eq!(framework.id.as_ref(), Some(&offer.framework_id.value), "an offer for others");
        assert_eq!(offer.allocation_info.is_some(), framework.multi_role, "the format of offers");
        assert!(framework.offers.insert(id, offer).is_none(), "an offer is made once");
        // Nothing is in two live offers.
        let here = framework.offers.values().filter(|offer| offer.agent_id.value == agent);
        let all: Resources = here
            .map(|offer| resources_from_wire(&offer.resources).unwrap().unallocated())
            .map(|resources| plain(&resources))
            .fold(Resources::EMPTY, |sum, one| sum + one);
        let owner = self.agents.iter().find(|it| it.id.as_ref() == Some(&agent));
        if let Some(owner) = owner {
            let has = plain(&owner.largest);
            assert!(has.contains(&all), "framework {index} is offered {all} of {has} on {agent}");
        }
    }

    fn executor_failed(&mut self, index: usize, id: &str) {
        let mut tasks = self.frameworks[index].tasks.values();
        let is_own = tasks.any(|view| view.executor.as_deref() == Some(id));
        assert!(is_own, "framework {index} hears of the executor {id} of another");
        self.truth.seen.insert("an executor ends");
    }

    /// To leave an agent.
    fn framework_asked(&mut self, index: usize, offer: v1::InverseOffer) {
        let id = offer.id.value.clone();
        self.note(&[38, index as u64], || format!("framework {index} is asked {id}"));
        let framework = &mut self.frameworks[index];
        assert_eq!(framework.id.as_ref(), Some(&offer.framework_id.value), "a question to others");
        let agent = offer.agent_id.as_ref().map(|agent| agent.value.clone());
        let doubled = framework
            .inverse
            .values()
            .any(|other| other.agent_id.as_ref().map(|agent| agent.value.clone()) == agent);
        assert!(!doubled, "framework {index} is asked twice about {agent:?}");
        self.truth.seen.insert("a framework is asked to leave");
        assert!(framework.inverse.insert(id, offer).is_none(), "a question is asked once");
    }

    fn framework_updated(&mut self, index: usize, status: v1::TaskStatus) {
        let task = status.task_id.value.clone();
        let state = status.state();
        self.check_delivered(index, &status);
        self.note(&[36, index as u64, state as u64], || {
            format!(
                "framework {index} hears that {task} is {}: {}",
                state.as_str_name(),
                status.message()
            )
        });
        if let Some(view) = self.frameworks[index].tasks.get_mut(&task) {
            // An error is about the second of that name.
            if !(view.doubled && state == TaskState::TaskError) {
                view.state = Some(state);
            }
        }
        let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) else { return };
        if self.rng.percent(self.chances.forgotten_ack) {
            return;
        }
        self.truth.acknowledged.insert(uuid.to_vec());
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
        let kind = call::Type::Acknowledge;
        self.call(index, Call { acknowledge: Some(acknowledge), ..of(kind) });
    }

    fn operation_updated(&mut self, index: usize, status: v1::OperationStatus) {
        let (Some(operation_id), Some(uuid)) = (status.operation_id, status.uuid) else { return };
        self.truth.seen.insert("an operation is done");
        let acknowledge = call::AcknowledgeOperationStatus {
            agent_id: status.agent_id,
            operation_id,
            uuid: uuid.value,
            ..Default::default()
        };
        let kind = call::Type::AcknowledgeOperationStatus;
        self.call(index, Call { acknowledge_operation_status: Some(acknowledge), ..of(kind) });
    }

    fn framework_failed(&mut self, index: usize, message: &str) {
        self.note(&[37, index as u64], || format!("framework {index} fails: {message}"));
        match message {
            "Framework has been removed" => {
                self.check_removed(index);
                self.framework_dies(index);
            }
            // Of an instance before; the master has mixed up who is who.
            "Framework failed over" => {}
            other => panic!("framework {index} is refused: {other}"),
        }
    }

    pub(super) fn framework_dies(&mut self, index: usize) {
        self.frameworks[index].dead = true;
        self.framework_leaves(index);
    }

    /// Asks about all that should live, and again until everything is answered.
    fn framework_reconciles(&mut self, index: usize) {
        let now = self.now;
        let framework = &mut self.frameworks[index];
        framework.reconciling = framework.subscribed;
        if !framework.subscribed {
            return;
        }
        // A launch may be on its way: asking overtakes it.
        let old = |view: &View| view.state.is_some() || view.launched + 12_000 < now;
        let tasks: Vec<_> = framework
            .tasks
            .iter()
            .filter(|(_, view)| !view.is_over() && old(view))
            .map(|(task, view)| call::reconcile::Task {
                task_id: v1::TaskId { value: task.clone() },
                agent_id: Some(v1::AgentId { value: view.agent.clone() }),
            })
            .collect();
        if !tasks.is_empty() {
            let reconcile = Some(call::Reconcile { tasks });
            self.call(index, Call { reconcile, ..of(call::Type::Reconcile) });
        }
        let wait = self.rng.between(25_000, 40_000);
        self.after(wait, What::Framework { index, step: Step::Reconcile });
    }
}

/// A call with nothing in it.
pub(super) fn of(kind: call::Type) -> Call {
    Call { r#type: Some(kind.into()), ..Default::default() }
}

/// As if no operation had touched them and nothing were reserved.
pub(super) fn plain(resources: &Resources) -> Resources {
    let origins = resources.iter().cloned().map(|mut resource| {
        resource.kind = resource.kind.origin();
        resource
    });
    origins.collect::<Resources>().unreserved_view()
}
