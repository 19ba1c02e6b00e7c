use std::time::{Duration, Instant};

use super::*;
use crate::conformance::{CASES, list, put};
use crate::{CHANGES_MAX, WatchEvent};

mod cluster;
mod faults;

use cluster::{Cluster, PATIENCE};

/// Waits for a future that must not take for ever.
#[track_caller]
fn soon<F: Future>(what: &'static str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, future)
            .await
            .unwrap_or_else(|_| panic!("{caller}: not within {PATIENCE:?}: {what}"))
    }
}

/// Each case under a prefix of its own.
async fn conforms(cluster: &Cluster) {
    for (number, (name, case)) in CASES.iter().enumerate() {
        let begun = Instant::now();
        let options = Options { prefix: format!("/karman/{number}"), ..cluster.options() };
        soon(name, case(Etcd::open(options).unwrap())).await;
        println!("{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_keeps_every_promise_of_the_trait() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    conforms(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_keep_every_promise_of_the_trait() {
    let Some(cluster) = Cluster::start(3, true) else { return };
    conforms(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_can_be_opened_before_there_is_etcd() {
    let Some(mut cluster) = Cluster::prepare(1, false) else { return };
    let store = cluster.open();
    let error = store.load("/").await.unwrap_err();
    let Error::Unavailable { reason } = &error else { panic!("{error}") };
    // Whoever notices first says it: the request, its deadline, or the probe.
    let said = ["refused", "none of", "does not answer"];
    assert!(said.iter().any(|said| reason.contains(said)), "{reason}");
    let mut watch = store.watch("/", 0);
    let campaign = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.campaign("test", "me").await })
    };
    cluster.start_all();
    let leader = soon("leads", campaign).await.unwrap().unwrap();
    store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    let event = soon("a change", watch.recv()).await;
    assert!(
        matches!(&event, Some(WatchEvent::Changes { changes, .. }) if *changes == [put("/a", "1")]),
        "{event:?}"
    );
    assert!(!*leader.lost.borrow());
}

/// What is larger than a transaction of etcd is still one.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_commit_is_one_with_the_limits_of_etcd() {
    let Some(cluster) = Cluster::start_plain() else { return };
    let store = cluster.open();
    let leader = store.campaign("test", "me").await.unwrap();
    let mut watch = store.watch("/", store.load("/").await.unwrap().revision);
    let changes: Vec<Change> = (0..CHANGES_MAX).map(|n| put(&format!("/{n:04}"), "v")).collect();
    let revision = store.commit(&leader.fence, changes.clone()).await.unwrap();
    assert_eq!(store.load("/").await.unwrap().entries.len(), CHANGES_MAX);
    let event = soon("all changes at once", watch.recv()).await;
    assert_eq!(event, Some(WatchEvent::Changes { revision, changes }));

    let large = "v".repeat(1 << 20);
    let changes = (0..4).map(|n| put(&format!("/{n}"), &large)).collect();
    let error = store.commit(&leader.fence, changes).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("raise max-request-bytes of etcd"), "{error}");
    store.commit(&leader.fence, vec![put("/0", &large)]).await.unwrap();
    assert!(!*leader.lost.borrow());
}

/// Pages hold what fits, and all of them are of one moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_many_pages_is_of_one_revision() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    let store = cluster.open();
    let leader = store.campaign("test", "me").await.unwrap();
    let round = |round: usize| {
        let changes = (0..CHANGES_MAX).map(move |n| put(&format!("/{n:04}"), &round.to_string()));
        changes.collect::<Vec<_>>()
    };
    store.commit(&leader.fence, round(0)).await.unwrap();
    for n in 1..10 {
        let (loaded, committed) =
            tokio::join!(store.load("/"), store.commit(&leader.fence, round(n)));
        let (loaded, committed) = (loaded.unwrap(), committed.unwrap());
        assert_eq!(loaded.entries.len(), CHANGES_MAX);
        assert!(loaded.entries.windows(2).all(|pair| {
            pair[0].key < pair[1].key
                && pair[0].value == pair[1].value
                && pair[0].revision == pair[1].revision
        }));
        let newest = loaded.entries[0].revision;
        assert!(newest <= loaded.revision && newest <= committed);
    }
}

/// A process that died without a word is followed once its lease ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_leader_is_followed_when_its_lease_ends() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    let (first, second) = (cluster.open(), cluster.open());
    let leader = first.campaign("test", "first").await.unwrap();
    let mut seen = second.leader("test");
    let is_first = |seen: &Option<Leader>| seen.as_ref().is_some_and(|seen| seen.holder == "first");
    soon("the first is seen", seen.wait_for(is_first)).await.unwrap();
    drop(first);
    let begun = Instant::now();
    let next = soon("the second leads", second.campaign("test", "second")).await.unwrap();
    println!("leads after {:?}", begun.elapsed());
    assert!(next.fence.token > leader.fence.token);
    let is_second =
        |seen: &Option<Leader>| seen.as_ref().is_some_and(|seen| seen.holder == "second");
    soon("the second is seen", seen.wait_for(is_second)).await.unwrap();
}

/// Two processes: the former one is alive, and must not write any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_of_the_same_name_takes_over_from_another_process() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    let (first, second) = (cluster.open(), cluster.open());
    let mut former = first.campaign("test", "me").await.unwrap();
    let busy = {
        let (first, fence) = (Arc::clone(&first), former.fence.clone());
        tokio::spawn(async move {
            while first.commit(&fence, vec![put("/a", "former")]).await.is_ok() {}
            first.commit(&fence, vec![]).await
        })
    };
    let leader = soon("takes over", second.campaign("test", "me")).await.unwrap();
    soon("is told", former.lost.wait_for(|lost| *lost)).await.unwrap();
    let refused = soon("stops", busy).await.unwrap();
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    second.commit(&leader.fence, vec![put("/a", "later")]).await.unwrap();
    assert_eq!(list(&*second, "/").await, [("/a".to_owned(), "later".to_owned())]);
}

/// One that gives up its place is followed at once, long before its lease ends.
#[tokio::test(flavor = "multi_thread")]
async fn who_resigns_is_followed_at_once() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    let options = Options { lease_ttl: Duration::from_secs(600), ..cluster.options() };
    let (first, second) = (Etcd::open(options.clone()).unwrap(), Etcd::open(options).unwrap());
    let leader = first.campaign("test", "first").await.unwrap();
    let next = second.campaign("test", "second");
    drop(leader);
    soon("follows", next).await.unwrap();
}

/// The lease here lasts longer than this test waits.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_lease_of_a_process_that_ended() {
    let Some(cluster) = Cluster::start(1, false) else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let holder = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { lease_ttl: 10 * PATIENCE, ..cluster.options() };
    let store = Etcd::open(options).unwrap();
    let leader = store.campaign("test", &holder).await.unwrap();
    let other = cluster.open();
    let next = tokio::spawn(async move {
        crate::campaign(&*other, "test", "http://me", |holder| Some(holder.to_owned())).await
    });
    let (line, _) = soon("it is watched", listener.accept()).await.unwrap();
    // As when it is killed: nothing is given back.
    drop((store, listener, line));
    let next = soon("the next one leads", next).await.unwrap().unwrap();
    assert!(next.fence.token > leader.fence.token);
}
