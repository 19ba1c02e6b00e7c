//! Frameworks come, fail over, go away for a while, go away for ever.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_allocator::{Constraints, Role};
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::scheduler::{self, OfferConstraints, event};
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::time::Timestamp;

use super::framework::roles_of;
use super::{Effect, Framework, Key, Ledger, Link, REMOVED_IDS_MAX, StreamId, Timer, status};
use crate::validate;

/// How often a framework hears from the master when nothing happens.
pub(super) const HEARTBEAT_SECONDS: u32 = 15;

impl Ledger {
    pub(super) fn subscribe(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        mut info: v1::FrameworkInfo,
        suppressed: &[String],
        wanted: Option<Box<OfferConstraints>>,
    ) {
        info.id = info.id.filter(|id| !id.value.is_empty());
        let id = info.id.as_ref().map(FrameworkId::from);
        self.note_metric(if id.is_some() {
            "messages_reregister_framework"
        } else {
            "messages_register_framework"
        });
        let old = id.as_ref().and_then(|id| self.frameworks.get(id));
        let problem = match &id {
            Some(id) if self.removed_ids.contains(id) => {
                Some("Framework has been removed".to_owned())
            }
            _ => validate::framework::check(&info, suppressed, old.map(|old| &*old.info))
                .err()
                .map(|e| e.to_string()),
        };
        let constraints = validate::constraints::read(wanted.as_deref(), &roles_of(&info));
        let problem = problem.or_else(|| Some(constraints.as_ref().err()?.to_string()));
        if let Some(problem) = problem {
            self.effect(Effect::Send {
                stream: Arc::clone(&stream),
                event: Box::new(status::error(problem)),
            });
            return self.effect(Effect::CloseStream(stream));
        }
        let id = id.unwrap_or_else(|| self.new_framework_id());
        info.id = Some((&id).into());
        match self.frameworks.get(&id).map(|old| (old.link.clone(), Arc::clone(&old.info))) {
            Some((link, old)) => {
                self.resubscribe(now, &id, &stream, validate::framework::merge(info, &old), link);
            }
            None => {
                let link = Link::Connected(Arc::clone(&stream));
                self.frameworks
                    .insert(id.clone(), Arc::new(Framework::new(id.clone(), info, link, now)));
            }
        }
        self.constrain(&id, wanted, constraints.unwrap_or_default());
        self.streams.insert(Arc::clone(&stream), id.clone());
        self.touched.frameworks.insert(id.clone());
        self.effect(Effect::Save(Key::Framework(id.clone())));
        self.welcome(now, &id);
        self.enter(&id, suppressed.iter().map(|role| role.as_str().into()).collect());
        self.invite_framework(&id);
    }

    fn new_framework_id(&mut self) -> FrameworkId {
        let id = format!("{}-{:04}", self.identity.id, self.frameworks_made);
        self.frameworks_made += 1;
        FrameworkId::from(id)
    }

    /// The newest stream wins; whoever had the old one is told.
    fn resubscribe(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        stream: &StreamId,
        info: v1::FrameworkInfo,
        link: Link,
    ) {
        match link {
            Link::Connected(old) => {
                let event = Box::new(status::error("Framework failed over"));
                self.effect(Effect::Send { stream: Arc::clone(&old), event });
                self.close_stream(&old);
            }
            Link::Disconnected { deadline } | Link::Recovered { deadline } => {
                self.timers.clear(deadline, Timer::Failover(id.clone()));
            }
        }
        self.discard_offers_of(id);
        let Some(framework) = self.framework_mut(id) else { return };
        framework.link = Link::Connected(Arc::clone(stream));
        framework.reregistered = Some(now);
        framework.put_info(info);
    }

    fn welcome(&mut self, now: Timestamp, id: &FrameworkId) {
        let subscribed = event::Subscribed {
            framework_id: id.into(),
            heartbeat_interval_seconds: Some(f64::from(HEARTBEAT_SECONDS)),
            master_info: Some(self.identity.info.clone()),
        };
        self.send(
            id,
            scheduler::Event {
                subscribed: Some(subscribed),
                ..status::event(event::Type::Subscribed)
            },
        );
        // Agents repeat what is not acknowledged, but only after a while.
        let waiting: Vec<v1::TaskStatus> = self
            .frameworks
            .get(id)
            .into_iter()
            .flat_map(|framework| framework.tasks.values())
            .filter(|task| task.unacknowledged)
            .filter_map(|task| task.told())
            .collect();
        for status in waiting {
            self.send_status(id, status);
        }
        self.tell_operations(now, id);
    }

    /// Tells the allocator what the framework wants.
    pub(super) fn enter(&mut self, id: &FrameworkId, suppressed: BTreeSet<Role>) {
        let Some(framework) = self.frameworks.get(id) else { return };
        self.allocator.put_framework(id, framework.demand(suppressed));
    }

    fn constrain(
        &mut self,
        id: &FrameworkId,
        wanted: Option<Box<OfferConstraints>>,
        rules: Constraints,
    ) {
        if let Some(framework) = self.framework_mut(id) {
            framework.constraints = wanted.map(|it| Arc::new(*it));
            framework.rules = rules;
        }
    }

    /// UPDATE_FRAMEWORK: all or nothing.
    pub fn update_framework(
        &mut self,
        id: &FrameworkId,
        info: v1::FrameworkInfo,
        suppressed: &[String],
        wanted: Option<Box<OfferConstraints>>,
    ) -> Result<Vec<Effect>, validate::framework::Error> {
        let old = self.frameworks.get(id).map(|framework| Arc::clone(&framework.info));
        validate::framework::check_update(&info, suppressed, old.as_deref())?;
        let constraints = validate::constraints::read(wanted.as_deref(), &roles_of(&info))?;
        if let Some(framework) = self.framework_mut(id) {
            framework.put_info(info);
        }
        self.constrain(id, wanted, constraints);
        self.touched.frameworks.insert(id.clone());
        self.effect(Effect::Save(Key::Framework(id.clone())));
        self.rescind_foreign(id);
        self.enter(id, suppressed.iter().map(|role| role.as_str().into()).collect());
        Ok(std::mem::take(&mut self.effects))
    }

