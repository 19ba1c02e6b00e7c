//! Comes and goes with the master, and asks it what became of the tasks.
#![deny(clippy::disallowed_methods)]

use karman_model::time::Timestamp;

use crate::record;

use super::timers::Timer;
use super::{Core, RECONCILE_INTERVAL, RECONCILE_RETRY, calls};

/// Tasks in one question.
const RECONCILE_TASKS_MAX: usize = 1000;

impl Core {
    /// The master accepted the subscription; offers are suppressed at first.
    pub fn subscribed(&mut self, now: Timestamp, framework_id: &str, master: &str) {
        let known = self.framework_id.as_deref() == Some(framework_id);
        if !known {
            self.framework_id = Some(framework_id.to_owned());
            let stored = record::Framework { id: framework_id.to_owned() };
            self.out.changes.push(record::put(record::FRAMEWORK.into(), stored));
        }
        self.connected = true;
        self.suppressed = true;
        self.revive_wanted = true;
        if known {
            self.publish("scheduler_reregistered_event", serde_json::json!({ "master": master }));
        } else {
            let event = serde_json::json!({ "frameworkId": framework_id, "master": master });
            self.publish("scheduler_registered_event", event);
        }
        self.reconcile_all(now);
        // Kills may have been lost with the connection.
        let killed: Vec<String> =
            self.launched().filter(|(_, killed, _)| *killed).map(|(id, ..)| id).collect();
        for id in killed {
            self.send_kill(&id);
        }
        self.settle(now);
    }

    pub fn disconnected(&mut self) {
        if std::mem::replace(&mut self.connected, false) {
            self.publish("scheduler_disconnected_event", serde_json::json!({}));
        }
    }

    /// The master no longer knows the framework: it starts anew, its tasks are
    /// gone.
    pub fn forget_framework(&mut self) {
        self.connected = false;
        if self.framework_id.take().is_some() {
            self.out.changes.push(record::delete(record::FRAMEWORK.into()));
        }
    }

    /// Every launched instance, whether it was killed, and its task.
    pub(super) fn launched(
        &self,
    ) -> impl Iterator<Item = (String, bool, (String, Option<String>))> {
        self.services.values().flat_map(|service| service.instances.values()).filter_map(
            |instance| {
                let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
                let task = (instance.task_id(), agent);
                instance
                    .condition
                    .is_launched()
                    .then(|| (instance.id.clone(), instance.killed_at.is_some(), task))
            },
        )
    }

    /// Asks about every task on record, and for tasks that are on none.
    pub(super) fn reconcile_all(&mut self, now: Timestamp) {
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Reconcile | Timer::ReconcileAll));
        self.timers.insert((now + RECONCILE_INTERVAL, Timer::ReconcileAll));
        if !self.connected {
            return;
        }
        self.unanswered = self.launched().map(|(id, ..)| id).collect();
        self.reconcile_retry = RECONCILE_RETRY;
        self.ask_again(now);
        self.out.calls.push(calls::reconcile(std::iter::empty()));
    }

    pub(super) fn reconcile_open(&mut self, now: Timestamp) {
        self.reconcile_retry = (self.reconcile_retry * 2).min(RECONCILE_INTERVAL);
        self.ask_again(now);
    }

    fn ask_again(&mut self, now: Timestamp) {
        if !self.connected || self.unanswered.is_empty() {
            return;
        }
        let open: Vec<(String, Option<String>)> = self
            .launched()
            .filter(|(id, ..)| self.unanswered.contains(id))
            .map(|(_, _, task)| task)
            .collect();
        for tasks in open.chunks(RECONCILE_TASKS_MAX) {
            self.out.calls.push(calls::reconcile(tasks.iter().cloned()));
        }
        self.timers.insert((now + self.reconcile_retry, Timer::Reconcile));
    }
}
