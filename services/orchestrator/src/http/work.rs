//! `/v2/tasks` and `/v2/queue`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use karman_api::marathon::v2::queue::Queue;
use karman_api::marathon::v2::task::{Task, TaskIds, TaskList};
use karman_model::time::Timestamp;

use crate::machine::Which;
use crate::view::AppView;

use super::error::Error;
use super::{Api, Asked, json};

impl Api {
    pub(super) fn tasks(&self, asked: &Asked) -> Response {
        let apps: Vec<Arc<AppView>> = self.board.read().apps.values().cloned().collect();
        if asked.accepts("text/plain") {
            return table(&apps);
        }
        let states = asked.query.all("status").chain(asked.query.all("status[]"));
        let states: BTreeSet<String> =
            states.map(|state| format!("TASK_{}", state.to_uppercase())).collect();
        let fits = |task: &&Task| states.is_empty() || states.contains(&task.state);
        let tasks = apps.iter().flat_map(|app| app.tasks.iter().filter(fits).cloned()).collect();
        json(StatusCode::OK, &TaskList { tasks })
    }

    pub(super) async fn delete_tasks(&self, asked: &Asked) -> Result<Response, Error> {
        let ids: TaskIds = serde_json::from_value(asked.json()?)
            .map_err(|error| Error::Json(error.to_string()))?;
        self.kill(Which::Tasks(ids.ids), asked, false).await
    }

    pub(super) fn queue(&self, asked: &Asked) -> Response {
        let with_offers = asked.query.embed().contains("lastUnusedOffers");
        let now = Timestamp(karman_rt::time::now_ms());
        let state = self.board.read();
        let queue =
            state.apps.values().filter_map(|app| app.queue_item(now, with_offers)).collect();
        json(StatusCode::OK, &Queue { queue })
    }
}

/// One line for each port of an app: id, service port, and where it is served.
pub(super) fn table(apps: &[Arc<AppView>]) -> Response {
    let mut text = String::new();
    for app in apps {
        let id = app.spec.app.id.trim_start_matches('/').replace('/', "_");
        let running: Vec<&Task> =
            app.tasks.iter().filter(|task| task.state == "TASK_RUNNING").collect();
        let definitions = &app.spec.app.port_definitions;
        for (i, definition) in definitions.iter().enumerate() {
            let served = running
                .iter()
                .filter_map(|task| Some(format!("{}:{}", task.host, task.ports.get(i)?)));
            let served: Vec<String> = served.collect();
            // Writing into a string does not fail.
            let _ = writeln!(text, "{id}\t{}\t{}\t", definition.port, served.join("\t"));
        }
        if definitions.is_empty() {
            let hosts: Vec<&str> = running.iter().map(|task| task.host.as_str()).collect();
            let _ = writeln!(text, "{id}\t \t{}\t", hosts.join("\t"));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
}
