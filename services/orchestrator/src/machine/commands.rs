//! What users ask for.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_api::marathon::v2::app::{self, App};
use karman_api::marathon::v2::deployment::DeploymentResult;
use karman_api::marathon::v2::task::Task;
use karman_api::marathon::v2::{path, time};
use karman_model::time::Timestamp;
use serde_json::{Map, Value};

use super::deploy::Want;
use super::kill::KillRequest;
use super::{Core, Refusal, Spec};

/// Where a request came from; shown in events.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub client_ip: String,
    pub uri: String,
}

#[derive(Debug)]
pub enum Command {
    Create {
        body: Map<String, Value>,
        force: bool,
        origin: Origin,
    },
    /// Changes apps together; those that do not exist are created if allowed.
    Update {
        items: Vec<Item>,
        /// The body is the whole app instead of the fields that change.
        replace: bool,
        create: bool,
        force: bool,
        origin: Origin,
    },
    Delete {
        apps: Vec<String>,
        force: bool,
    },
    Restart {
        app: String,
        force: bool,
    },
    Kill(KillRequest),
    StopDeployment {
        id: String,
        /// Stop where it is instead of rolling back.
        force: bool,
    },
    ResetDelay {
        app: String,
    },
}

/// One app of an update.
#[derive(Debug)]
pub struct Item {
    /// From the URL; otherwise from the body.
    pub id: Option<String>,
    pub body: Map<String, Value>,
}

#[derive(Debug)]
pub enum Reply {
    Created { spec: Arc<Spec>, deployment: DeploymentResult },
    Deployed { deployment: DeploymentResult, created: bool },
    Killed(Vec<Task>),
    Done,
}

impl Core {
    /// Carries a command out, or refuses it and changes nothing.
    pub fn command(&mut self, now: Timestamp, command: Command) -> Result<Reply, Refusal> {
        let reply = match command {
            Command::Create { body, force, origin } => self.create(now, &body, force, &origin),
            Command::Update { items, replace, create, force, origin } => {
                self.change_apps(now, items, replace, create, force, &origin)
            }
            Command::Delete { apps, force } => self.delete(now, apps, force),
            Command::Restart { app, force } => self.restart(now, &app, force),
            Command::Kill(request) => self.kill_tasks(now, &request),
            Command::StopDeployment { id, force: false } => self.roll_back(now, &id).map(deployed),
            Command::StopDeployment { id, force: true } => self.stop(&id),
            Command::ResetDelay { app } => self.reset_delay(app),
        };
        self.settle(now);
        reply
    }

    fn create(
        &mut self,
        now: Timestamp,
        body: &Map<String, Value>,
        force: bool,
        origin: &Origin,
    ) -> Result<Reply, Refusal> {
        let app = app::read(&app::overlay(None, body), None).map_err(Refusal::Invalid)?;
        let id = app.id.clone();
        if self.services.get(&id).is_some_and(|service| service.target.is_some()) {
            return Err(Refusal::Exists(id));
        }
        let want = Want { after: Some(app), ..Want::default() };
        let deployment = self.deploy(now, BTreeMap::from([(id.clone(), want)]), force)?;
        let spec = self.services.get(&id).and_then(|service| service.target.clone());
        let spec = spec.ok_or(Refusal::UnknownApp(id))?;
        self.publish_post(&origin.client_ip, &origin.uri, &spec.app);
        Ok(Reply::Created { spec, deployment })
    }

    fn change_apps(
        &mut self,
        now: Timestamp,
        items: Vec<Item>,
        replace: bool,
        create: bool,
        force: bool,
        origin: &Origin,
    ) -> Result<Reply, Refusal> {
        let mut wants = BTreeMap::new();
        let mut created = false;
        for item in &items {
            let after = self.wanted_app(item, replace, create)?;
            created |= self.target(&after.id).is_none();
            wants.insert(after.id.clone(), Want { after: Some(after), ..Want::default() });
        }
        let ids: Vec<String> = wants.keys().cloned().collect();
        let deployment = self.deploy(now, wants, force)?;
        for spec in ids.iter().filter_map(|id| self.target(id).cloned()).collect::<Vec<_>>() {
            self.publish_post(&origin.client_ip, &origin.uri, &spec.app);
        }
        Ok(Reply::Deployed { deployment, created })
    }

    /// What an item makes of the app it names.
    fn wanted_app(&self, item: &Item, replace: bool, create: bool) -> Result<App, Refusal> {
        let named = item.body.get("id").and_then(Value::as_str).map(|id| path::absolute(id, "/"));
        let id = item.id.clone().or(named);
        let current = id.as_deref().and_then(|id| self.target(id));
        if let (Some(id), None, false) = (&id, current, create) {
            return Err(Refusal::UnknownApp(id.clone()));
        }
        if let (Some(version), Some(id)) = (version_only(&item.body), &id) {
            return self.earlier(id, version);
        }
        let base = current.filter(|_| !replace).map(|spec| &spec.app);
        app::read(&app::overlay(base, &item.body), id.as_deref()).map_err(Refusal::Invalid)
    }

    fn earlier(&self, id: &str, version: &str) -> Result<App, Refusal> {
        let unknown = || Refusal::UnknownVersion(id.to_owned(), version.to_owned());
        let service = self.services.get(id).ok_or_else(|| Refusal::UnknownApp(id.to_owned()))?;
        let at = time::parse(version).map(Timestamp).ok_or_else(unknown)?;
        Ok(service.versions.get(&at).ok_or_else(unknown)?.app.clone())
    }

    fn delete(&mut self, now: Timestamp, apps: Vec<String>, force: bool) -> Result<Reply, Refusal> {
        if let Some(unknown) = apps.iter().find(|app| self.target(app).is_none()) {
            return Err(Refusal::UnknownApp(unknown.clone()));
        }
        let wants = apps.into_iter().map(|app| (app, Want::default()));
        self.deploy(now, wants.collect(), force).map(deployed)
    }

    fn restart(&mut self, now: Timestamp, app: &str, force: bool) -> Result<Reply, Refusal> {
        let spec = self.target(app).ok_or_else(|| Refusal::UnknownApp(app.to_owned()))?;
        let want = Want { after: Some(spec.app.clone()), restart: true, config: None };
        self.deploy(now, BTreeMap::from([(app.to_owned(), want)]), force).map(deployed)
    }

    fn stop(&mut self, id: &str) -> Result<Reply, Refusal> {
        if !self.deployments.contains_key(id) {
            return Err(Refusal::UnknownDeployment(id.to_owned()));
        }
        self.cancel(id, "stopped by a user");
        Ok(Reply::Done)
    }

    fn reset_delay(&mut self, app: String) -> Result<Reply, Refusal> {
        if !self.waiting.contains(&app) {
            return Err(Refusal::NotQueued(app));
        }
        if let Some(service) = self.services.get_mut(&app) {
            service.backoff.reset();
        }
        self.revive_wanted = true;
        self.dirty.insert(app);
        Ok(Reply::Done)
    }

    pub(super) fn target(&self, app: &str) -> Option<&Arc<Spec>> {
        self.services.get(app)?.target.as_ref()
    }
}

fn deployed(deployment: DeploymentResult) -> Reply {
    Reply::Deployed { deployment, created: false }
}

/// A body that names a version and nothing else asks for that version.
fn version_only(body: &Map<String, Value>) -> Option<&str> {
    let only = body.iter().all(|(key, value)| key == "version" || key == "id" || value.is_null());
    body.get("version").and_then(Value::as_str).filter(|_| only)
}