    /// Takes back offers to roles that the framework has left.
    fn rescind_foreign(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let foreign: Vec<_> = framework
            .offers
            .values()
            .filter(|offer| !framework.roles.contains(&offer.role))
            .map(|offer| offer.id.clone())
            .collect();
        for offer in foreign {
            self.rescind(&offer, None);
        }
    }

    pub(super) fn stream_closed(&mut self, now: Timestamp, stream: &StreamId) {
        let Some(id) = self.streams.remove(stream) else { return };
        // Nothing waits for it any longer.
        self.effect(Effect::CloseStream(Arc::clone(stream)));
        let Some(framework) =
            self.frameworks.get(&id).filter(|framework| framework.stream() == Some(stream))
        else {
            return;
        };
        let deadline = now + framework.failover_timeout();
        self.discard_offers_of(&id);
        self.allocator.set_framework_active(&id, false);
        if let Some(framework) = self.framework_mut(&id) {
            framework.link = Link::Disconnected { deadline };
        }
        self.touched.frameworks.insert(id.clone());
        if deadline <= now {
            return self.remove_framework(now, &id);
        }
        self.effect(Effect::Save(Key::Framework(id.clone())));
        self.timers.set(deadline, Timer::Failover(id));
    }

    pub(super) fn failover_due(&mut self, now: Timestamp, id: &FrameworkId) {
        let deadline = self.frameworks.get(id).and_then(|framework| framework.deadline());
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.remove_framework(now, id);
        }
    }

    /// Kills its tasks; its id can never be used again.
    pub(super) fn remove_framework(&mut self, now: Timestamp, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get(id).cloned() else { return };
        if let Some(stream) = framework.stream() {
            self.close_stream(&stream.clone());
        }
        self.discard_offers_of(id);
        let mut agents: BTreeSet<AgentId> =
            framework.tasks.values().map(|task| task.agent.clone()).collect();
        let tasks: Vec<TaskId> =
            framework.tasks.keys().chain(framework.unreachable.keys()).cloned().collect();
        for task in tasks {
            self.end_task(id, &task, TaskState::TaskKilled);
            self.complete_task(id, &task);
        }
        agents.extend(self.dismiss_of(id));
        for agent in agents {
            self.tell(
                &agent,
                Body::ShutdownFramework(session::ShutdownFramework {
                    framework_id: Some(id.into()),
                }),
            );
        }
        self.forget_operations_of(id);
        self.allocator.remove_framework(id);
        self.forget_answers(|(_, framework)| framework == id);
        if let Some(mut framework) = self.frameworks.remove(id) {
            let ended = Arc::make_mut(&mut framework);
            ended.unregistered = Some(now);
            ended.link = Link::Disconnected { deadline: now };
            self.completed.push_back(framework);
            while self.completed.len() > self.registry.settings.completed_frameworks_max {
                self.completed.pop_front();
            }
        }
        self.touched.frameworks.insert(id.clone());
        self.remember_removed(id.clone());
        self.effect(Effect::Save(Key::Framework(id.clone())));
    }

    pub(super) fn remember_removed(&mut self, id: FrameworkId) {
        if self.removed_ids.insert(id.clone()) {
            self.removed.push_back(id);
        }
        if self.removed.len() > REMOVED_IDS_MAX
            && let Some(oldest) = self.removed.pop_front()
        {
            self.removed_ids.remove(&oldest);
            self.effect(Effect::Save(Key::Framework(oldest)));
        }
    }

    /// Frees what the task holds and gives it its last state.
    pub(super) fn end_task(&mut self, framework: &FrameworkId, id: &TaskId, state: TaskState) {
        self.touch_task(framework, id);
        let Some(owner) = self.frameworks.get_mut(framework).map(Arc::make_mut) else { return };
        if owner.unreachable.change(id, |task| task.state = state).is_some() {
            // Its resources went with its agent.
            return self.count_end(state);
        }
        let Some(task) = owner.tasks.get(id).filter(|task| !task.is_terminal()) else { return };
        let (agent, role, resources, executor) = (
            task.agent.clone(),
            Arc::clone(&task.role),
            Arc::clone(&task.resources),
            task.executor.clone(),
        );
        owner.tasks.change(id, |task| task.state = state);
        self.vacate(&agent, framework, &role, &resources, executor.as_ref());
        self.count_end(state);
    }

    /// Moves an ended task to the completed ones.
    pub(super) fn complete_task(&mut self, framework: &FrameworkId, id: &TaskId) {
        self.touch_task(framework, id);
        let max = self.registry.settings.completed_tasks_max;
        let Some(owner) = self.framework_mut(framework) else { return };
        let agent = owner.task(id).map(|task| task.agent.clone());
        owner.complete(id, max);
        if let Some(agent) = agent.and_then(|agent| self.agent_mut(&agent)) {
            agent.tasks.remove(&(framework.clone(), id.clone()));
            if agent.tasks.is_empty() && agent.standing.drain.is_some() {
                let agent = agent.id.clone();
                self.idle.insert(agent);
            }
        }
    }
}

impl Framework {
    fn put_info(&mut self, info: v1::FrameworkInfo) {
        self.roles = roles_of(&info);
        self.capabilities = super::Capabilities::of(&info);
        self.info = Arc::new(info);
    }
}
