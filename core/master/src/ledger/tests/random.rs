//! Whatever happens in whatever order, the books stay right: `World::apply`
//! checks them after each event.

use std::collections::BTreeMap;

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::session::AgentTask;
use karman_model::quantity::Quantity;
use karman_model::resource::{
    Disk, Persistence, Reservation, ReservationType, Resource, Resources, Value, Volume, VolumeMode,
};
use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::world::{World, has, task_info};

const RESOURCES: &str = "cpus:4;mem:1000;disk:1000;ports:[1000-1009]";

#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize),
    HangUp(usize),
    Accept {
        framework: usize,
        cpus: u32,
    },
    Decline(usize),
    Revive(usize),
    Suppress(usize),
    Kill {
        framework: usize,
        task: prop::sample::Index,
    },
    Teardown(usize),
    AgentUp {
        agent: usize,
        forgets: bool,
    },
    AgentDown(usize),
    Status {
        task: prop::sample::Index,
        terminal: bool,
    },
    Acknowledge(prop::sample::Index),
    /// Something of an offer, or of an agent by an operator, becomes something
    /// else.
    Convert {
        framework: Option<usize>,
        what: prop::sample::Index,
        how: u8,
        share: u32,
    },
    Wait(u64),
    Drain {
        agent: usize,
        mark_gone: bool,
    },
    Deactivate(usize),
    Reactivate(usize),
    MarkGone(usize),
    Schedule(bool),
    StartMaintenance,
    StopMaintenance,
    AnswerInverseOffers {
        framework: usize,
        accepts: bool,
    },
    Quota {
        role: usize,
        guarantee: u32,
        limit: u32,
    },
    Weight {
        role: usize,
        weight: u32,
    },
    /// The master dies; the next one has what was stored.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0usize..3).prop_map(Step::Subscribe),
        1 => (0usize..3).prop_map(Step::HangUp),
        6 => (0usize..3, 0u32..5000).prop_map(|(framework, cpus)| Step::Accept { framework, cpus }),
        2 => (0usize..3).prop_map(Step::Decline),
        1 => (0usize..3).prop_map(Step::Revive),
        1 => (0usize..3).prop_map(Step::Suppress),
        1 => (0usize..3, index()).prop_map(|(framework, task)| Step::Kill { framework, task }),
        1 => (0usize..3).prop_map(Step::Teardown),
        3 => (0usize..2, prop::bool::weighted(0.2)).prop_map(|(agent, forgets)| Step::AgentUp { agent, forgets }),
        1 => (0usize..2).prop_map(Step::AgentDown),
        5 => (index(), any::<bool>()).prop_map(|(task, terminal)| Step::Status { task, terminal }),
        4 => index().prop_map(Step::Acknowledge),
        5 => (prop::option::weighted(0.8, 0usize..3), index(), 0u8..3, 1u32..5).prop_map(
            |(framework, what, how, share)| Step::Convert { framework, what, how, share }
        ),
        2 => (1u64..130_000).prop_map(Step::Wait),
        1 => (0usize..2, prop::bool::weighted(0.2))
            .prop_map(|(agent, mark_gone)| Step::Drain { agent, mark_gone }),
        1 => (0usize..2).prop_map(Step::Deactivate),
        2 => (0usize..2).prop_map(Step::Reactivate),
        1 => prop_oneof![
            1 => (0usize..2).prop_map(Step::MarkGone),
            6 => any::<bool>().prop_map(Step::Schedule),
            1 => Just(Step::StartMaintenance),
            3 => Just(Step::StopMaintenance),
        ],
        2 => (0usize..3, any::<bool>())
            .prop_map(|(framework, accepts)| Step::AnswerInverseOffers { framework, accepts }),
        1 => (0usize..2, 0u32..3, 0u32..5)
            .prop_map(|(role, guarantee, limit)| Step::Quota { role, guarantee, limit }),
        1 => (0usize..2, 1u32..9).prop_map(|(role, weight)| Step::Weight { role, weight }),
        1 => Just(Step::Restart),
    ]
}

