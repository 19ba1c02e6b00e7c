//! The orchestrator as its users and its master see it: over real HTTP, with a
//! real store and a master of the test's own.

mod api;
mod faults;
mod master;
mod rollouts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use karman_rt::Tasks;
use karman_rt::http::Reach;
use karman_store::Store;
use karman_store::embedded::Embedded;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{Config, Urls, start};
use master::Master;

const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    master: Master,
    master_url: String,
    base: String,
    metronome: String,
    http: reqwest::Client,
    store: Arc<dyn Store>,
    tasks: Tasks,
    _master_tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&PathBuf::from(folder.path()).join("store")).unwrap();
        let master_tasks = Tasks::new();
        let (master, master_url) = Master::start(&master_tasks).await;
        let mut world = Self {
            master,
            master_url,
            base: String::new(),
            metronome: String::new(),
            http: reqwest::Client::new(),
            store,
            tasks: Tasks::new(),
            _master_tasks: master_tasks,
            _folder: folder,
        };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let listen = || karman_rt::http::bind(([127, 0, 0, 1], 0).into(), "the test");
        let (marathon, metronome) = (listen().await.unwrap(), listen().await.unwrap());
        self.base = format!("http://{}", marathon.local_addr().unwrap());
        self.metronome = format!("http://{}", metronome.local_addr().unwrap());
        self.tasks = Tasks::new();
        let config = Config {
            marathon: marathon.into(),
            metronome: metronome.into(),
            urls: Urls { marathon: self.base.clone(), metronome: self.metronome.clone() },
            masters: vec![self.master_url.clone()],
            leader: None,
            reach: Reach::default(),
            store: Arc::clone(&self.store),
            hostname: "localhost".into(),
            user: "root".into(),
            framework_name: "marathon".into(),
            credentials: None,
            version: "0.0.0",
        };
        start(config, &self.tasks).await.unwrap();
    }

    /// Ends the orchestrator; tasks and store stay.
    async fn stop(&self) {
        self.tasks.shutdown(PATIENCE).await.unwrap();
        self.master.lock().user_agent = None;
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// The status and the body, null where it is none.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn create(&self, app: Value) -> Value {
        let (status, body) = self.ask(Method::POST, "/v2/apps", Some(app)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body
    }

    /// Waits until an answer is as wanted and returns it.
    #[track_caller]
    fn eventually(
        &self,
        path: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            loop {
                let body = self.get(path).await;
                if wanted(&body) {
                    return body;
                }
                assert!(start.elapsed() < PATIENCE, "{caller}: {path} is still {body:#}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    #[track_caller]
    fn running(&self, app: &str, count: u32) -> impl Future<Output = Value> {
        let path = format!("/v2/apps{app}");
        let caller = std::panic::Location::caller();
        async move {
            let settled = |body: &Value| {
                let app = &body["app"];
                let tasks = app["tasks"].as_array().map_or(0, Vec::len);
                app["tasksRunning"] == count
                    && app["deployments"] == json!([])
                    && tasks == count as usize
            };
            let start = Instant::now();
            loop {
                let body = self.get(&path).await;
                if settled(&body) {
                    return body["app"].clone();
                }
                assert!(start.elapsed() < PATIENCE, "{caller}: {path} is still {body:#}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

fn ids(app: &Value) -> Vec<String> {
    let tasks = app["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}
