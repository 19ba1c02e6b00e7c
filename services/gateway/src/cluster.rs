//! What the gateway knows of the cluster to route: the agents and the services
//! with a path of their own. Read when needed, remembered for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use karman_api::credentials::Credentials;
use karman_dashboard::upstream::{Error, Upstream};
use karman_dashboard::wire::mesos::{Slave, Slaves};
use karman_rt::http::Reach;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::route::service::App;

/// How old an answer may be. Routing asks on every request; the master must
/// not feel it.
const FRESH: Duration = Duration::from_secs(2);

/// One remembered answer. Callers that come at the same time share one request.
#[derive(Debug)]
struct Remembered<T> {
    last: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T> Remembered<T> {
    async fn get(&self, read: impl Future<Output = Result<T, Error>>) -> Result<Arc<T>, Error> {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read.await?);
        *last = Some((Instant::now(), Arc::clone(&value)));
        Ok(value)
    }

    async fn forget(&self) {
        *self.last.lock().await = None;
    }
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub upstream: Upstream,
    master: String,
    marathon: String,
    agents: Remembered<Vec<Slave>>,
    services: Remembered<Vec<App>>,
}

impl Cluster {
    pub(crate) fn new(
        master: String,
        credentials: Option<&Credentials>,
        marathon: String,
        reach: Reach,
    ) -> Self {
        let upstream = Upstream::new(&master, credentials, reach);
        Self {
            upstream,
            master,
            marathon,
            agents: Remembered::default(),
            services: Remembered::default(),
        }
    }

    pub(crate) fn master(&self) -> &str {
        &self.master
    }

    pub(crate) async fn agents(&self) -> Result<Arc<Vec<Slave>>, Error> {
        let url = format!("{}/slaves", self.master);
        self.agents.get(async { Ok(self.upstream.json::<Slaves>(&url).await?.slaves) }).await
    }

    /// The base URL of an agent. One that has just joined is found at once.
    pub(crate) async fn agent(&self, id: &str) -> Result<Option<String>, Error> {
        let find = |agents: &[Slave]| {
            agents
                .iter()
                .find(|agent| agent.id == id)
                .and_then(|agent| agent.url(self.upstream.scheme()))
        };
        if let Some(url) = find(&self.agents().await?) {
            return Ok(Some(url));
        }
        self.agents.forget().await;
        Ok(find(&self.agents().await?))
    }

    /// The apps with the label `DCOS_SERVICE_NAME`.
    pub(crate) async fn services(&self) -> Result<Arc<Vec<App>>, Error> {
        #[derive(Deserialize)]
        struct Apps {
            apps: Vec<App>,
        }
        let url = format!("{}/v2/apps?embed=apps.tasks&label=DCOS_SERVICE_NAME", self.marathon);
        self.services.get(async { Ok(self.upstream.json::<Apps>(&url).await?.apps) }).await
    }
}
