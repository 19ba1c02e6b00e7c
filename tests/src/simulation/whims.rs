//! What schedulers feel like doing: good, bad and stupid things.

use std::collections::BTreeSet;

use karman_api::convert::{Format, resources_from_wire, resources_to_wire};
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::{Operation, operation};
use karman_api::mesos::v1::scheduler::{Call, call};
use karman_model::quantity::Quantity;
use karman_model::ranges::Ranges;
use karman_model::resource::{Resource, Resources, Value};

use super::framework::{Step, View, of, set_roles};
use super::net::End;
use super::world::{What, World};

/// How the ids of executors of groups begin.
const GROUP: &str = "g";

/// As the weights of [`World::framework_acts`] are ordered.
const WEIGHTS: [u64; 18] = [40, 12, 10, 3, 6, 6, 3, 3, 2, 2, 2, 1, 2, 4, 2, 2, 1, 4];

impl World {
    pub(super) fn framework_acts(&mut self, index: usize) {
        if self.calm {
            return;
        }
        match self.rng.weighted(&WEIGHTS) {
            0 => self.accept(index),
            1 => self.decline(index),
            2 => self.kill(index),
            3 => self.suppress(index),
            4 => self.revive(index),
            5 => self.reconcile_implicitly(index),
            6 => self.launch_badly(index),
            7 => self.fail_over(index),
            8 => self.framework_leaves(index),
            9 => self.go_away(index),
            10 => self.stop_reading(index),
            11 => self.tear_down(index),
            12 => self.update(index),
            13 => self.operate(index),
            14 => self.shut_down(index),
            15 => self.talk(index),
            16 => self.subscribe_as_somebody(index),
            _ => self.answer_inverse_offers(index),
        }
    }

    /// Launches something on offers of one agent.
    fn accept(&mut self, index: usize) {
        let offers: Vec<v1::Offer> = self.frameworks[index].offers.values().cloned().collect();
        let Some(first) = self.rng.pick(&offers).cloned() else { return };
        let role =
            |offer: &v1::Offer| offer.allocation_info.as_ref().and_then(|it| it.role.clone());
        let all = self.rng.percent(30);
        let together: Vec<v1::Offer> = offers
            .into_iter()
            .filter(|it| {
                it.id == first.id
                    || all && it.agent_id == first.agent_id && role(it) == role(&first)
            })
            .collect();
        let mut left = Resources::EMPTY;
        for offer in &together {
            left += &resources_from_wire(&offer.resources).unwrap();
            self.frameworks[index].offers.remove(&offer.id.value);
        }
        let executor = self.executor(index, role(&first), &mut left);
        let mut task_infos = Vec::new();
        for _ in 0..self.rng.between(1, 4) {
            let resources = self.some_of(&left);
            if resources.is_empty() {
                continue;
            }
            left = left.saturating_sub(&resources);
            task_infos.push(self.task(index, &first.agent_id, &resources));
        }
        let operation = self.launch(index, task_infos, executor);
        self.accept_with(index, &together, vec![operation]);
    }