/// The world and what its agents know.
struct Play {
    world: World,
    ids: BTreeMap<usize, FrameworkId>,
    streams: usize,
    sessions: BTreeMap<usize, SessionId>,
    /// Agent, framework and state by task.
    tasks: BTreeMap<String, (usize, FrameworkId, &'static str)>,
    costs: BTreeMap<String, f64>,
    made: usize,
}

impl Play {
    fn stream(&self, framework: usize) -> Option<(FrameworkId, StreamId)> {
        let id = self.ids.get(&framework)?;
        let stream = self.world.ledger.frameworks.get(id)?.stream()?;
        Some((id.clone(), StreamId::clone(stream)))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Subscribe(framework) => self.subscribe(framework),
            Step::HangUp(framework) => {
                if let Some((_, stream)) = self.stream(framework) {
                    self.world.apply(Event::StreamClosed { stream });
                }
            }
            Step::Accept { framework, cpus } => self.accept(framework, cpus),
            Step::Decline(framework) => {
                let Some((id, _)) = self.stream(framework) else { return };
                let offers: Vec<_> = self.world.ledger.frameworks[&id]
                    .offers
                    .keys()
                    .map(OfferId::to_string)
                    .collect();
                let offers: Vec<_> =
                    offers.into_iter().map(|value| json!({"value": value})).collect();
                self.world.call(&id, json!({"type": "DECLINE", "decline": {"offer_ids": offers}}));
            }
            Step::Revive(framework) => self.simple(framework, "REVIVE"),
            Step::Suppress(framework) => self.simple(framework, "SUPPRESS"),
            Step::Teardown(framework) => {
                self.simple(framework, "TEARDOWN");
                self.ids.remove(&framework);
            }
            Step::Kill { framework, task } => {
                let (Some((id, _)), Some(task)) = (self.stream(framework), self.pick(&task)) else {
                    return;
                };
                self.world.call(&id, json!({"type": "KILL", "kill": {"task_id": {"value": task}}}));
            }
            Step::AgentUp { agent, forgets } => self.agent_up(agent, forgets),
            Step::AgentDown(agent) => {
                if let Some(session) = self.sessions.remove(&agent) {
                    self.world.apply(Event::SessionClosed { session });
                }
            }
            Step::Status { task, terminal } => self.status(&task, terminal),
            Step::Acknowledge(task) => {
                let Some(task) = self.pick(&task) else { return };
                let (agent, framework, state) = self.tasks[&task].clone();
                if self.world.ledger.frameworks.contains_key(&framework) {
                    self.world.acknowledge(&framework, &agent_id(agent), &task, state);
                }
            }
            Step::Convert { framework, what, how, share } => {
                self.convert(framework, &what, how, share);
            }
            Step::Wait(ms) => self.world.wait(ms),
            Step::Restart => self.restart(),
            Step::AnswerInverseOffers { framework, accepts } => self.answer(framework, accepts),
            command => {
                // May be refused; then nothing has changed, which is checked too.
                let _refused = self.command_of(&command).map(|it| self.world.command(it));
            }
        }
    }

    /// The steps that operators take.
    fn command_of(&self, step: &Step) -> Option<Command> {
        let host = || v1::MachineId { hostname: Some("host".into()), ip: None };
        let scalar = |value: u32| json!({"cpus": {"value": value}});
        Some(match step.clone() {
            Step::Drain { agent, mark_gone } => {
                Command::Drain { agent: agent_id(agent).into(), max_grace: None, mark_gone }
            }
            Step::Deactivate(agent) => Command::Deactivate { agent: agent_id(agent).into() },
            Step::Reactivate(agent) => Command::Reactivate { agent: agent_id(agent).into() },
            Step::MarkGone(agent) => Command::MarkGone { agent: agent_id(agent).into() },
            Step::Schedule(is_planned) => {
                let window = json!({"machine_ids": [host()],
                    "unavailability": {"start": {"nanoseconds": self.world.now.as_nanos()}}});
                let windows = if is_planned { vec![window] } else { vec![] };
                let schedule = serde_json::from_value(json!({"windows": windows})).unwrap();
                Command::UpdateSchedule { schedule }
            }
            Step::StartMaintenance => Command::StartMaintenance { machines: vec![host()] },
            Step::StopMaintenance => Command::StopMaintenance { machines: vec![host()] },
            Step::Quota { role, guarantee, limit } => {
                let config = json!({"role": format!("r{role}"), "guarantees": scalar(guarantee),
                    "limits": if limit > 0 { scalar(limit) } else { json!({}) }});
                let configs = vec![serde_json::from_value(config).unwrap()];
                Command::UpdateQuota { force: guarantee == 1, configs }
            }
            Step::Weight { role, weight } => Command::UpdateWeights {
                weights: vec![v1::WeightInfo {
                    weight: f64::from(weight),
                    role: Some(format!("r{role}")),
                }],
            },
            _other => return None,
        })
    }

