//! Masters that do not lead yet.

use std::sync::Arc;

use futures::future::BoxFuture;
use karman_store::embedded::Embedded;
use karman_store::{Change, Error, Fence, Leader, Leadership, Loaded, Revision, Store, Watch};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::fakes::{Master, client, store};
use crate::access::Access;
use crate::ledger::Settings;

/// Lets nobody lead before it is told to.
#[derive(Debug)]
struct Reluctant {
    store: Arc<Embedded>,
    open: Semaphore,
}

impl Store for Reluctant {
    fn load<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Loaded, Error>> {
        self.store.load(prefix)
    }

    fn commit<'a>(
        &'a self,
        fence: &'a Fence,
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        self.store.commit(fence, changes)
    }

    fn watch(&self, prefix: &str, revision: Revision) -> Watch {
        self.store.watch(prefix, revision)
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
    ) -> BoxFuture<'a, Result<Leadership, Error>> {
        Box::pin(async move {
            self.open.acquire().await.expect("nobody closes it").forget();
            self.store.campaign(name, holder).await
        })
    }

    fn leader(&self, name: &str) -> watch::Receiver<Option<Leader>> {
        self.store.leader(name)
    }
}

#[tokio::test]
async fn before_it_leads_a_master_answers_for_itself_only() {
    let (_folder, store) = store();
    let reluctant = Arc::new(Reluctant { store, open: Semaphore::new(0) });
    let (master, start) =
        Master::prepare(Arc::clone(&reluctant) as _, Settings::default(), Access::default()).await;
    let leads = tokio::spawn(start);
    let get = |path: &'static str| client().get(format!("{}{path}", master.url)).send();
    for path in [
        "/health",
        "/master/version",
        "/flags",
        "/metrics/prometheus",
        "/files/debug",
        "/logging/toggle",
    ] {
        assert_eq!(get(path).await.unwrap().status(), 200, "{path}");
    }
    let metrics: Value = get("/metrics/snapshot").await.unwrap().json().await.unwrap();
    assert_eq!(metrics["master/elected"], 0.0);
    for path in [
        "/state",
        "/slaves",
        "/redirect",
        "/master/redirect",
        "/roles",
        "/quota",
        "/api/v1",
        "/api/v1/scheduler",
        "/machine/down",
        "/karman/v1/discovery",
    ] {
        let refused = get(path).await.unwrap();
        assert_eq!(refused.status(), 503, "{path}");
        assert_eq!(refused.headers()["Retry-After"], "1", "{path}");
    }
    let call = client().post(format!("{}/api/v1", master.url)).json(&json!({"type": "GET_HEALTH"}));
    assert_eq!(call.send().await.unwrap().status(), 503);
    reluctant.open.add_permits(1);
    leads.await.unwrap();
    let metrics = master.get("/metrics/snapshot").await;
    assert_eq!(metrics["master/elected"], 1.0);
    assert_eq!(get("/state").await.unwrap().status(), 200);
    let still = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let still = still.build().unwrap();
    let moved = still.get(format!("{}/redirect", master.url)).send().await.unwrap();
    assert_eq!(moved.status(), 307);
    let to = format!("http:{}", moved.headers()["Location"].to_str().unwrap());
    assert_eq!(to, master.url);
    master.stop().await;
}
