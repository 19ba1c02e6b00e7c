//! Holds an app to what is wanted of it, and ends instances.
#![deny(clippy::disallowed_methods)]

use karman_model::time::Timestamp;

use crate::instance::{Condition, Goal, Instance};
use crate::plan::rollout;
use crate::record::{self, InstanceRecord};
use karman_api::marathon::v2::path;

use super::timers::Timer;
use super::{Core, KILL_RETRY, calls};

impl Core {
    /// One step towards what is wanted; true when nothing is left to do.
    pub(super) fn hold(&mut self, now: Timestamp, app: &str) -> bool {
        let Some(service) = self.services.get(app) else { return false };
        let actions = rollout::step(&service.members(), &service.wanted());
        for id in &actions.kill {
            self.kill(now, id, true);
        }
        for _ in 0..actions.launch {
            self.schedule(now, app);
        }
        let Some(service) = self.services.get_mut(app) else { return false };
        if service.scheduled().next().is_some() {
            service.queue.since.get_or_insert(now);
            self.waiting.insert(app.to_owned());
        } else {
            service.queue = super::service::QueueRecord::default();
            self.waiting.remove(app);
        }
        let forgotten = service.target.is_none() && service.deployment.is_none();
        if actions.done && forgotten {
            self.remove_service(app);
        }
        actions.done
    }

    /// A new instance that waits for an offer. It is not on record before its
    /// launch: until then it is nothing but a number that is missing.
    fn schedule(&mut self, now: Timestamp, app: &str) {
        let id = format!("{}.instance-{}", path::safe(app), self.random.uuid());
        let Some(service) = self.services.get_mut(app) else { return };
        service.instances.insert(id.clone(), Instance::scheduled(id.clone(), now));
        self.owners.insert(id, app.to_owned());
        self.revive_wanted = true;
    }

    /// Ends the task of an instance: for good, or to have it started again.
    pub(super) fn kill(&mut self, now: Timestamp, id: &str, for_good: bool) {
        let Some((_, instance)) = self.instance(id) else { return };
        match instance.condition {
            Condition::Scheduled if for_good => self.expunge(id),
            Condition::Scheduled => {}
            Condition::Unreachable | Condition::UnreachableInactive if for_good => {
                self.send_kill(id);
                self.expunge(id);
            }
            _ => {
                let again = instance.killed_at.is_some();
                self.change(id, |instance| {
                    instance.killed_at.get_or_insert(now);
                    if for_good {
                        instance.goal = Goal::Decommissioned;
                    }
                });
                self.send_kill(id);
                // However often it is asked for, it is repeated at one pace.
                if !again {
                    self.timers.insert((now + KILL_RETRY, Timer::Kill(id.to_owned())));
                }
            }
        }
    }

    pub(super) fn send_kill(&mut self, id: &str) {
        let Some((_, instance)) = self.instance(id) else { return };
        let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
        let call = calls::kill(instance.task_id(), agent);
        // Without a connection it is repeated after the next subscription.
        if self.connected {
            self.out.calls.push(call);
        }
    }

    pub(super) fn instance(&self, id: &str) -> Option<(&str, &Instance)> {
        let (_, app) = self.owners.get_key_value(id)?;
        Some((app, self.services.get(app)?.instances.get(id)?))
    }

    /// Changes an instance and puts it on record.
    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Instance)) {
        let Some(app) = self.owners.get(id) else { return };
        let Some(instance) =
            self.services.get_mut(app).and_then(|service| service.instances.get_mut(id))
        else {
            return;
        };
        change(instance);
        self.out
            .changes
            .push(record::put(record::instance_key(id), InstanceRecord::new(app, instance)));
        self.out.touched.insert(app.clone());
    }

    /// Forgets an instance.
    pub(super) fn expunge(&mut self, id: &str) {
        let Some(app) = self.owners.remove(id) else { return };
        self.unanswered.remove(id);
        if let Some(service) = self.services.get_mut(&app) {
            service.sentenced.remove(id);
            let instance = service.instances.remove(id);
            let on_record =
                |one: &Instance| one.condition != Condition::Scheduled || one.incarnation > 1;
            if instance.as_ref().is_some_and(on_record) {
                self.out.changes.push(record::delete(record::instance_key(id)));
            }
        }
        self.moved(&app);
        self.dirty.insert(app);
    }

    /// Forgets an app, with all its versions.
    pub(super) fn remove_service(&mut self, app: &str) {
        let Some(service) = self.services.remove(app) else { return };
        self.out.changes.push(record::delete(record::service_key(app)));
        for version in service.versions.keys() {
            self.out.changes.push(record::delete(record::spec_key(app, *version)));
        }
        self.waiting.remove(app);
        self.out.touched.insert(app.to_owned());
        self.publish("app_terminated_event", serde_json::json!({ "appId": app }));
    }

    /// Puts on record which version of an app is wanted.
    pub(super) fn store_service(&mut self, app: &str) {
        let Some(service) = self.services.get(app) else { return };
        let stored = record::Service {
            wanted: service.target.as_ref().map(|spec| spec.version.as_ms()),
            last_failure: service.last_failure.clone(),
        };
        self.out.changes.push(record::put(record::service_key(app), stored));
    }
}