    fn answer(&mut self, framework: usize, accepts: bool) {
        let Some((id, _)) = self.stream(framework) else { return };
        let inverse = &self.world.ledger.registry.inverse;
        let asked = inverse.offers.values().filter(|offer| offer.framework == id);
        let ids: Vec<_> = asked.map(|offer| json!({"value": offer.id.to_string()})).collect();
        let body = json!({"inverse_offer_ids": ids});
        let call = if accepts {
            json!({"type": "ACCEPT_INVERSE_OFFERS", "accept_inverse_offers": body})
        } else {
            json!({"type": "DECLINE_INVERSE_OFFERS", "decline_inverse_offers": body})
        };
        self.world.call(&id, call);
    }

    /// Nothing that was said is forgotten.
    fn restart(&mut self) {
        let next = self.world.restart();
        let (old, new) = (&self.world.ledger, &next.ledger);
        assert_eq!(old.registry.weights, new.registry.weights);
        assert_eq!(old.registry.quotas, new.registry.quotas);
        assert_eq!(old.registry.maintenance, new.registry.maintenance);
        assert_eq!(old.registry.gone, new.registry.gone);
        assert!(old.agents.keys().eq(new.agents.keys()), "agents are known again");
        for (id, agent) in &old.agents {
            assert_eq!(agent.standing, new.agents[id].standing, "{id}");
        }
        self.sessions.clear();
        self.world = World { sessions_made: self.world.sessions_made, ..next };
    }

    fn pick(&self, index: &prop::sample::Index) -> Option<String> {
        let at = (!self.tasks.is_empty()).then(|| index.index(self.tasks.len()))?;
        self.tasks.keys().nth(at).cloned()
    }

    fn simple(&mut self, framework: usize, kind: &str) {
        if let Some((id, _)) = self.stream(framework) {
            self.world.call(&id, json!({"type": kind}));
        }
    }

    fn subscribe(&mut self, framework: usize) {
        self.streams += 1;
        let mut info =
            json!({"failover_timeout": 50 * framework, "role": format!("r{}", framework % 2)});
        if framework == 1 {
            info["capabilities"] = json!([{"type": "PARTITION_AWARE"}]);
        }
        if let Some(id) = self.ids.get(&framework) {
            info["id"] = json!({"value": id.as_str()});
        }
        match self.world.subscribe(&format!("s{}", self.streams), info) {
            Some(id) => self.ids.insert(framework, id),
            None => self.ids.remove(&framework),
        };
    }

    fn accept(&mut self, framework: usize, cpus: u32) {
        let Some((id, _)) = self.stream(framework) else { return };
        let Some(offer) = self.world.ledger.frameworks[&id].offers.values().next().cloned() else {
            return;
        };
        self.made += 1;
        let task = format!("t{}", self.made);
        let wire = v1::Offer {
            id: (&offer.id).into(),
            agent_id: (&offer.agent).into(),
            ..Default::default()
        };
        self.world.launch(&id, &wire, &task, f64::from(cpus) / 1000.0);
        if self.world.ledger.frameworks[&id].tasks.contains_key(task.as_str()) {
            let agent = usize::from(offer.agent.as_str() == agent_id(1));
            self.costs.insert(task.clone(), f64::from(cpus) / 1000.0);
            self.tasks.insert(task, (agent, id, "TASK_STAGING"));
        }
    }

    fn convert(
        &mut self,
        framework: Option<usize>,
        what: &prop::sample::Index,
        how: u8,
        share: u32,
    ) {
        self.made += 1;
        let volume = format!("v{}", self.made);
        if let Some(framework) = framework {
            let Some((id, _)) = self.stream(framework) else { return };
            let ledger = &self.world.ledger;
            let Some(offer) = ledger.frameworks[&id].offers.values().next().cloned() else {
                return;
            };
            let resources: Vec<Resource> = offer.resources.unallocated().iter().cloned().collect();
            let picked = what.get(&resources);
            let operation = change(picked, how, share, &offer.role, &volume);
            let wire = v1::Offer { id: (&offer.id).into(), ..Default::default() };
            let mut operation = serde_json::to_value(operation).unwrap();
            if share.is_multiple_of(2) {
                operation["id"] = json!({"value": volume});
            }
            return self.world.accept(&id, &[wire], json!([operation]));
        }
        let agents: Vec<_> = self.world.ledger.agents.values().cloned().collect();
        if agents.is_empty() {
            return;
        }
        let agent = what.get(&agents);
        let resources: Vec<Resource> = agent.total.iter().cloned().collect();
        let operation = change(what.get(&resources), how, share, "r0", &volume);
        let operate = Command::Operate {
            agent: agent.id.clone(),
            principal: None,
            operation: Box::new(operation),
        };
        let _may_be_refused = self.world.command(operate);
    }

