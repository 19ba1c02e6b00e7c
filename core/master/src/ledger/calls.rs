//! The calls of frameworks that are subscribed.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{Call, call};
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::time::Timestamp;

use super::{CallGate, Framework, Ledger, View, is_terminal};

impl View {
    /// As [`Ledger::gate`], as of a moment ago.
    pub fn gate(
        &self,
        framework: &FrameworkId,
        stream: Option<&str>,
        principal: Option<&str>,
    ) -> CallGate {
        gate(self.frameworks.get(framework), stream, principal)
    }
}

fn gate(
    framework: Option<&Arc<Framework>>,
    stream: Option<&str>,
    principal: Option<&str>,
) -> CallGate {
    let Some(framework) = framework else { return CallGate::UnknownFramework };
    if principal.is_some() && principal != framework.info.principal.as_deref() {
        return CallGate::WrongPrincipal;
    }
    let Some(current) = framework.stream() else { return CallGate::Disconnected };
    match stream {
        None => CallGate::NoStreamId,
        Some(stream) if stream != &**current => CallGate::WrongStreamId,
        Some(_) => CallGate::Open,
    }
}

impl Ledger {
    /// Whether a call of `framework` that shows `stream` may come in; `principal`
    /// is who the caller has proved to be, where that is asked.
    pub fn gate(
        &self,
        framework: &FrameworkId,
        stream: Option<&str>,
        principal: Option<&str>,
    ) -> CallGate {
        gate(self.frameworks.get(framework), stream, principal)
    }

    pub(super) fn call(&mut self, now: Timestamp, framework: &FrameworkId, call: Call) {
        // Records share the id that the framework itself has.
        let known = self.frameworks.get(framework).map(|known| known.id.clone());
        let framework = known.as_ref().unwrap_or(framework);
        let kind = call.r#type();
        *self.counters.calls.entry(kind.as_str_name()).or_default() += 1;
        match kind {
            call::Type::Accept => self.accept(now, framework, call.accept.unwrap_or_default()),
            call::Type::Decline => self.decline(now, framework, &call.decline.unwrap_or_default()),
            call::Type::Revive => {
                if let Some(roles) = self.own_roles(framework, &call.revive.unwrap_or_default().roles) {
                    self.allocator.revive(framework, &roles);
                    self.revive_inverse_offers(framework);
                }
            }
            call::Type::Suppress => {
                if let Some(roles) = self.own_roles(framework, &call.suppress.unwrap_or_default().roles) {
                    self.allocator.suppress(framework, &roles);
                }
            }
            call::Type::Kill => call.kill.into_iter().for_each(|kill| self.kill(now, framework, kill)),
            call::Type::Shutdown => call.shutdown.into_iter().for_each(|it| self.shutdown(framework, it)),
            call::Type::Acknowledge => call.acknowledge.into_iter().for_each(|it| self.acknowledge(framework, &it)),
            call::Type::Reconcile => self.reconcile(now, framework, &call.reconcile.unwrap_or_default()),
            call::Type::ReconcileOperations => {
                self.reconcile_operations(framework, call.reconcile_operations.unwrap_or_default());
            }
            call::Type::AcknowledgeOperationStatus => {
                let acknowledge = call.acknowledge_operation_status;
                acknowledge.into_iter().for_each(|it| self.acknowledge_operation(framework, &it));
            }
            call::Type::Message => {
                call.message.into_iter().for_each(|it| self.message(framework, it));
            }
            call::Type::Teardown => self.remove_framework(now, framework),
            call::Type::AcceptInverseOffers => {
                let it = call.accept_inverse_offers.unwrap_or_default();
                self.answer_inverse_offers(now, framework, &it.inverse_offer_ids, it.filters.as_ref(), true);
            }
            call::Type::DeclineInverseOffers => {
                let it = call.decline_inverse_offers.unwrap_or_default();
                self.answer_inverse_offers(now, framework, &it.inverse_offer_ids, it.filters.as_ref(), false);
            }
            // Requests are hints that the allocator does not need: it offers all
            // that is free anyway.
            call::Type::Request
            // These two are answered before they come here.
            | call::Type::Subscribe
            | call::Type::UpdateFramework
            | call::Type::Unknown => {}
        }
    }

