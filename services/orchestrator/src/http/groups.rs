//! `/v2/groups`: apps as a tree. A group is nothing but the path that its apps
//! share; it exists while it has any.

use std::collections::BTreeSet;

use axum::response::Response;
use http::StatusCode;
use karman_api::marathon::v2::path;
use serde_json::{Map, Value, json};

use crate::machine::{Command, Item};

use super::error::Error;
use super::{Api, Asked, json as answer};

impl Api {
    pub(super) fn get_group(&self, id: &str) -> Result<Response, Error> {
        let group = self.group(id).ok_or_else(|| unknown(id))?;
        Ok(answer(StatusCode::OK, &group))
    }

    pub(super) fn group_versions(&self, id: &str) -> Result<Response, Error> {
        let group = self.group(id).ok_or_else(|| unknown(id))?;
        Ok(answer(StatusCode::OK, &[group.get("version")]))
    }

    pub(super) fn group_apps(&self, id: &str) -> Result<Response, Error> {
        self.group(id).ok_or_else(|| unknown(id))?;
        let apps: Vec<_> = self.within(id).iter().map(|app| app.info.clone()).collect();
        Ok(answer(StatusCode::OK, &json!({ "apps": apps })))
    }

    fn group(&self, id: &str) -> Option<Value> {
        let apps = self.within(id);
        if apps.is_empty() && id != "/" {
            return None;
        }
        let own = apps.iter().filter(|app| path::parent(&app.spec.app.id) == id);
        let own: Vec<_> = own.map(|app| app.info.clone()).collect();
        let prefix = if id == "/" { "/".to_owned() } else { format!("{id}/") };
        let below = apps.iter().filter_map(|app| {
            let (first, rest) = app.spec.app.id.strip_prefix(&prefix)?.split_once('/')?;
            (!rest.is_empty()).then(|| format!("{prefix}{first}"))
        });
        let below: BTreeSet<String> = below.collect();
        let groups: Vec<Value> = below.iter().filter_map(|group| self.group(group)).collect();
        let version = apps.iter().map(|app| app.spec.version.as_ms()).max().unwrap_or_default();
        let version = karman_api::marathon::v2::time::format(version);
        Some(json!({
            "id": id, "apps": own, "groups": groups, "pods": [], "dependencies": [], "version": version,
        }))
    }

    /// Creates or changes the apps of a group together, as one deployment.
    pub(super) async fn put_group(&self, id: String, asked: &Asked) -> Result<Response, Error> {
        let create = asked.method == http::Method::POST;
        let (force, origin) = (asked.query.flag("force"), asked.origin());
        if asked.query.flag("dryRun") {
            return Err(Error::NotImplemented(
                "dry runs of groups are not available in this release",
            ));
        }
        let body = asked.object()?;
        if let Some(factor) = body.get("scaleBy").and_then(Value::as_f64) {
            return self
                .deployed(Command::Update {
                    items: self.scaled(&id, factor)?,
                    replace: false,
                    create: false,
                    force,
                    origin,
                })
                .await;
        }
        if body.get("version").is_some_and(|version| !version.is_null()) {
            return Err(Error::NotImplemented(
                "groups cannot be rolled back in this release; roll back their apps",
            ));
        }
        let named = body.get("id").and_then(Value::as_str).map(|named| path::absolute(named, &id));
        let id = named.unwrap_or(id);
        if create && id != "/" && !self.within(&id).is_empty() {
            return Err(Error::Refused(crate::machine::Refusal::GroupExists(id)));
        }
        let mut items = Vec::new();
        collect(&id, &body, &[], &mut items)?;
        let mut response = self
            .deployed(Command::Update { items, replace: !create, create: true, force, origin })
            .await?;
        *response.status_mut() = if create { StatusCode::CREATED } else { StatusCode::OK };
        Ok(response)
    }

    fn scaled(&self, id: &str, factor: f64) -> Result<Vec<Item>, Error> {
        if !(0.0..=1e6).contains(&factor) {
            return Err(Error::BadRequest("scaleBy must be at least 0".into()));
        }
        self.group(id).ok_or_else(|| unknown(id))?;
        let scaled = |app: std::sync::Arc<crate::view::AppView>| {
            let instances = (f64::from(app.spec.app.instances) * factor).ceil();
            Item {
                id: Some(app.spec.app.id.clone()),
                body: Map::from_iter([("instances".into(), json!(instances))]),
            }
        };
        Ok(self.within(id).into_iter().map(scaled).collect())
    }

    pub(super) async fn delete_group(&self, id: &str, asked: &Asked) -> Result<Response, Error> {
        let apps: Vec<String> = self.within(id).iter().map(|app| app.spec.app.id.clone()).collect();
        if apps.is_empty() && id != "/" {
            return Err(unknown(id));
        }
        self.deployed(Command::Delete { apps, force: asked.query.flag("force") }).await
    }
}

/// The apps of a group and of the groups in it, with absolute ids; what a group
/// depends on, its apps depend on.
fn collect(
    id: &str,
    group: &Map<String, Value>,
    inherited: &[Value],
    items: &mut Vec<Item>,
) -> Result<(), Error> {
    let list = |key: &str| match group.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => Ok(values.clone()),
        Some(_) => Err(Error::Json(format!("{key} of group {id} must be a list"))),
    };
    let own = list("dependencies")?;
    let own = own
        .iter()
        .filter_map(Value::as_str)
        .map(|one| Value::from(path::absolute(one, path::parent(id))));
    let dependencies: Vec<Value> = inherited.iter().cloned().chain(own).collect();
    for app in list("apps")? {
        let Value::Object(mut body) = app else {
            return Err(Error::Json(format!("apps of group {id} must be objects")));
        };
        let Some(name) = body.get("id").and_then(Value::as_str) else {
            return Err(Error::BadRequest(format!("an app of group {id} has no id")));
        };
        let name = path::absolute(name, id);
        let given = body.get("dependencies").and_then(Value::as_array).cloned().unwrap_or_default();
        let all: Vec<Value> = given.into_iter().chain(dependencies.iter().cloned()).collect();
        body.insert("dependencies".into(), all.into());
        body.insert("id".into(), name.clone().into());
        items.push(Item { id: Some(name), body });
    }
    for inner in list("groups")? {
        let Value::Object(inner) = inner else {
            return Err(Error::Json(format!("groups of group {id} must be objects")));
        };
        let Some(name) = inner.get("id").and_then(Value::as_str) else {
            return Err(Error::BadRequest(format!("a group of group {id} has no id")));
        };
        collect(&path::absolute(name, id), &inner, &dependencies, items)?;
    }
    Ok(())
}

fn unknown(id: &str) -> Error {
    Error::NotFound(format!("Group '{id}' does not exist"))
}