    /// Whatever was converted into whatever, there is as much as in the beginning.
    fn check(&self) {
        for agent in self.world.ledger.agents.values() {
            assert_eq!(agent.total.origin(), Resources::parse(RESOURCES, "*").unwrap());
        }
    }

    fn agent_up(&mut self, agent: usize, forgets: bool) {
        if forgets {
            self.tasks.retain(|_, (owner, ..)| *owner != agent);
        }
        let here = self.tasks.iter().filter(|(_, (owner, ..))| *owner == agent);
        let known = here
            .map(|(task, (_, framework, state))| {
                let info = task_info(&agent_id(agent), task, self.costs[task]);
                let info = serde_json::from_value(info).unwrap();
                AgentTask { task: Some(info), ..has(framework, &agent_id(agent), task, state) }
            })
            .collect();
        let session = self.world.agent_with(RESOURCES, Some(&agent_id(agent)), known, vec![]);
        self.sessions.insert(agent, session);
    }

    fn status(&mut self, index: &prop::sample::Index, terminal: bool) {
        let Some(task) = self.pick(index) else { return };
        let (agent, framework, state) = self.tasks[&task].clone();
        let Some(session) = self.sessions.get(&agent).copied() else { return };
        if state == "TASK_FINISHED" {
            return;
        }
        let state = if terminal { "TASK_FINISHED" } else { "TASK_RUNNING" };
        self.tasks.insert(task.clone(), (agent, framework.clone(), state));
        self.world.status(session, &framework, &task, state);
    }
}

/// Some operation that fits the resource.
fn change(from: &Resource, how: u8, share: u32, role: &str, id: &str) -> v1::offer::Operation {
    use v1::offer::operation as wire;
    let part = match &from.value {
        Value::Scalar(amount) => {
            let part = amount.thousandths() / i64::from(share);
            Value::Scalar(Quantity::from_thousandths(part.max(1)))
        }
        whole @ (Value::Ranges(_) | Value::Set(_)) => whole.clone(),
    };
    let to_wire = |resource: Resource| convert::resource_to_wire(&resource, Format::Refined);
    let mut kind = from.kind.clone();
    let mut operation = v1::offer::Operation::default();
    let said = if kind.is_persistent_volume() {
        match (how, &part) {
            (2, Value::Scalar(by)) => {
                let subtract = v1::value::Scalar { value: by.as_f64() };
                let volume = to_wire(from.clone());
                operation.shrink_volume = Some(wire::ShrinkVolume { volume, subtract });
                wire::Type::ShrinkVolume
            }
            _whole => {
                operation.destroy = Some(wire::Destroy { volumes: vec![to_wire(from.clone())] });
                wire::Type::Destroy
            }
        }
    } else if how == 1 && &*kind.name == "disk" && kind.reserved_to().is_some() {
        kind.disk = Some(Box::new(Disk {
            persistence: Some(Persistence { id: id.to_owned(), principal: None }),
            volume: Some(Volume {
                container_path: "data".to_owned(),
                host_path: None,
                mode: VolumeMode::ReadWrite,
            }),
            source: None,
        }));
        let volumes = vec![to_wire(Resource { kind, value: part })];
        operation.create = Some(wire::Create { volumes });
        wire::Type::Create
    } else if kind.reserved_to().is_some() {
        let resources = vec![to_wire(Resource { kind, value: part })];
        operation.unreserve = Some(wire::Unreserve { resources });
        wire::Type::Unreserve
    } else {
        kind.reservations.push(Reservation {
            kind: ReservationType::Dynamic,
            role: role.into(),
            principal: None,
            labels: Vec::new(),
        });
        let resources = vec![to_wire(Resource { kind, value: part })];
        operation.reserve = Some(wire::Reserve { source: Vec::new(), resources });
        wire::Type::Reserve
    };
    operation.r#type = Some(said.into());
    operation
}

fn agent_id(agent: usize) -> String {
    format!("agent-{agent}")
}

proptest! {
    #[test]
    fn the_books_stay_right(steps in prop::collection::vec(step(), 1..80)) {
        let mut play = Play {
            world: World::new(),
            ids: BTreeMap::new(),
            streams: 0,
            sessions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            costs: BTreeMap::new(),
            made: 0,
        };
        for step in steps {
            play.step(step);
            play.check();
        }
    }
}
