//! ACCEPT: offers become tasks, the rest is free again.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::offer::operation;
use karman_api::mesos::v1::scheduler::{self, call, event};
use karman_api::mesos::v1::task_status::Reason;
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, OfferId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::status::{self, Verdict, precise};
use super::{Ledger, Task};
use crate::validate;

/// How long declined resources are not offered again unless the framework says.
const REFUSE_DEFAULT: Duration = Duration::from_secs(5);
/// Who refuses for no time would otherwise be offered the same for ever without
/// a pause.
const REFUSE_MIN: Duration = Duration::from_millis(250);
const REFUSE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn refusal(filters: Option<&v1::Filters>) -> Duration {
    let seconds =
        filters.and_then(|filters| filters.refuse_seconds).unwrap_or(REFUSE_DEFAULT.as_secs_f64());
    if seconds.is_nan() || seconds < 0.0 {
        return REFUSE_DEFAULT;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(REFUSE_MAX).clamp(REFUSE_MIN, REFUSE_MAX)
}

/// What is being spent.
struct Purse {
    framework: FrameworkId,
    agent: AgentId,
    role: Role,
    left: Resources,
    launched: Vec<v1::TaskInfo>,
}

impl Ledger {
    pub(super) fn accept(&mut self, now: Timestamp, framework: &FrameworkId, accept: call::Accept) {
        let call::Accept { offer_ids, operations, filters } = accept;
        let ids: Vec<OfferId> = offer_ids.iter().map(Into::into).collect();
        let mut purse = match self.open(framework, &ids) {
            Ok(purse) => purse,
            Err(problem) => {
                return self.refuse_operations(now, framework, &ids, operations, &problem);
            }
        };
        for operation in operations {
            self.operate(now, &mut purse, operation);
        }
        let Purse { framework, agent, role, left, launched } = purse;
        self.allocator.refuse(&agent, &framework, &role, &left, now + refusal(filters.as_ref()));
        self.allocator.release(&agent, &framework, &role, &left);
        if !launched.is_empty()
            && let Some(owner) = self.frameworks.get(&framework)
        {
            let launch = session::Launch {
                framework: Some((*owner.info).clone()),
                executor: None,
                tasks: launched,
            };
            self.tell(&agent, Body::Launch(launch));
        }
    }

    pub(super) fn decline(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        decline: &call::Decline,
    ) {
        let until = now + refusal(decline.filters.as_ref());
        for id in decline.offer_ids.iter().map(OfferId::from) {
            if self.offers.get(&id).is_some_and(|offer| offer.framework == *framework) {
                self.discard_offer(&id, Some(until));
            }
        }
    }

    /// Puts the offers together, if they belong together.
    fn open(&mut self, framework: &FrameworkId, ids: &[OfferId]) -> Result<Purse, String> {
        let Some(first) = ids.first() else { return Err("No offers specified".to_owned()) };
        if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
            return Err("Duplicate offer in offer list".to_owned());
        }
        let mut sum = Resources::EMPTY;
        let mut place: Option<(AgentId, Role)> = None;
        for id in ids {
            let offer =
                self.offers.get(id).ok_or_else(|| format!("Offer {id} is no longer valid"))?;
            if offer.framework != *framework {
                return Err(format!("Offer {id} belongs to another framework"));
            }
            let here = (offer.agent.clone(), Arc::clone(&offer.role));
            if place.get_or_insert_with(|| here.clone()) != &here {
                return Err(format!("Offers {first} and {id} are of different agents or roles"));
            }
            sum += &offer.resources;
        }
        for id in ids {
            self.take_offer(id);
        }
        let (agent, role) = place.ok_or_else(|| "No offers specified".to_owned())?;
        Ok(Purse { framework: framework.clone(), agent, role, left: sum, launched: Vec::new() })
    }

    /// The offers are void: everything that was to be done with them fails.
    fn refuse_operations(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        ids: &[OfferId],
        operations: Vec<v1::offer::Operation>,
        problem: &str,
    ) {
        for id in ids {
            if self.offers.get(id).is_some_and(|offer| offer.framework == *framework) {
                self.discard_offer(id, None);
            }
        }
        let Some(capabilities) =
            self.frameworks.get(framework).map(|framework| framework.capabilities)
        else {
            return;
        };
        for operation in operations {
            for task in tasks_of(&operation) {
                let state = precise(capabilities, TaskState::TaskDropped);
                let verdict = Verdict::new(state, Reason::InvalidOffers, problem);
                let status =
                    verdict.status(now, &(&task.task_id).into(), Some(&(&task.agent_id).into()));
                self.count_end(state);
                self.send_status(framework, status);
            }
            self.operation_error(framework, &operation, problem);
        }
    }

    fn operate(&mut self, now: Timestamp, purse: &mut Purse, operation: v1::offer::Operation) {
        match operation.r#type() {
            operation::Type::Launch => {
                let with_id = operation.id.is_some();
                for task in operation.launch.map(|launch| launch.task_infos).unwrap_or_default() {
                    if with_id {
                        self.task_error(
                            now,
                            purse,
                            &task,
                            Reason::TaskInvalid,
                            "LAUNCH operations cannot have an id",
                        );
                    } else {
                        self.launch(now, purse, task);
                    }
                }
            }
            operation::Type::LaunchGroup => {
                for task in tasks_of(&operation) {
                    let problem = "task groups are not supported by this release";
                    self.task_error(now, purse, task, Reason::TaskGroupInvalid, problem);
                }
            }
            operation::Type::Unknown
            | operation::Type::Reserve
            | operation::Type::Unreserve
            | operation::Type::Create
            | operation::Type::Destroy
            | operation::Type::GrowVolume
            | operation::Type::ShrinkVolume
            | operation::Type::CreateDisk
            | operation::Type::DestroyDisk => {
                self.operation_error(
                    &purse.framework,
                    &operation,
                    "the operation is not supported by this release",
                );
            }
        }
    }

    fn launch(&mut self, now: Timestamp, purse: &mut Purse, mut info: v1::TaskInfo) {
        validate::task::complete(&mut info, &purse.role);
        let Some(framework) = self.frameworks.get(&purse.framework) else { return };
        let id = TaskId::from(&info.task_id);
        let known = framework.task(&id).is_some();
        let resources = match validate::task::check(&info, &purse.agent, &purse.role, known) {
            Ok(resources) => resources,
            Err(problem) => {
                return self.task_error(
                    now,
                    purse,
                    &info,
                    Reason::TaskInvalid,
                    &problem.to_string(),
                );
            }
        };
        let Some(left) = purse.left.checked_sub(&resources) else {
            let problem =
                format!("Task uses more resources {resources} than available {}", purse.left);
            return self.task_error(now, purse, &info, Reason::TaskInvalid, &problem);
        };
        if !self.agents.get(&purse.agent).is_some_and(|agent| agent.is_registered()) {
            let state = precise(framework.capabilities, TaskState::TaskDropped);
            let verdict = Verdict::new(state, Reason::AgentDisconnected, "Agent is not connected");
            self.count_end(state);
            let status = verdict.status(now, &id, Some(&purse.agent));
            return self.send_status(&purse.framework, status);
        }
        purse.left = left;
        let resources = self.pool.share(resources);
        let (framework, role) = (purse.framework.clone(), Arc::clone(&purse.role));
        let task = Task::new(framework, purse.agent.clone(), role, &info, resources);
        purse.launched.push(info);
        self.add_task(task);
    }

    /// Puts a task on the books; its resources have been charged already.
    pub(super) fn add_task(&mut self, task: Task) {
        self.touch_task(&task.framework, &task.id);
        self.invite(&task.agent);
        if let Some(agent) = self.agent_mut(&task.agent) {
            agent.tasks.insert((task.framework.clone(), task.id.clone()));
            if !task.is_terminal() {
                agent.used += &task.resources;
            }
        }
        if let Some(framework) = self.frameworks.get_mut(&task.framework).map(Arc::make_mut) {
            framework.tasks.insert(Arc::new(task));
        }
    }

    fn task_error(
        &mut self,
        now: Timestamp,
        purse: &Purse,
        task: &v1::TaskInfo,
        reason: Reason,
        problem: &str,
    ) {
        let verdict = Verdict::new(TaskState::TaskError, reason, problem);
        self.count_end(TaskState::TaskError);
        let status = verdict.status(now, &(&task.task_id).into(), Some(&purse.agent));
        self.send_status(&purse.framework, status);
    }

    fn operation_error(
        &mut self,
        framework: &FrameworkId,
        operation: &v1::offer::Operation,
        problem: &str,
    ) {
        // Only operations with an id are reported on.
        let Some(id) = &operation.id else { return };
        let status = v1::OperationStatus {
            operation_id: Some(id.clone()),
            state: v1::OperationState::OperationError.into(),
            message: Some(problem.to_owned()),
            ..Default::default()
        };
        let update_operation_status = Some(event::UpdateOperationStatus { status });
        let kind = event::Type::UpdateOperationStatus;
        self.send(framework, scheduler::Event { update_operation_status, ..status::event(kind) });
    }

    pub(super) fn count_end(&mut self, state: TaskState) {
        *self.counters.tasks.entry(state.as_str_name()).or_default() += 1;
    }
}

fn tasks_of(operation: &v1::offer::Operation) -> impl Iterator<Item = &v1::TaskInfo> {
    let launch = operation.launch.iter().flat_map(|launch| &launch.task_infos);
    launch.chain(operation.launch_group.iter().flat_map(|group| &group.task_group.tasks))
}
