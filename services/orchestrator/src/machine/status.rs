//! Takes in what the master says about tasks.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::task::TaskFailure;
use karman_api::marathon::v2::time;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{TaskState, TaskStatus};
use karman_model::time::Timestamp;

use crate::instance::{Condition, End, Goal, Instance, Observation, Outcome, parse_task_id};

use super::timers::Timer;
use super::{Core, calls};

impl Core {
    /// An UPDATE event.
    pub fn update(&mut self, now: Timestamp, status: &TaskStatus) {
        self.take_in(now, status);
        // Sent only after what was learnt is on record.
        if let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id) {
            let call = calls::acknowledge(agent_id.clone(), status.task_id.clone(), uuid.clone());
            self.out.calls.push(call);
        }
    }

    fn take_in(&mut self, now: Timestamp, status: &TaskStatus) {
        let Some(seen) = observation(status) else { return };
        let task_id = &status.task_id.value;
        let known = parse_task_id(task_id).and_then(|(id, incarnation)| {
            let (app, instance) = self.instance(id)?;
            (instance.incarnation == incarnation).then(|| (app.to_owned(), instance.clone()))
        });
        let Some((app, before)) = known else { return self.unknown_task(status, &seen) };
        self.unanswered.remove(&before.id);
        let mut instance = before.clone();
        let outcome = instance.observe(now, &seen);
        if seen.healthy == Some(false) {
            self.publish_failed_check(&app, &instance);
        }
        if outcome == Outcome::Same {
            return;
        }
        if instance.condition != before.condition {
            self.publish_status(&app, &instance, &seen.message);
        }
        match outcome {
            Outcome::Same => {}
            Outcome::Changed { condition, health } => {
                let id = instance.id.clone();
                if health {
                    self.publish_health(&app, &instance);
                }
                self.change(&id, |stored| *stored = instance);
                if condition && matches!(seen.condition, Condition::Unreachable) {
                    self.unreachable_for_long(now, &id);
                }
                self.dirty.insert(app);
            }
            Outcome::Ended(end) => self.ended(now, &app, instance, &end, &seen),
        }
    }

    fn ended(
        &mut self,
        now: Timestamp,
        app: &str,
        instance: Instance,
        end: &End,
        seen: &Observation,
    ) {
        if end.unhealthy {
            self.publish_unhealthy_kill(app, &instance, &seen.message);
        }
        let Some(service) = self.services.get_mut(app) else { return };
        if end.delays {
            service.fail(now);
            self.timers.insert((service.backoff.until(), Timer::Backoff(app.to_owned())));
        }
        if end.failure {
            service.last_failure = Some(failure(now, app, &instance, seen));
            self.store_service(app);
        }
        let id = instance.id.clone();
        if instance.goal == Goal::Running {
            self.change(&id, |stored| {
                *stored = instance;
                stored.reschedule(now);
            });
            self.revive_wanted = true;
        } else {
            self.expunge(&id);
        }
        self.dirty.insert(app.to_owned());
    }

    /// A task that is not wanted, or no longer: it must not run on.
    fn unknown_task(&mut self, status: &TaskStatus, seen: &Observation) {
        let task_id = status.task_id.value.clone();
        let agent = status.agent_id.as_ref().map(|agent| agent.value.clone());
        if seen.condition.is_terminal() {
            self.publish_unknown_end(&task_id, seen.condition);
        } else if seen.condition != Condition::Unreachable {
            self.out.calls.push(calls::kill(task_id, agent));
        }
    }
}

fn failure(now: Timestamp, app: &str, instance: &Instance, seen: &Observation) -> TaskFailure {
    TaskFailure {
        app_id: app.to_owned(),
        host: instance.host().to_owned(),
        message: seen.message.clone(),
        state: seen.condition.task_state().to_owned(),
        task_id: instance.task_id(),
        timestamp: time::format(now.as_ms()),
        version: time::format(instance.version.as_ms()),
        slave_id: instance.placement.as_ref().map(|placement| placement.agent_id.clone()),
    }
}

fn observation(status: &TaskStatus) -> Option<Observation> {
    let condition = match TaskState::try_from(status.state).ok()? {
        TaskState::TaskStaging => Condition::Staging,
        TaskState::TaskStarting => Condition::Starting,
        TaskState::TaskRunning => Condition::Running,
        TaskState::TaskKilling => Condition::Killing,
        TaskState::TaskFinished => Condition::Finished,
        TaskState::TaskFailed => Condition::Failed,
        TaskState::TaskKilled => Condition::Killed,
        TaskState::TaskError => Condition::Error,
        TaskState::TaskDropped | TaskState::TaskLost => Condition::Dropped,
        TaskState::TaskUnreachable => Condition::Unreachable,
        TaskState::TaskGone | TaskState::TaskGoneByOperator => Condition::Gone,
        TaskState::TaskUnknown => Condition::Unknown,
    };
    let reason = status.reason.and_then(|reason| Reason::try_from(reason).ok());
    let networks = status.container_status.iter().flat_map(|container| &container.network_infos);
    let addresses = networks.flat_map(|network| &network.ip_addresses);
    Some(Observation {
        condition,
        healthy: status.healthy,
        message: status.message.clone().unwrap_or_default(),
        ips: addresses.filter_map(|address| address.ip_address.clone()).collect(),
        launch_refused: matches!(
            reason,
            Some(
                Reason::InvalidOffers
                    | Reason::AgentRemoved
                    | Reason::AgentDisconnected
                    | Reason::MasterDisconnected
            )
        ),
    })
}