    /// `None` if one of them is not the framework's: the whole call is ignored.
    fn own_roles(&self, framework: &FrameworkId, roles: &[String]) -> Option<BTreeSet<Role>> {
        let own = &self.frameworks.get(framework)?.roles;
        roles.iter().map(|role| own.get(role.as_str()).cloned()).collect()
    }

    fn kill(&mut self, now: Timestamp, framework: &FrameworkId, kill: call::Kill) {
        let call::Kill { task_id, agent_id, kill_policy } = kill;
        let id = TaskId::from(&task_id);
        let Some(task) = self.frameworks.get(framework).and_then(|owner| owner.task(&id)) else {
            // Says what is known of it, so that the framework can forget it.
            let task = call::reconcile::Task { task_id, agent_id };
            return self.reconcile(now, framework, &call::Reconcile { tasks: vec![task] });
        };
        let is_elsewhere =
            agent_id.as_ref().is_some_and(|agent| agent.value != task.agent.as_str());
        let is_over = self
            .frameworks
            .get(framework)
            .is_some_and(|owner| owner.tasks.get(&id).is_some_and(|task| task.is_terminal()));
        if is_elsewhere || is_over {
            return;
        }
        let agent = task.agent.clone();
        if let Some(owner) = self.framework_mut(framework) {
            owner.change_task(&id, |task| task.kill = Some(kill_policy));
        }
        self.tell_kill(&agent, framework, &id, kill_policy);
    }

    pub(super) fn tell_kill(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        task: &TaskId,
        kill_policy: Option<v1::KillPolicy>,
    ) {
        let kill = session::Kill {
            framework_id: Some(framework.into()),
            task_id: Some(task.into()),
            kill_policy,
        };
        self.tell(agent, Body::Kill(kill));
    }

    /// The executor of a command task has the id of the task.
    fn shutdown(&mut self, framework: &FrameworkId, shutdown: call::Shutdown) {
        let call::Shutdown { executor_id, agent_id } = shutdown;
        let message = session::ShutdownExecutor {
            framework_id: Some(framework.into()),
            executor_id: Some(executor_id),
        };
        self.tell(&(&agent_id).into(), Body::ShutdownExecutor(message));
    }

    /// Best effort: an agent that is away does not hear of it.
    fn message(&mut self, framework: &FrameworkId, message: call::Message) {
        let call::Message { agent_id, executor_id, data } = message;
        let message = session::ExecutorMessage {
            framework_id: Some(framework.into()),
            executor_id: Some(executor_id),
            data,
        };
        let heard = self.tell(&(&agent_id).into(), Body::Message(message));
        self.note_metric(if heard {
            "valid_framework_to_executor_messages"
        } else {
            "invalid_framework_to_executor_messages"
        });
    }

    fn acknowledge(&mut self, framework: &FrameworkId, acknowledge: &call::Acknowledge) {
        let call::Acknowledge { agent_id, task_id, uuid } = acknowledge;
        let agent = AgentId::from(agent_id);
        let message = session::Acknowledge {
            framework_id: Some(framework.into()),
            task_id: Some(task_id.clone()),
            uuid: uuid.clone(),
        };
        self.note_metric("messages_status_update_acknowledgement");
        if !self.tell(&agent, Body::Acknowledge(message)) {
            // The agent will send the update again when it is back.
            self.note_metric("invalid_status_update_acknowledgements");
            return;
        }
        self.note_metric("valid_status_update_acknowledgements");
        let id = TaskId::from(task_id);
        let Some(owner) = self.framework_mut(framework) else { return };
        if owner.tasks.get(&id).is_none_or(|task| task.told_uuid() != Some(&**uuid)) {
            return;
        }
        let is_over = owner.tasks.change(&id, |task| {
            task.unacknowledged = false;
            is_terminal(task.told_state())
        });
        if is_over == Some(true) {
            self.complete_task(framework, &id);
        }
    }
}
