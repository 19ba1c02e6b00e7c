//! The machine as it was when the process ended, from its records.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_api::marathon::v2::error::Invalid;
use karman_model::time::Timestamp;
use karman_store::Entry;

use crate::instance::{Condition, Goal};
use crate::record::{self, InstanceRecord};

use super::timers::Timer;
use super::{Core, Deployment, KILL_RETRY, LAUNCH_TIMEOUT, Spec, apps_of};

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("the stored record '{key}' cannot be read; restore it from a backup or delete it")]
    Record {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the stored record '{key}' holds an app that is not valid")]
    App { key: String, invalid: Invalid },
}

impl Core {
    /// Takes in all records; called once, before anything else.
    pub fn restore(&mut self, now: Timestamp, entries: &[Entry]) -> Result<(), RestoreError> {
        // Keys sort deployments and instances before the specs they refer to.
        for entry in entries.iter().filter(|entry| entry.key.starts_with(record::SPECS)) {
            self.restore_spec(entry)?;
        }
        for entry in entries {
            let read = |source| RestoreError::Record { key: entry.key.clone(), source };
            if let Some(app) = entry.key.strip_prefix(record::SERVICES) {
                self.restore_service(app, record::decode(&entry.value).map_err(read)?);
            } else if let Some(id) = entry.key.strip_prefix(record::INSTANCES) {
                self.restore_instance(now, id, record::decode(&entry.value).map_err(read)?);
            } else if entry.key == record::FRAMEWORK {
                let framework: record::Framework = record::decode(&entry.value).map_err(read)?;
                self.framework_id = Some(framework.id);
            }
        }
        for entry in entries {
            let read = |source| RestoreError::Record { key: entry.key.clone(), source };
            if let Some(id) = entry.key.strip_prefix(record::DEPLOYMENTS) {
                self.restore_deployment(id, record::decode(&entry.value).map_err(read)?);
            }
        }
        self.dirty = self.services.keys().cloned().collect();
        self.out.deployments_changed = true;
        self.settle(now);
        Ok(())
    }

    fn restore_spec(&mut self, entry: &Entry) -> Result<(), RestoreError> {
        let stored: record::Spec = record::decode(&entry.value)
            .map_err(|source| RestoreError::Record { key: entry.key.clone(), source })?;
        let record::Spec { app, app_version, config, scaled } = stored;
        let id = app.id.clone();
        let spec = Spec::new(app, Timestamp(app_version), Timestamp(config), Timestamp(scaled))
            .map_err(|invalid| RestoreError::App { key: entry.key.clone(), invalid })?;
        self.last_version = self.last_version.max(spec.version);
        self.services.entry(id).or_default().versions.insert(spec.version, Arc::new(spec));
        Ok(())
    }

    fn restore_service(&mut self, app: &str, stored: record::Service) {
        let record::Service { wanted, last_failure } = stored;
        let service = self.services.entry(app.to_owned()).or_default();
        service.target =
            wanted.and_then(|version| service.versions.get(&Timestamp(version)).cloned());
        service.active.clone_from(&service.target);
        service.last_failure = last_failure;
        let target = service.target.clone();
        self.count_ports(None, target.as_deref());
    }

    fn restore_instance(&mut self, now: Timestamp, id: &str, stored: InstanceRecord) {
        let (app, instance) = stored.restore(id.to_owned());
        let timer = |timer: fn(String) -> Timer| timer(id.to_owned());
        if instance.killed_at.is_some() || instance.goal != Goal::Running {
            self.timers.insert((now + KILL_RETRY, timer(Timer::Kill)));
        }
        match instance.condition {
            Condition::Provisioned | Condition::Staging | Condition::Starting => {
                self.timers
                    .insert((instance.since.max(now) + LAUNCH_TIMEOUT, timer(Timer::Launch)));
            }
            Condition::Unreachable | Condition::UnreachableInactive => {
                self.timers.insert((now, timer(Timer::Unreachable)));
            }
            _ => {}
        }
        self.owners.insert(id.to_owned(), app.clone());
        self.services.entry(app).or_default().instances.insert(id.to_owned(), instance);
    }

    /// Resumes a deployment: apps whose turn has not come are held to what they
    /// were before it.
    fn restore_deployment(&mut self, id: &str, stored: record::Deployment) {
        let record::Deployment { app_version, steps, current, changes } = stored;
        let changes = changes
            .into_iter()
            .map(|(app, (before, after))| (app, (before.map(Timestamp), after.map(Timestamp))));
        let mut deployment = Deployment {
            id: id.to_owned(),
            version: Timestamp(app_version),
            steps,
            current,
            changes: changes.collect(),
            open: BTreeSet::new(),
        };
        let step = deployment.steps.get(current);
        deployment.open =
            step.map(|step| apps_of(step).map(str::to_owned).collect()).unwrap_or_default();
        let pending: BTreeSet<String> =
            Self::pending_apps(&deployment).into_iter().map(str::to_owned).collect();
        for (app, (before, _)) in &deployment.changes {
            let Some(service) = self.services.get_mut(app) else { continue };
            service.deployment = Some(id.to_owned());
            service.rolling = deployment.open.contains(app);
            if pending.contains(app) {
                service.active = before.and_then(|version| service.versions.get(&version).cloned());
            }
        }
        self.last_version = self.last_version.max(deployment.version);
        self.deployments.insert(id.to_owned(), deployment);
    }
}
