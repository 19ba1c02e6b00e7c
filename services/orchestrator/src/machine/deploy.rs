//! Deployments: from a change that users want to steps, one after the other.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_api::marathon::v2::app::App;
use karman_api::marathon::v2::deployment::{ActionKind, DeploymentResult, Step};
use karman_api::marathon::v2::error::Invalid;
use karman_api::marathon::v2::time;
use karman_model::time::Timestamp;
use karman_store::{Change as Stored, VALUE_BYTES_MAX};

use crate::plan::{self, Change, layers, service_ports};
use crate::record;

use super::service::Spec;
use super::{Core, Refusal, VERSIONS_MAX, apps_of};

/// The digits of the number of a step.
const STEP_DIGITS_MAX: usize = 10;

/// A change on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: String,
    pub version: Timestamp,
    pub steps: Vec<Step>,
    pub current: usize,
    /// By app: its version before and after.
    pub changes: BTreeMap<String, (Option<Timestamp>, Option<Timestamp>)>,
    /// Apps of the current step that are not there yet.
    pub open: BTreeSet<String>,
}

/// What a user wants of an app.
#[derive(Clone, Debug, Default)]
pub(super) struct Want {
    /// None removes the app.
    pub(super) after: Option<App>,
    pub(super) restart: bool,
    /// Set where an older configuration comes back, so that tasks that still
    /// run it are not replaced.
    pub(super) config: Option<Timestamp>,
}

impl Core {
    /// Puts on record what is wanted and starts to bring it about.
    pub(super) fn deploy(
        &mut self,
        now: Timestamp,
        wants: BTreeMap<String, Want>,
        force: bool,
    ) -> Result<DeploymentResult, Refusal> {
        let apps: Vec<&str> = wants.keys().map(String::as_str).collect();
        let locks = self.lock_of(&apps);
        if !locks.is_empty() && !force {
            return Err(locked(locks));
        }
        let version = self.next_version(now);
        let specs = self.specs(version, &wants)?;
        let steps = self.steps(&wants, &specs)?;
        let records = spec_records(version, &specs)?;
        let id = self.random.uuid();
        let deployment = self.draft(id.clone(), version, steps, &specs)?;
        for lock in &locks {
            self.cancel(&lock.id, "canceled by a newer deployment");
        }
        self.out.changes.extend(records);
        for (app, after) in specs {
            self.want(&id, &app, after);
        }
        let result =
            DeploymentResult { version: time::format(version.as_ms()), deployment_id: id.clone() };
        self.deployments.insert(id.clone(), deployment);
        let group = serde_json::json!({ "groupId": "/", "version": result.version });
        self.publish("group_change_success", group);
        self.start_step(&id);
        Ok(result)
    }

    /// The deployment before its first step, if it can be put on record.
    fn draft(
        &self,
        id: String,
        version: Timestamp,
        steps: Vec<Step>,
        specs: &BTreeMap<String, Option<Arc<Spec>>>,
    ) -> Result<Deployment, Refusal> {
        let changes = specs.iter().map(|(app, after)| {
            let before = self.target(app).map(|spec| spec.version);
            (app.clone(), (before, after.as_ref().map(|spec| spec.version)))
        });
        let changes = changes.collect();
        let open = BTreeSet::new();
        let deployment = Deployment { id, version, steps, current: 0, changes, open };
        // The number of its current step is all that grows.
        let bytes = bytes_of(&deployment_record(&deployment)) + STEP_DIGITS_MAX;
        if bytes > VALUE_BYTES_MAX {
            let message = "changes too many apps at once; change them in several requests";
            return Err(Refusal::BadRequest(message.into()));
        }
        Ok(deployment)
    }

