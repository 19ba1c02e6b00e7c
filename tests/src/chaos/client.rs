//! Writing through whichever master leads, as an impatient user does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use karman_rt::tls::{Files, Identity};
use reqwest::Method;
use serde_json::{Value, json};

use super::history::Ended;
use super::machines::{MASTERS, Machines};
use super::network::Network;

const MARATHON: u16 = 8080;
const MASTER: u16 = 5050;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// For one master; a leader that is up answers in milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// Speaks to masters with the certificate of one of them.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    hosts: Vec<String>,
}

/// What one master said.
enum Said {
    Answer(u16, Value),
    /// It cannot have done anything.
    NotThere,
    /// It may have.
    Nothing,
}

impl Client {
    pub(super) fn new(network: &Network, machines: &Machines) -> Result<Self> {
        let tls = machines.tls(0);
        let files = Files {
            ca: tls.join("ca.pem"),
            certificate: tls.join("node.pem"),
            key: tls.join("node.key"),
        };
        let tls = Identity::load(files)?.client();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .tls_backend_preconfigured(std::sync::Arc::unwrap_or_clone(tls))
            .build()
            .context("no HTTP client")?;
        let hosts = (0..MASTERS).map(|machine| network.address(machine).to_string()).collect();
        Ok(Self { http, hosts })
    }

    /// Asks the masters in turn until one has something to say.
    async fn ask(
        &self,
        port: u16,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Option<(u16, Value)> {
        for host in &self.hosts {
            match self.ask_one(host, port, method, path, body, patience).await {
                Said::Answer(status, body) => return Some((status, body)),
                Said::NotThere => {}
                Said::Nothing => return None,
            }
        }
        Some((503, Value::Null))
    }

    async fn ask_one(
        &self,
        host: &str,
        port: u16,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Said {
        let mut request = self.http.request(method.clone(), format!("https://{host}:{port}{path}"));
        request = request.timeout(patience);
        if let Some(body) = body {
            request = request.json(body);
        }
        match request.send().await {
            // Who stands by says so, or who leads.
            Ok(answer) if matches!(answer.status().as_u16(), 307 | 503) => Said::NotThere,
            Ok(answer) => {
                let status = answer.status().as_u16();
                Said::Answer(status, answer.json().await.unwrap_or_default())
            }
            Err(error) if error.is_connect() => Said::NotThere,
            Err(_) => Said::Nothing,
        }
    }

    /// Sets the number of an app's instances, or makes it.
    pub(super) async fn scale(
        &self,
        app: &str,
        campaign: &str,
        instances: u64,
        make: bool,
    ) -> Ended {
        let spec = json!({
            "id": app,
            "cmd": "exec sleep 1000000",
            "cpus": 0.01,
            "mem": 16,
            "disk": 0,
            "instances": instances,
            "env": { super::history::MARK: campaign },
            "backoffSeconds": 1,
            "maxLaunchDelaySeconds": 2,
        });
        let answer = if make {
            self.ask(MARATHON, &Method::POST, "/v2/apps", Some(&spec), PATIENCE).await
        } else {
            let (path, body) =
                (format!("/v2/apps{app}?force=true"), json!({ "instances": instances }));
            self.ask(MARATHON, &Method::PUT, &path, Some(&body), PATIENCE).await
        };
        match answer {
            Some((200 | 201, _)) => Ended::Acknowledged,
            Some((400..500 | 503, _)) => Ended::Refused,
            Some(_) | None => Ended::Unknown,
        }
    }

    /// How many instances an app shall have and how many run; zero where there is
    /// no app, nothing where nobody knows.
    pub(super) async fn instances(&self, app: &str) -> Option<(u64, u64)> {
        let path = format!("/v2/apps{app}");
        match self.ask(MARATHON, &Method::GET, &path, None, PATIENCE).await? {
            (200, body) => {
                let app = body.get("app")?;
                Some((app.get("instances")?.as_u64()?, app.get("tasksRunning")?.as_u64()?))
            }
            (404, _) => Some((0, 0)),
            _ => None,
        }
    }

    /// A write to the state of the orchestrator.
    pub(super) async fn write_orchestrator(
        &self,
        app: &str,
        campaign: &str,
        patience: Duration,
    ) -> bool {
        let spec = json!({
            "id": app, "cmd": "true", "cpus": 0.01, "mem": 16, "instances": 0,
            "env": { super::history::MARK: campaign },
        });
        let path = format!("/v2/apps{app}?force=true");
        let answer = self.ask(MARATHON, &Method::PUT, &path, Some(&spec), patience).await;
        matches!(answer, Some((200 | 201, _)))
    }

    /// A write to the state of the master.
    pub(super) async fn write_master(&self, weight: u32, patience: Duration) -> bool {
        let call = json!({
            "type": "UPDATE_WEIGHTS",
            "update_weights": { "weight_infos": [{ "weight": f64::from(weight), "role": "chaos" }] },
        });
        let answer = self.ask(MASTER, &Method::POST, "/api/v1", Some(&call), patience).await;
        matches!(answer, Some((200..300, _)))
    }
}
