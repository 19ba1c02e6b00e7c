//! `/v2/apps`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use karman_api::marathon::v2::app::{AppAnswer, AppInfo, AppList, VersionList};
use karman_api::marathon::v2::deployment::DeploymentRef;
use karman_api::marathon::v2::task::{Task, TaskList};
use karman_api::marathon::v2::{path, time};

use crate::machine::{Command, Refusal, Reply};
use crate::view::AppView;

use super::error::Error;
use super::{Api, Asked, item, json, json_text, with_deployment};

mod selector;

impl Api {
    pub(super) fn list_apps(&self, asked: &Asked) -> Result<Response, Error> {
        let embed = asked.query.embed();
        let (tasks, failure) = (embed.contains("tasks"), is_failure(&embed));
        let apps = self.selected(asked)?;
        if tasks || failure {
            let apps = apps.iter().map(|app| info(app, tasks, failure)).collect();
            return Ok(json(StatusCode::OK, &AppList { apps }));
        }
        // Every app is there as text already.
        let mut text =
            String::with_capacity(apps.iter().map(|app| app.json.len() + 1).sum::<usize>() + 16);
        text.push_str("{\"apps\":[");
        for (i, app) in apps.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            // Writing into a string does not fail.
            let _ = write!(text, "{comma}{}", app.json);
        }
        text.push_str("]}");
        Ok(json_text(StatusCode::OK, text))
    }

    fn selected(&self, asked: &Asked) -> Result<Vec<Arc<AppView>>, Error> {
        let lower = |name| asked.query.text(name).map(str::to_lowercase);
        let (cmd, id) = (lower("cmd"), lower("id"));
        let labels = asked
            .query
            .text("label")
            .map(selector::parse)
            .transpose()
            .map_err(Error::BadRequest)?;
        let state = self.board.read();
        let fits = |app: &&Arc<AppView>| {
            let spec = &app.spec.app;
            let command = spec.cmd.as_deref().unwrap_or_default();
            cmd.as_ref().is_none_or(|cmd| command.to_lowercase().contains(cmd))
                && id.as_ref().is_none_or(|id| spec.id.to_lowercase().contains(id))
                && labels
                    .as_ref()
                    .is_none_or(|selectors| selectors.iter().all(|one| one.admits(&spec.labels)))
        };
        Ok(state.apps.values().filter(fits).cloned().collect())
    }

    pub(super) async fn create_app(&self, asked: &Asked) -> Result<Response, Error> {
        let (force, origin) = (asked.query.flag("force"), asked.origin());
        let body = asked.object()?;
        let Reply::Created { spec, deployment } =
            self.ask(Command::Create { body, force, origin }).await?
        else {
            return Err(Error::Stopping);
        };
        let info = AppInfo {
            app: spec.app.clone(),
            tasks_staged: Some(0),
            tasks_running: Some(0),
            tasks_healthy: Some(0),
            tasks_unhealthy: Some(0),
            deployments: Some(vec![DeploymentRef { id: deployment.deployment_id.clone() }]),
            tasks: Some(Vec::new()),
            last_task_failure: None,
        };
        let mut response = with_deployment(json(StatusCode::CREATED, &info), &deployment);
        if let Ok(location) = HeaderValue::from_str(&format!("/v2/apps{}", spec.app.id)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    pub(super) async fn update_apps(&self, asked: &Asked) -> Result<Response, Error> {
        let command = Command::Update {
            items: asked.objects()?.into_iter().map(|body| item(None, body)).collect(),
            replace: !asked.query.flag_or("partialUpdate", true),
            create: asked.method == Method::PUT,
            force: asked.query.flag("force"),
            origin: asked.origin(),
        };
        // Several apps at once answer 200 even where one is new.
        let mut response = self.deployed(command).await?;
        *response.status_mut() = StatusCode::OK;
        Ok(response)
    }

    pub(super) async fn update_app(&self, id: String, asked: &Asked) -> Result<Response, Error> {
        let (replace, force) =
            (!asked.query.flag_or("partialUpdate", true), asked.query.flag("force"));
        let (create, origin) = (asked.method == Method::PUT, asked.origin());
        let items = vec![item(Some(id), asked.object()?)];
        self.deployed(Command::Update { items, replace, create, force, origin }).await
    }

    pub(super) fn get_app(&self, id: &str) -> Result<Response, Error> {
        if let Some(group) = id.strip_suffix("/*") {
            let apps: Vec<AppInfo> =
                self.within(group).iter().map(|app| info(app, true, true)).collect();
            return Ok(json(StatusCode::OK, &serde_json::json!({ "*": apps })));
        }
        let app = self.app(id)?;
        let app = info(&app, true, true);
        Ok(json(StatusCode::OK, &AppAnswer { app }))
    }

    pub(super) async fn delete_app(&self, id: String, asked: &Asked) -> Result<Response, Error> {
        self.deployed(Command::Delete { apps: vec![id], force: asked.query.flag_or("force", true) })
            .await
    }

    pub(super) fn app_tasks(&self, id: &str, asked: &Asked) -> Result<Response, Error> {
        let apps = match id.strip_suffix("/*") {
            Some(group) => self.within(group),
            None => vec![self.app(id)?],
        };
        if asked.accepts("text/plain") {
            return Ok(super::work::table(&apps));
        }
        let tasks: Vec<Task> = apps.iter().flat_map(|app| app.tasks.clone()).collect();
        Ok(json(StatusCode::OK, &TaskList { tasks }))
    }

    pub(super) fn versions(&self, id: &str) -> Result<Response, Error> {
        let app = self.app(id)?;
        // The newest first, as clients that show the latest few expect.
        let versions =
            app.versions.iter().rev().map(|spec| time::format(spec.version.as_ms())).collect();
        Ok(json(StatusCode::OK, &VersionList { versions }))
    }

    pub(super) fn version(&self, id: &str, version: &str) -> Result<Response, Error> {
        let app = self.app(id)?;
        let at = time::parse(version);
        let spec = app.versions.iter().find(|spec| Some(spec.version.as_ms()) == at);
        let unknown = || Error::Refused(Refusal::UnknownVersion(id.to_owned(), version.to_owned()));
        Ok(json(StatusCode::OK, &spec.ok_or_else(unknown)?.app))
    }

    pub(super) fn app(&self, id: &str) -> Result<Arc<AppView>, Error> {
        let unknown = || Error::Refused(Refusal::UnknownApp(id.to_owned()));
        self.board.read().apps.get(id).cloned().ok_or_else(unknown)
    }

    pub(super) fn within(&self, group: &str) -> Vec<Arc<AppView>> {
        let group = if group.is_empty() { "/" } else { group };
        let state = self.board.read();
        state
            .apps
            .iter()
            .filter(|(id, _)| path::is_within(id, group))
            .map(|(_, app)| Arc::clone(app))
            .collect()
    }
}

fn is_failure(embed: &std::collections::BTreeSet<&str>) -> bool {
    embed.contains("lastTaskFailure") || embed.contains("failures")
}

pub(super) fn info(app: &AppView, tasks: bool, failure: bool) -> AppInfo {
    AppInfo {
        tasks: tasks.then(|| app.tasks.clone()),
        last_task_failure: app.last_failure.clone().filter(|_| failure),
        ..app.info.clone()
    }
}