    /// The versions that the changes lead to.
    fn specs(
        &self,
        version: Timestamp,
        wants: &BTreeMap<String, Want>,
    ) -> Result<BTreeMap<String, Option<Arc<Spec>>>, Refusal> {
        let mut specs = BTreeMap::new();
        // Ports that the changes themselves name or were given.
        let wanted = wants.values().filter_map(|want| want.after.as_ref());
        let mut named: BTreeSet<u16> = wanted.flat_map(ports_of).collect();
        for (id, want) in wants {
            let Some(app) = &want.after else {
                specs.insert(id.clone(), None);
                continue;
            };
            let before = self.services.get(id).and_then(|service| service.target.as_deref());
            let mut app = app.clone();
            if app.port_definitions.iter().any(|definition| definition.port == 0) {
                let is_taken =
                    |port| named.contains(&port) || self.service_ports.contains_key(&port);
                service_ports::assign(&mut app, before.map(|spec| &spec.app), is_taken)
                    .map_err(|error| rule("/portDefinitions", &error.to_string()))?;
                named.extend(ports_of(&app));
            }
            let same_config = before.is_some_and(|spec| {
                let config = want.config.is_none_or(|config| config == spec.config);
                config && !want.restart && !plan::is_new_config(&spec.app, &app)
            });
            let same_count = before.is_some_and(|spec| spec.app.instances == app.instances);
            let before_config = before.map(|spec| spec.config).filter(|_| same_config);
            let before_scaled =
                before.map(|spec| spec.scaled).filter(|_| same_config && same_count);
            if let (true, true, Some(service)) = (same_config, same_count, self.services.get(id)) {
                specs.insert(id.clone(), service.target.clone());
                continue;
            }
            let config = want.config.or(before_config).unwrap_or(version);
            let spec = Spec::new(app, version, config, before_scaled.unwrap_or(version))
                .map_err(Refusal::Invalid)?;
            specs.insert(id.clone(), Some(Arc::new(spec)));
        }
        Ok(specs)
    }

    /// Keeps count of who uses which service port.
    pub(super) fn count_ports(&mut self, before: Option<&Spec>, after: Option<&Spec>) {
        for port in after.into_iter().flat_map(|spec| ports_of(&spec.app)) {
            *self.service_ports.entry(port).or_default() += 1;
        }
        for port in before.into_iter().flat_map(|spec| ports_of(&spec.app)) {
            if let Some(users) = self.service_ports.get_mut(&port) {
                *users -= 1;
                if *users == 0 {
                    self.service_ports.remove(&port);
                }
            }
        }
    }

    fn steps(
        &self,
        wants: &BTreeMap<String, Want>,
        specs: &BTreeMap<String, Option<Arc<Spec>>>,
    ) -> Result<Vec<Step>, Refusal> {
        let target =
            |app: &String| self.services.get(app).and_then(|service| service.target.as_ref());
        let layers = self.layers(specs)?;
        let changes = specs.iter().map(|(app, after)| {
            let change = Change {
                before: target(app).map(|spec| &spec.app),
                after: after.as_ref().map(|spec| &spec.app),
                restart: wants.get(app).is_some_and(|want| want.restart)
                    || self.is_mixed(app, after.as_deref()),
            };
            (app.clone(), change)
        });
        Ok(plan::plan(&changes.collect(), &layers))
    }

    /// Whether tasks of other configurations run, left by a deployment that was
    /// stopped.
    fn is_mixed(&self, app: &str, after: Option<&Spec>) -> bool {
        let (Some(service), Some(after)) = (self.services.get(app), after) else { return false };
        service
            .instances
            .values()
            .any(|one| one.condition.is_launched() && one.config != after.config)
    }

    fn layers(
        &self,
        specs: &BTreeMap<String, Option<Arc<Spec>>>,
    ) -> Result<BTreeMap<String, usize>, Refusal> {
        // The order matters among the changed apps only.
        let mut changed = specs.values().flatten();
        if changed.all(|spec| spec.app.dependencies.is_empty()) {
            return Ok(BTreeMap::new());
        }
        let unchanged = self.services.iter().filter(|(app, _)| !specs.contains_key(*app));
        let unchanged = unchanged.filter_map(|(_, service)| service.target.as_ref());
        let all = unchanged.chain(specs.values().flatten());
        let dependencies =
            all.map(|spec| (spec.app.id.as_str(), spec.app.dependencies.as_slice())).collect();
        layers::layers(&dependencies).map_err(|error| rule("/dependencies", &error.to_string()))
    }

