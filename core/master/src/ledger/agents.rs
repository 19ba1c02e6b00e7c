//! Whether agents are there: sessions, pings, absence.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::scheduler::{self, event};
use karman_api::mesos::v1::task_status::Reason;
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::status::{self, Verdict, precise};
use super::{Effect, Key, Ledger, Presence, SessionId, Timer};

impl Ledger {
    /// How long an agent waits for a ping before it looks for another master.
    pub(super) fn silence_ms(&self) -> u64 {
        u64::try_from(self.registry.settings.silence_max().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn session_closed(&mut self, now: Timestamp, session: SessionId) {
        let Some(id) = self.sessions.remove(&session) else { return };
        // The other direction ends too, and nothing waits for it any longer.
        self.effect(Effect::CloseSession(session));
        // As long as one that does not answer.
        let deadline = now + self.registry.settings.silence_max();
        let Some(agent) = self.agent_mut(&id).filter(|agent| agent.session == Some(session)) else {
            return;
        };
        agent.session = None;
        agent.presence = Presence::Disconnected;
        agent.deadline = Some(deadline);
        self.allocator.set_agent_active(&id, false);
        self.rescind_agent(&id);
        self.timers.set(deadline, Timer::Absence(id.clone()));
        self.touched.agents.insert(id);
    }

    pub(super) fn pong(&mut self, session: SessionId) {
        let Some(id) = self.sessions.get(&session).cloned() else { return };
        self.confirm(&id);
        if let Some(agent) = self.agent_mut(&id) {
            agent.pings_missed = 0;
        }
    }

    pub(super) fn ping_due(&mut self, now: Timestamp, session: SessionId) {
        let Some(id) = self.sessions.get(&session).cloned() else { return };
        let (missed_max, interval) =
            (self.registry.settings.pings_missed_max, self.registry.settings.ping_interval);
        let Some(agent) = self.agent_mut(&id) else { return };
        if agent.pings_missed >= missed_max {
            self.give_up(now, &id);
        }
        // It may have to wait for its turn; until then it can still answer.
        let Some(agent) = self.agent_mut(&id).filter(|it| it.session == Some(session)) else {
            return;
        };
        agent.pings_missed = agent.pings_missed.saturating_add(1);
        self.tell(&id, Body::Ping(session::Ping {}));
        self.timers.set(now + interval, Timer::Ping(session));
    }

    pub(super) fn absence_due(&mut self, now: Timestamp, id: &AgentId) {
        let deadline = self.agents.get(id).and_then(|agent| agent.deadline);
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.give_up(now, id);
        }
    }

    /// Its tasks may live or not; their resources are nobody's until it is back.
    pub(super) fn lose_agent(&mut self, now: Timestamp, id: &AgentId) {
        self.rescind_agent(id);
        self.dismiss_all(id);
        if self.agents.get(id).is_some_and(|agent| agent.is_awaited()) {
            self.recovered_one();
        }
        let Some(agent) = self.agent_mut(id) else { return };
        let was = std::mem::replace(&mut agent.presence, Presence::Unreachable { since: now });
        let session = agent.session.take();
        agent.deadline = None;
        agent.pings_missed = 0;
        agent.used = Resources::EMPTY;
        let tasks = std::mem::take(&mut agent.tasks);
        agent.lost.clone_from(&tasks);
        for (framework, task) in tasks {
            self.lose_task(now, id, &framework, &task);
        }
        if let Some(session) = session {
            self.sessions.remove(&session);
            self.effect(Effect::CloseSession(session));
        }
        self.allocator.remove_agent(id);
        self.counters.agents_unreachable += 1;
        if was == Presence::Recovered {
            self.note_metric("recovery_slave_removals");
        }
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Agent(id.clone())));
        self.tell_failure(id);
    }

    /// All frameworks hear that an agent is lost.
    pub(super) fn tell_failure(&mut self, id: &AgentId) {
        let connected: Vec<FrameworkId> = self
            .frameworks
            .values()
            .filter(|framework| framework.is_connected())
            .map(|framework| framework.id.clone())
            .collect();
        for framework in connected {
            let failure = Some(event::Failure { agent_id: Some(id.into()), ..Default::default() });
            self.send(
                &framework,
                scheduler::Event { failure, ..status::event(event::Type::Failure) },
            );
        }
    }

    fn lose_task(&mut self, now: Timestamp, agent: &AgentId, framework: &FrameworkId, id: &TaskId) {
        self.touch_task(framework, id);
        let Some(owner) = self.frameworks.get_mut(framework).map(Arc::make_mut) else { return };
        if owner.tasks.get(id).is_some_and(|task| task.is_terminal()) {
            return owner.complete(id, self.registry.settings.completed_tasks_max);
        }
        let state = precise(owner.capabilities, TaskState::TaskUnreachable);
        let Some(mut lost) = owner.tasks.remove(id) else { return };
        let task = Arc::make_mut(&mut lost);
        task.shown.forget();
        let verdict = Verdict::new(state, Reason::AgentRemoved, "the agent cannot be reached");
        let mut status = verdict.status(now, id, Some(agent));
        status.unreachable_time = Some(v1::TimeInfo { nanoseconds: now.as_nanos() });
        task.state = state;
        task.tell(&mut status);
        task.unacknowledged = false;
        self.allocator.release(agent, framework, &task.role, &task.resources.exclusive());
        owner.unreachable.insert(lost);
        self.send_status(framework, status);
    }
}
