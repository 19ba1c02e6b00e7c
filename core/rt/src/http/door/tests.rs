use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::watch;

use super::*;
use crate::Tasks;
use crate::http::{Reach, Secured, bind, client, serve};
use crate::tls::fixture::Authority;
use crate::tls::{AGENT, MASTER};

const LIMIT: Duration = Duration::from_secs(10);

/// Says who asks, and whether nobody else could hear it.
async fn who(peer: Option<Extension<Peer>>, secured: Option<Extension<Secured>>) -> String {
    format!("{:?} {}", peer.map(|Extension(peer)| peer), secured.is_some())
}

async fn listener() -> (TcpListener, String) {
    let listener = bind("127.0.0.1:0".parse().unwrap(), "a test").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn open(door: impl Into<Door>, tasks: &Tasks) {
    serve("test", door.into(), Router::new().route("/", get(who)), tasks);
}

async fn ask(reach: Reach, url: &str) -> Result<String, String> {
    let client = client::<Empty<Bytes>>(reach, LIMIT, LIMIT);
    let uri: Uri = format!("{url}/").parse().unwrap();
    let request = Request::get(uri).body(Empty::new()).unwrap();
    let answer = client.request(request).await.map_err(|error| crate::chain(&error))?;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn each_door_lets_in_whom_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let master = authority.identity(&folder.path().join("m"), &["127.0.0.1", MASTER]);
    let agent = authority.identity(&folder.path().join("a"), &["127.0.0.1", AGENT]);
    let strange = authority.identity(&folder.path().join("s"), &["127.0.0.1"]);
    let foreign = Authority::new().identity(&folder.path().join("f"), &["127.0.0.1", MASTER]);
    let tls = |identity: &Identity| Reach { tls: Some(identity.client()), ..Reach::default() };
    let tasks = Tasks::new();
    let (masters, at_masters) = listener().await;
    open(Door::masters(masters, &master), &tasks);
    let (either, at_either) = listener().await;
    open(Door::either(either, &master), &tasks);
    let (public, at_public) = listener().await;
    open(Door::public(public, &master), &tasks);

    let (plain, secure) = (format!("http://{at_either}"), format!("https://{at_either}"));
    assert_eq!(ask(Reach::default(), &plain).await.unwrap(), "None false");
    assert_eq!(ask(tls(&agent), &secure).await.unwrap(), "Some(Agent) true");
    let secure = format!("https://{at_masters}");
    assert_eq!(ask(tls(&master), &secure).await.unwrap(), "Some(Master) true");
    assert_eq!(ask(tls(&agent), &format!("https://{at_public}")).await.unwrap(), "None true");
    let wrong = [("agent", &agent), ("strange", &strange), ("foreign", &foreign)];
    for (who, reach) in wrong.map(|(who, identity)| (who, tls(identity))) {
        drop(ask(reach, &secure).await.expect_err(who));
    }
    drop(ask(Reach::default(), &format!("http://{at_masters}")).await.unwrap_err());
    let error = ask(Reach::default(), &secure).await.unwrap_err();
    assert!(error.contains("has no certificate to show"), "{error}");
    tasks.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_leader_is_found_where_it_is_now() {
    let tasks = Tasks::new();
    let name = |name: &'static str| Router::new().fallback(get(move || async move { name }));
    let (one, at_one) = listener().await;
    serve("one", one, name("one"), &tasks);
    let (two, at_two) = listener().await;
    serve("two", two, name("two"), &tasks);
    let (leads, leader) = watch::channel(None);
    let leaders = BTreeMap::from([("master.leader".to_owned(), leader)]);
    let client = client::<Empty<Bytes>>(Reach { tls: None, leaders }, LIMIT, LIMIT);
    let client = Arc::new(client);
    let ask = || {
        let client = Arc::clone(&client);
        async move {
            let request = Request::get("http://master.leader/").body(Empty::new()).unwrap();
            let answer = client.request(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        }
    };
    // Whoever asks while nobody leads waits for the next leader.
    let (early, _) =
        tokio::join!(ask(), async { leads.send_replace(Some(format!("http://{at_one}"))) });
    assert_eq!(early, "one");
    assert_eq!(ask().await, "one");
    leads.send_replace(None);
    leads.send_replace(Some(format!("http://{at_two}")));
    // The connection that was kept leads to somebody who leads no more.
    assert_eq!(ask().await, "two");
    // Whoever leads in name only is not the last word.
    let (gone, at_gone) = listener().await;
    drop(gone);
    leads.send_replace(Some(format!("http://{at_gone}")));
    let (late, _) = tokio::join!(ask(), async {
        tokio::task::yield_now().await;
        leads.send_replace(Some(format!("http://{at_one}")));
    });
    assert_eq!(late, "one");
    tasks.shutdown(LIMIT).await.unwrap();
}