    /// Makes a version the wanted one.
    fn want(&mut self, deployment: &str, app: &str, after: Option<Arc<Spec>>) {
        let service = self.services.entry(app.to_owned()).or_default();
        service.deployment = Some(deployment.to_owned());
        if let Some(after) = &after {
            service.versions.insert(after.version, Arc::clone(after));
        }
        let before = std::mem::replace(&mut service.target, after.clone());
        self.count_ports(before.as_deref(), after.as_deref());
        self.store_service(app);
        self.out.touched.insert(app.to_owned());
    }

    /// Starts the current step, and the next ones where it has nothing to do.
    pub(super) fn start_step(&mut self, id: &str) {
        while let Some(deployment) = self.deployments.get_mut(id) {
            self.out.deployments_changed = true;
            let Some(step) = deployment.steps.get(deployment.current).cloned() else {
                return self.finish(id);
            };
            let waits =
                step.actions.iter().filter(|action| action.action != ActionKind::StartApplication);
            deployment.open = waits.map(|action| action.app.clone()).collect();
            let idle = deployment.open.is_empty();
            let snapshot = deployment.clone();
            self.out.changes.push(deployment_record(&snapshot));
            self.publish_step("deployment_info", &snapshot);
            for action in step.actions {
                self.activate(action.action, &action.app);
            }
            if !idle {
                return;
            }
            self.step_done(id);
        }
    }

    fn activate(&mut self, kind: ActionKind, app: &str) {
        let Some(service) = self.services.get_mut(app) else { return };
        match kind {
            // A placeholder until its turn to scale comes.
            ActionKind::StartApplication => return,
            ActionKind::StopApplication => service.active = None,
            ActionKind::ScaleApplication | ActionKind::RestartApplication => {
                service.active.clone_from(&service.target);
                service.backoff.reset();
            }
        }
        service.rolling = true;
        let checks =
            service.active.as_ref().map(|spec| (spec.version, spec.app.health_checks.clone()));
        self.revive_wanted = true;
        self.dirty.insert(app.to_owned());
        match checks {
            None => self.publish("remove_health_check_event", serde_json::json!({ "appId": app })),
            Some((version, checks)) => {
                let version = time::format(version.as_ms());
                for check in checks {
                    let event = serde_json::json!({ "appId": app, "version": version, "healthCheck": check });
                    self.publish("add_health_check_event", event);
                }
            }
        }
    }

    /// An app of the current step is where it should be.
    pub(super) fn action_done(&mut self, id: &str, app: &str) {
        let Some(deployment) = self.deployments.get_mut(id) else { return };
        if !deployment.open.remove(app) {
            return;
        }
        let step_done = deployment.open.is_empty();
        self.out.deployments_changed = true;
        if let Some(service) = self.services.get_mut(app) {
            service.rolling = false;
            service.sentenced.clear();
            if service.target.is_none() {
                self.remove_service(app);
            }
        }
        if step_done {
            self.step_done(id);
            self.start_step(id);
        }
    }

    fn step_done(&mut self, id: &str) {
        let Some(deployment) = self.deployments.get_mut(id) else { return };
        let snapshot = deployment.clone();
        deployment.current += 1;
        self.publish_step("deployment_step_success", &snapshot);
    }

    fn finish(&mut self, id: &str) {
        if let Some(deployment) = self.release(id) {
            self.publish_end("deployment_success", &deployment, None);
        }
    }

    /// Stops a deployment where it is.
    pub(super) fn cancel(&mut self, id: &str, reason: &str) {
        if let Some(deployment) = self.release(id) {
            self.publish_step("deployment_step_failure", &deployment);
            self.publish_end("deployment_failed", &deployment, Some(reason));
        }
    }

    fn release(&mut self, id: &str) -> Option<Deployment> {
        let deployment = self.deployments.remove(id)?;
        self.out.deployments_changed = true;
        self.out.changes.push(record::delete(record::deployment_key(id)));
        for app in deployment.changes.keys() {
            let Some(service) = self.services.get_mut(app) else { continue };
            service.deployment = None;
            service.rolling = false;
            let version = |spec: &Option<Arc<Spec>>| spec.as_ref().map(|spec| spec.version);
            if version(&service.active) != version(&service.target) {
                // What waits may need less now.
                self.revive_wanted = true;
                service.active.clone_from(&service.target);
            }
            self.prune_versions(app);
            self.dirty.insert(app.clone());
        }
        Some(deployment)
    }

