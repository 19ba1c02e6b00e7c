//! Masters that do not lead yet.

use std::sync::Arc;

use futures::future::BoxFuture;
use karman_api::client::discovery::Stream;
use karman_api::karman::discovery::Snapshot;
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

    fn expire<'a>(&'a self, name: &'a str, leader: &'a Leader) -> BoxFuture<'a, ()> {
        self.store.expire(name, leader)
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

fn unmoved() -> reqwest::Client {
    drop(client());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn a_standby_sends_to_the_leader_and_takes_over() {
    let (_folder, store) = store();
    let leader = Master::start(&store).await;
    let (standby, start) =
        Master::prepare(Arc::clone(&store) as _, Settings::default(), Access::default()).await;
    let leads = tokio::spawn(start);
    let authority = leader.url.strip_prefix("http:").unwrap();
    for path in ["/state?order_by=id", "/master/slaves", "/api/v1/scheduler", "/redirect"] {
        let moved = unmoved().get(format!("{}{path}", standby.url)).send().await.unwrap();
        assert_eq!(moved.status(), 307, "{path}");
        assert_eq!(moved.headers()["Location"], format!("{authority}{path}"));
    }
    // What is true of each process is not passed on.
    let metrics = standby.get("/metrics/snapshot").await;
    assert_eq!(metrics["master/elected"], 0.0);
    // A client that follows finds the leader by itself.
    let call = json!({"type": "GET_HEALTH"});
    assert_eq!(
        standby.ask(call).await,
        (200, json!({"type": "GET_HEALTH", "get_health": {"healthy": true}}))
    );

    let agent = session(&standby).await.unwrap_err();
    let named = agent.metadata().get(karman_api::session::LEADER).unwrap().to_str().unwrap();
    assert_eq!(named, leader.session);

    leader.stop().await;
    leads.await.unwrap();
    assert_eq!(standby.get("/metrics/snapshot").await["master/elected"], 1.0);
    assert_eq!(unmoved().get(format!("{}/state", standby.url)).send().await.unwrap().status(), 200);
    standby.stop().await;
}

/// Opens a session without saying anything.
async fn session(master: &Master) -> Result<(), tonic::Status> {
    let mut client =
        karman_api::session::session_client::SessionClient::connect(master.session.clone())
            .await
            .unwrap();
    client.open(tokio_stream::pending()).await.map(drop)
}

#[tokio::test]
async fn discovery_is_served_by_a_standby_too() {
    let (_folder, store) = store();
    let leader = Master::start(&store).await;
    let (standby, start) =
        Master::prepare(Arc::clone(&store) as _, Settings::default(), Access::default()).await;
    let leads = tokio::spawn(start);
    let http = karman_api::client::http(None).unwrap();
    let mut snapshots = Vec::new();
    for url in [&leader.url, &standby.url] {
        let mut stream = Stream::open(&http, url, None).await.unwrap();
        let mut snapshot = Snapshot::default();
        while snapshot.generation == 0 {
            for message in stream.next().await.unwrap() {
                snapshot.apply(message).unwrap();
            }
        }
        snapshots.push(snapshot);
    }
    assert_eq!(snapshots[0], snapshots[1]);
    assert!(snapshots[1].leader.is_some());
    leader.stop().await;
    leads.await.unwrap();
    standby.stop().await;
}
