//! The events that subscribers see.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::app::App;
use karman_api::marathon::v2::deployment::Plan;
use karman_api::marathon::v2::time;
use serde_json::{Value, json};

use crate::instance::{Condition, Instance, parse_task_id};
use crate::view;

use super::{Core, Deployment};

/// An event; the time is added when it is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub kind: &'static str,
    pub data: Value,
}

impl Core {
    pub(super) fn publish(&mut self, kind: &'static str, data: Value) {
        self.out.events.push(Published { kind, data });
    }

    pub(super) fn publish_status(&mut self, app: &str, instance: &Instance, message: &str) {
        let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
        let ports = instance.placement.as_ref().map(|placement| placement.ports.clone());
        let version = time::format(instance.version.as_ms());
        self.publish(
            "status_update_event",
            json!({
                "slaveId": agent, "taskId": instance.task_id(), "taskStatus": instance.condition.task_state(),
                "message": message, "appId": app, "host": instance.host(),
                "ipAddresses": view::ip_addresses(instance), "ports": ports.unwrap_or_default(), "version": version,
            }),
        );
        self.publish(
            "instance_changed_event",
            json!({
                "instanceId": instance.id, "condition": instance.condition.name(), "runSpecId": app,
                "agentId": agent, "host": instance.host(), "runSpecVersion": version,
            }),
        );
    }

    pub(super) fn publish_health(&mut self, app: &str, instance: &Instance) {
        let version = time::format(instance.version.as_ms());
        let alive = instance.health.alive;
        self.publish(
            "health_status_changed_event",
            json!({ "appId": app, "instanceId": instance.id, "version": version, "alive": alive }),
        );
        self.publish(
            "instance_health_changed_event",
            json!({ "instanceId": instance.id, "runSpecId": app, "healthy": alive, "runSpecVersion": version }),
        );
    }

    pub(super) fn publish_failed_check(&mut self, app: &str, instance: &Instance) {
        let spec = self.services.get(app).and_then(|service| service.spec_of(instance));
        let check = spec.and_then(|spec| spec.app.health_checks.first().cloned());
        // The key is called taskId and holds the id of the instance.
        let event = json!({ "appId": app, "taskId": instance.id, "healthCheck": check });
        self.publish("failed_health_check_event", event);
    }

    pub(super) fn publish_unhealthy_kill(&mut self, app: &str, instance: &Instance, reason: &str) {
        let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
        self.publish(
            "unhealthy_instance_kill_event",
            json!({
                "appId": app, "taskId": instance.task_id(), "instanceId": instance.id,
                "version": time::format(instance.version.as_ms()), "reason": reason,
                "host": instance.host(), "slaveId": agent,
            }),
        );
    }

    pub(super) fn publish_unknown_end(&mut self, task_id: &str, condition: Condition) {
        let instance = parse_task_id(task_id).map_or(task_id, |(instance, _)| instance);
        let app = instance.rsplit_once(".instance-").map_or(instance, |(app, _)| app);
        let app = format!("/{}", app.replace('_', "/"));
        self.publish(
            "unknown_instance_terminated_event",
            json!({ "instanceId": instance, "runSpecId": app, "condition": condition.name() }),
        );
    }

    pub(super) fn publish_post(&mut self, client_ip: &str, uri: &str, app: &App) {
        self.publish(
            "api_post_event",
            json!({ "clientIp": client_ip, "uri": uri, "appDefinition": app }),
        );
    }

    /// An event about a deployment and, where there is one, its current step.
    pub(super) fn publish_step(&mut self, kind: &'static str, deployment: &Deployment) {
        let step = deployment.steps.get(deployment.current);
        self.publish(kind, json!({ "plan": plan(deployment), "currentStep": step }));
    }

    pub(super) fn publish_end(
        &mut self,
        kind: &'static str,
        deployment: &Deployment,
        reason: Option<&str>,
    ) {
        let mut data = json!({ "id": deployment.id, "plan": plan(deployment) });
        if let (Some(reason), Some(map)) = (reason, data.as_object_mut()) {
            map.insert("reason".into(), reason.into());
        }
        self.publish(kind, data);
    }
}

fn plan(deployment: &Deployment) -> Plan {
    Plan {
        id: deployment.id.clone(),
        version: time::format(deployment.version.as_ms()),
        steps: deployment.steps.clone(),
    }
}