    /// Now and then one of two in each role; a group needs one.
    fn executor(
        &mut self,
        index: usize,
        role: Option<String>,
        left: &mut Resources,
    ) -> Option<v1::ExecutorInfo> {
        if !self.rng.percent(35) {
            return None;
        }
        let is_group = self.rng.percent(50);
        let cost = if is_group { "cpus:0.1;mem:32;disk:1" } else { "cpus:0.2;mem:16" };
        let cost = Resources::parse(cost, "*").unwrap();
        if !left.unallocated().contains(&cost) && self.rng.percent(80) {
            return None;
        }
        let role = role.unwrap_or_default();
        let number = self.rng.below(2);
        *left = left.saturating_sub(&cost.allocated_to(&role)).saturating_sub(&cost);
        let id = self.frameworks[index].id.clone().unwrap_or_default();
        let kind = if is_group { GROUP } else { "e" };
        // One by the same id is always the same.
        let is_custom = !is_group || number == 0;
        Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId {
                value: format!("{kind}{number}-{}", role.replace('/', "-")),
            },
            r#type: Some(
                if is_custom {
                    v1::executor_info::Type::Custom
                } else {
                    v1::executor_info::Type::Default
                }
                .into(),
            ),
            framework_id: Some(v1::FrameworkId { value: id }),
            command: is_custom
                .then(|| v1::CommandInfo { value: Some("run".to_owned()), ..Default::default() }),
            resources: resources_to_wire(&cost, self.format(index)),
            ..Default::default()
        })
    }

    fn format(&self, index: usize) -> Format {
        if self.frameworks[index].refinement { Format::Refined } else { Format::Legacy }
    }

    fn launch(
        &mut self,
        index: usize,
        mut tasks: Vec<v1::TaskInfo>,
        executor: Option<v1::ExecutorInfo>,
    ) -> Operation {
        for task in &tasks {
            if let Some(view) = self.frameworks[index].tasks.get_mut(&task.name) {
                view.executor = executor.as_ref().map(|it| it.executor_id.value.clone());
            }
        }
        let mut operation = Operation::default();
        let is_group = executor.as_ref().is_some_and(|it| it.executor_id.value.starts_with(GROUP));
        if let (Some(executor), true) = (&executor, is_group) {
            let executor = executor.clone();
            let task_group = v1::TaskGroupInfo { tasks };
            operation.r#type = Some(operation::Type::LaunchGroup.into());
            operation.launch_group = Some(operation::LaunchGroup { executor, task_group });
            return operation;
        }
        if let Some(executor) = &executor {
            for task in &mut tasks {
                task.command = None;
                task.executor = Some(Box::new(executor.clone()));
            }
        }
        operation.r#type = Some(operation::Type::Launch.into());
        operation.launch = Some(operation::Launch { task_infos: tasks });
        operation
    }

    fn answer_inverse_offers(&mut self, index: usize) {
        let inverse = std::mem::take(&mut self.frameworks[index].inverse);
        let inverse_offer_ids = inverse.into_values().map(|offer| offer.id).collect();
        let filters = self.filters();
        let call = if self.rng.percent(50) {
            let answer = call::AcceptInverseOffers { inverse_offer_ids, filters };
            let kind = call::Type::AcceptInverseOffers;
            Call { accept_inverse_offers: Some(answer), ..of(kind) }
        } else {
            let answer = call::DeclineInverseOffers { inverse_offer_ids, filters };
            let kind = call::Type::DeclineInverseOffers;
            Call { decline_inverse_offers: Some(answer), ..of(kind) }
        };
        self.call(index, call);
    }

    pub(super) fn accept_with(
        &mut self,
        index: usize,
        offers: &[v1::Offer],
        operations: Vec<Operation>,
    ) {
        let offer_ids = offers.iter().map(|offer| offer.id.clone()).collect();
        let filters = self.filters();
        let accept = Some(call::Accept { offer_ids, operations, filters });
        self.call(index, Call { accept, ..of(call::Type::Accept) });
    }

    fn filters(&mut self) -> Option<v1::Filters> {
        let seconds = [0.0, 0.5, 1.0, 5.0, 30.0, 300.0, -1.0, f64::NAN, 1e300];
        let refuse_seconds = self.rng.pick(&seconds).copied();
        self.rng.percent(60).then_some(v1::Filters { refuse_seconds })
    }

    /// Writes the task down before anybody hears of it.
    fn task(&mut self, index: usize, agent: &v1::AgentId, resources: &Resources) -> v1::TaskInfo {
        let launched = self.now;
        let framework = &mut self.frameworks[index];
        framework.tasks_made += 1;
        let name = format!("f{index}-t{}", framework.tasks_made);
        let agent_name = agent.value.clone();
        let view =
            View { state: None, agent: agent_name, launched, executor: None, doubled: false };
        framework.tasks.insert(name.clone(), view);
        self.task_named(index, name, agent, resources)
    }

    fn task_named(
        &self,
        index: usize,
        name: String,
        agent: &v1::AgentId,
        resources: &Resources,
    ) -> v1::TaskInfo {
        let format = self.format(index);
        v1::TaskInfo {
            name: name.clone(),
            task_id: v1::TaskId { value: name },
            agent_id: agent.clone(),
            command: Some(v1::CommandInfo { value: Some("true".to_owned()), ..Default::default() }),
            resources: resources_to_wire(resources, format),
            ..Default::default()
        }
    }

    /// A part of each, or none of it.
    pub(super) fn some_of(&mut self, all: &Resources) -> Resources {
        let mut some = Resources::EMPTY;
        for Resource { kind, value } in all {
            let value = match value {
                Value::Scalar(amount) => {
                    let most = u64::try_from(amount.thousandths()).unwrap_or(0);
                    // Now and then all of it.
                    let part =
                        if self.rng.percent(10) { most } else { self.rng.below(most / 2 + 1) };
                    Value::Scalar(Quantity::from_thousandths(i64::try_from(part).unwrap()))
                }
                Value::Ranges(_) | Value::Set(_) if self.rng.percent(50) => continue,
                Value::Ranges(ranges) => {
                    let Some(first) = ranges.numbers().next() else { continue };
                    Value::Ranges(Ranges::single(first))
                }
                Value::Set(set) => Value::Set(set.clone()),
            };
            some.insert(Resource { kind: kind.clone(), value });
        }
        some
    }

    fn decline(&mut self, index: usize) {
        let offers = std::mem::take(&mut self.frameworks[index].offers);
        let (gone, kept) = offers.into_iter().partition(|_| self.rng.percent(70));
        self.frameworks[index].offers = kept;
        let gone: std::collections::BTreeMap<String, v1::Offer> = gone;
        let offer_ids = gone.into_values().map(|offer| offer.id).collect();
        let filters = self.filters();
        let decline = Some(call::Decline { offer_ids, filters });
        self.call(index, Call { decline, ..of(call::Type::Decline) });
    }

    fn kill(&mut self, index: usize) {
        let live = self.frameworks[index].tasks.iter().filter(|(_, view)| !view.is_over());
        let mut names: Vec<String> = live.map(|(name, _)| name.clone()).collect();
        if self.rng.percent(10) {
            names = vec![format!("f{index}-t{}", self.rng.below(9999))];
        }
        let Some(name) = self.rng.pick(&names).cloned() else { return };
        let kill = Some(call::Kill {
            task_id: v1::TaskId { value: name },
            agent_id: None,
            kill_policy: None,
        });
        self.call(index, Call { kill, ..of(call::Type::Kill) });
    }

    fn suppress(&mut self, index: usize) {
        let roles = self.roles(index);
        self.frameworks[index].suppressed.extend(roles.clone());
        let suppress = Some(call::Suppress { roles: roles.into_iter().collect() });
        self.call(index, Call { suppress, ..of(call::Type::Suppress) });
    }

    pub(super) fn revive(&mut self, index: usize) {
        self.frameworks[index].suppressed.clear();
        let revive = Some(call::Revive::default());
        self.call(index, Call { revive, ..of(call::Type::Revive) });
    }

    #[expect(deprecated, reason = "frameworks without MULTI_ROLE say their role there")]
    pub(super) fn roles(&self, index: usize) -> BTreeSet<String> {
        let info = &self.frameworks[index].info;
        info.roles.iter().chain(&info.role).cloned().collect()
    }

    fn reconcile_implicitly(&mut self, index: usize) {
        let reconcile = Some(call::Reconcile::default());
        self.call(index, Call { reconcile, ..of(call::Type::Reconcile) });
    }

    /// Stale offers, offers of several agents, names that are taken, tasks that
    /// are too large.
    fn launch_badly(&mut self, index: usize) {
        let mut offers: Vec<v1::Offer> = self.frameworks[index].offers.values().cloned().collect();
        let Some(first) = self.rng.pick(&offers).cloned() else { return };
        let mut resources = resources_from_wire(&first.resources).unwrap();
        let mut name = None;
        match self.rng.below(4) {
            0 => {
                let live = self.frameworks[index].tasks.iter().filter(|(_, view)| !view.is_over());
                name =
                    self.rng.pick(&live.map(|(name, _)| name.clone()).collect::<Vec<_>>()).cloned();
                let Some(view) =
                    name.as_ref().and_then(|name| self.frameworks[index].tasks.get_mut(name))
                else {
                    return;
                };
                view.doubled = true;
                resources = self.some_of(&resources);
                offers = vec![first.clone()];
            }
            1 => {
                resources = resources.clone() + resources;
                offers = vec![first.clone()];
            }
            2 => {
                let id = v1::OfferId { value: format!("m1-O{}", self.rng.below(500)) };
                offers = vec![v1::Offer { id, ..first.clone() }];
            }
            _ => offers.push(first.clone()),
        }
        for offer in &offers {
            self.frameworks[index].offers.remove(&offer.id.value);
        }
        let task = match name {
            Some(name) => self.task_named(index, name, &first.agent_id, &resources),
            None => self.task(index, &first.agent_id, &resources),
        };
        let launch = Some(operation::Launch { task_infos: vec![task] });
        let kind = Some(operation::Type::Launch.into());
        self.accept_with(
            index,
            &offers,
            vec![Operation { r#type: kind, launch, ..Default::default() }],
        );
    }

    /// Another instance takes over while this one still listens.
    fn fail_over(&mut self, index: usize) {
        if let Some(master) = self.leader
            && self.frameworks[index].unreachable_until <= self.now
        {
            self.framework_subscribes(index, master);
        }
    }

    fn go_away(&mut self, index: usize) {
        let forever = self.rng.percent(10);
        self.note(&[40, index as u64], || format!("framework {index} goes away"));
        self.frameworks[index].up = false;
        self.framework_leaves(index);
        let wait = self.rng.between(500, 400_000);
        if forever {
            self.frameworks[index].dead = true;
        } else {
            self.after(wait, What::Framework { index, step: Step::Return });
        }
    }

    fn stop_reading(&mut self, index: usize) {
        let Some(conn) = self.frameworks[index].conn else { return };
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.backlog.get_or_insert_default();
        self.note(&[41, index as u64], || format!("framework {index} does not read"));
        let wait = self.rng.between(1000, 200_000);
        self.after(wait, What::Framework { index, step: Step::Read(conn) });
    }

    fn tear_down(&mut self, index: usize) {
        self.truth.torn_down.insert(index);
        self.call(index, of(call::Type::Teardown));
        if self.rng.percent(50) {
            self.framework_dies(index);
        }
    }

    fn update(&mut self, index: usize) {
        let framework = &mut self.frameworks[index];
        let Some(id) = framework.id.clone() else { return };
        let mut info = framework.info.clone();
        set_roles(&mut info, framework.multi_role, &mut self.rng);
        framework.info = info.clone();
        framework.suppressed.clear();
        info.id = Some(v1::FrameworkId { value: id });
        let update_framework =
            Some(call::UpdateFramework { framework_info: info, ..Default::default() });
        self.call(index, Call { update_framework, ..of(call::Type::UpdateFramework) });
    }

    fn shut_down(&mut self, index: usize) {
        let live = self.frameworks[index].tasks.iter().filter(|(_, view)| !view.is_over());
        let executor = |name: &String, view: &View| view.executor.clone().unwrap_or(name.clone());
        let live: Vec<(String, String)> =
            live.map(|(name, view)| (executor(name, view), view.agent.clone())).collect();
        let Some((executor, agent)) = self.rng.pick(&live).cloned() else { return };
        let shutdown = Some(call::Shutdown {
            executor_id: v1::ExecutorId { value: executor },
            agent_id: v1::AgentId { value: agent },
        });
        self.call(index, Call { shutdown, ..of(call::Type::Shutdown) });
    }

    /// Calls that mean nothing.
    fn talk(&mut self, index: usize) {
        let call = match self.rng.below(4) {
            0 => of(call::Type::Request),
            1 => of(call::Type::Accept),
            2 => Call {
                acknowledge: Some(call::Acknowledge {
                    agent_id: v1::AgentId { value: "m1-S0".to_owned() },
                    task_id: v1::TaskId { value: format!("f{index}-t1") },
                    uuid: vec![7; 16].into(),
                }),
                ..of(call::Type::Acknowledge)
            },
            _ => Call { accept: Some(call::Accept::default()), ..of(call::Type::Accept) },
        };
        self.call(index, call);
    }

    /// Under the name of another and with nonsense in it: must not disturb him.
    fn subscribe_as_somebody(&mut self, index: usize) {
        let ids: Vec<String> = self.truth.frameworks.iter().cloned().collect();
        let (Some(master), Some(id)) = (self.leader, self.rng.pick(&ids).cloned()) else { return };
        let conn = self.connect(super::net::Client::Framework(index), master);
        let info = v1::FrameworkInfo {
            id: Some(v1::FrameworkId { value: id }),
            principal: Some("mallory".to_owned()),
            ..Default::default()
        };
        let packet = super::net::Packet::Subscribe { info: Box::new(info), suppressed: Vec::new() };
        self.send(conn, End::Master, packet);
    }

    /// Reserves, creates and takes back, sometimes all in one.
    fn operate(&mut self, index: usize) {
        let offers: Vec<v1::Offer> = self.frameworks[index].offers.values().cloned().collect();
        let Some(offer) = self.rng.pick(&offers).cloned() else { return };
        self.frameworks[index].offers.remove(&offer.id.value);
        let operations = self.operations(index, &offer);
        self.accept_with(index, std::slice::from_ref(&offer), operations);
    }
}