    /// Forgets the oldest versions that no instance runs.
    fn prune_versions(&mut self, app: &str) {
        let Some(service) = self.services.get_mut(app) else { return };
        let mut used: BTreeSet<Timestamp> =
            service.instances.values().map(|instance| instance.version).collect();
        used.extend(service.target.as_ref().map(|spec| spec.version));
        let surplus = service.versions.len().saturating_sub(VERSIONS_MAX);
        let old: Vec<Timestamp> = service
            .versions
            .keys()
            .copied()
            .take(surplus)
            .filter(|one| !used.contains(one))
            .collect();
        for version in old {
            service.versions.remove(&version);
            self.out.changes.push(record::delete(record::spec_key(app, version)));
        }
    }

    /// Brings a deployment's apps back to what they were before it.
    pub(super) fn roll_back(
        &mut self,
        now: Timestamp,
        id: &str,
    ) -> Result<DeploymentResult, Refusal> {
        let unknown = || Refusal::UnknownDeployment(id.to_owned());
        let deployment = self.deployments.get(id).ok_or_else(unknown)?;
        let wants = deployment.changes.iter().map(|(app, (before, _))| {
            let spec = before.and_then(|version| self.services.get(app)?.versions.get(&version));
            let want = spec.map(|spec| Want {
                after: Some(spec.app.clone()),
                restart: false,
                config: Some(spec.config),
            });
            (app.clone(), want.unwrap_or_default())
        });
        let wants = wants.collect();
        self.deploy(now, wants, true)
    }

    /// The apps whose turn in a deployment has not come.
    pub(super) fn pending_apps(deployment: &Deployment) -> BTreeSet<&str> {
        deployment.steps.iter().skip(deployment.current + 1).flat_map(apps_of).collect()
    }
}

fn ports_of(app: &App) -> impl Iterator<Item = u16> {
    app.port_definitions.iter().map(|definition| definition.port).filter(|port| *port != 0)
}

fn deployment_record(deployment: &Deployment) -> Stored {
    let ms = |version: Option<Timestamp>| version.map(Timestamp::as_ms);
    let changes = deployment
        .changes
        .iter()
        .map(|(app, (before, after))| (app.clone(), (ms(*before), ms(*after))));
    let stored = record::Deployment {
        app_version: deployment.version.as_ms(),
        steps: deployment.steps.clone(),
        current: deployment.current,
        changes: changes.collect(),
    };
    record::put(record::deployment_key(&deployment.id), stored)
}

/// The records of the versions that are new.
fn spec_records(
    version: Timestamp,
    specs: &BTreeMap<String, Option<Arc<Spec>>>,
) -> Result<Vec<Stored>, Refusal> {
    let mut records = Vec::new();
    for (app, spec) in specs {
        let Some(spec) = spec.as_ref().filter(|spec| spec.version == version) else { continue };
        let stored = record::Spec {
            app: spec.app.clone(),
            app_version: spec.version.as_ms(),
            config: spec.config.as_ms(),
            scaled: spec.scaled.as_ms(),
        };
        let change = record::put(record::spec_key(app, version), stored);
        if bytes_of(&change) > VALUE_BYTES_MAX {
            return Err(rule("/", &format!("must not be larger than {VALUE_BYTES_MAX} bytes")));
        }
        records.push(change);
    }
    Ok(records)
}

fn bytes_of(record: &Stored) -> usize {
    match record {
        Stored::Put { key: _, value } => value.len(),
        Stored::Delete { key: _ } => 0,
    }
}

fn rule(path: &str, error: &str) -> Refusal {
    let mut invalid = Invalid::default();
    invalid.rule(path, error);
    Refusal::Invalid(invalid)
}

fn locked(deployments: Vec<karman_api::marathon::v2::deployment::DeploymentRef>) -> Refusal {
    let message = "App is locked by one or more deployments. Override with the option '?force=true'. \
                   View details at '/v2/deployments/<DEPLOYMENT_ID>'.";
    Refusal::Locked { message: message.into(), deployments }
}
