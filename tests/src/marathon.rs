//! The Marathon API as the tests use it: JSON in, status and JSON out.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::http::{Answer, Api};

/// How long apps may take to reach their goal on a busy machine.
pub const GOAL: Duration = Duration::from_secs(90);

/// A client of one datacenter.
#[derive(Clone, Copy, Debug)]
pub struct Marathon<'a> {
    pub base: &'a str,
    pub http: &'a reqwest::Client,
}

impl Marathon<'_> {
    /// Everything under it.
    pub fn api(&self) -> Api<'_> {
        Api { base: self.base, http: self.http }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api().get(path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.api().post(path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.api().put(path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.api().delete(path).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        self.api().send(method, path, body).await
    }

    /// Creates an app.
    pub async fn create(&self, app: &Value) {
        self.post("/v2/apps", app).await.expect(201);
    }

    /// Waits until no deployment runs and the app has exactly `count` running
    /// and, if it has health checks, healthy instances. Gives its tasks.
    pub async fn settled(&self, id: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{id} has {count} instances"), GOAL, async || {
            self.state(id, count).await
        })
        .await
    }

    async fn state(&self, id: &str, count: usize) -> Result<Vec<Value>, String> {
        let path = format!(
            "/v2/apps{id}?embed=app.tasks&embed=app.deployments&embed=app.counts&embed=app.lastTaskFailure"
        );
        let answer = self
            .api()
            .try_send(Method::GET, &path, None)
            .await
            .map_err(|error| error.to_string())?;
        let app = answer.body["app"].clone();
        let shown = || format!("{}: {app:#}", answer.status);
        if answer.status != 200
            || app["deployments"].as_array().is_none_or(|running| !running.is_empty())
        {
            return Err(shown());
        }
        let has_checks = app["healthChecks"].as_array().is_some_and(|checks| !checks.is_empty());
        let settled = app["tasksRunning"] == json!(count)
            && app["tasksStaged"] == json!(0)
            && (!has_checks || app["tasksHealthy"] == json!(count));
        let tasks = app["tasks"].as_array().cloned().unwrap_or_default();
        if settled && tasks.len() == count { Ok(tasks) } else { Err(shown()) }
    }

    /// Waits until a deployment is over.
    pub async fn deployed(&self, deployment: &str) {
        eventually("the deployment is over", GOAL, async || {
            let answer = self
                .api()
                .try_send(Method::GET, "/v2/deployments", None)
                .await
                .map_err(|error| error.to_string())?;
            let running = answer.body.as_array().cloned().unwrap_or_default();
            if answer.status == 200 && running.iter().all(|one| one["id"] != deployment) {
                Ok(())
            } else {
                Err(format!("{:#}", answer.body))
            }
        })
        .await;
    }
}

/// The ids of tasks.
pub fn ids(tasks: &[Value]) -> BTreeSet<String> {
    tasks.iter().filter_map(|task| task["id"].as_str()).map(str::to_owned).collect()
}

/// `host:port` of each task's first port.
pub fn addresses(tasks: &[Value]) -> Vec<String> {
    tasks
        .iter()
        .map(|task| format!("{}:{}", task["host"].as_str().unwrap_or_default(), task["ports"][0]))
        .collect()
}
