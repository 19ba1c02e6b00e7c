//! What every engine promises, written against the trait. An engine runs
//! [`CASES`], each on an empty store of its own.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::{
    CHANGES_MAX, Change, Error, Fence, HOLDER_BYTES_MAX, KEY_BYTES_MAX, Leader, Leadership, Store,
    VALUE_BYTES_MAX, WatchEvent,
};

pub(crate) type Case = fn(Arc<dyn Store>) -> BoxFuture<'static, ()>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a new store is empty", |store| empty(store).boxed()),
    ("what is committed is loaded", |store| roundtrip(store).boxed()),
    ("a prefix selects by bytes, sorted", |store| prefixes(store).boxed()),
    ("the last change of a key counts", |store| repeated_keys(store).boxed()),
    ("limits are refused", |store| limits(store).boxed()),
    ("a fence that never led is refused", |store| unknown_fence(store).boxed()),
    ("a deposed leader stores nothing", |store| deposed(store).boxed()),
    ("a campaign waits for the leader", |store| campaign_waits(store).boxed()),
    ("a leader that comes back does not wait", |store| former_self(store).boxed()),
    ("a leader of whom it is said that it ended may lead on", |store| said_ended(store).boxed()),
    ("everybody sees who leads", |store| leader_is_seen(store).boxed()),
    ("names are led independently", |store| independent_names(store).boxed()),
    ("concurrent commits are ordered and complete", |store| concurrent(store).boxed()),
    ("a fenced commit does not harm its neighbours", |store| fenced_neighbour(store).boxed()),
    ("a watch follows from a load", |store| watch_follows(store).boxed()),
    ("a watch replays what it missed", |store| watch_replays(store).boxed()),
    ("a slow watch is told to list", |store| watch_overflows(store).boxed()),
];

pub(crate) fn put(key: &str, value: &str) -> Change {
    Change::Put { key: key.to_owned(), value: Bytes::copy_from_slice(value.as_bytes()) }
}

pub(crate) fn delete(key: &str) -> Change {
    Change::Delete { key: key.to_owned() }
}

/// Keys and values under a prefix.
pub(crate) async fn list(store: &dyn Store, prefix: &str) -> Vec<(String, String)> {
    let loaded = store.load(prefix).await.unwrap();
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    loaded.entries.iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect()
}

async fn lead(store: &dyn Store) -> Leadership {
    store.campaign("test", "me").await.unwrap()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

async fn empty(store: Arc<dyn Store>) {
    assert_eq!(store.load("/").await.unwrap().entries, []);
}

async fn roundtrip(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let first = store.commit(&leader.fence, vec![put("/a", "1"), put("/b", "2")]).await.unwrap();
    let second = store.commit(&leader.fence, vec![put("/b", "3"), delete("/never")]).await.unwrap();
    assert!(second > first);
    let loaded = store.load("/").await.unwrap();
    assert!(loaded.revision >= second);
    let revisions: Vec<_> =
        loaded.entries.iter().map(|entry| (entry.key.as_str(), entry.revision)).collect();
    assert_eq!(revisions, [("/a", first), ("/b", second)]);
    assert_eq!(list(&*store, "/").await, [pair("/a", "1"), pair("/b", "3")]);
    let third = store.commit(&leader.fence, vec![delete("/a")]).await.unwrap();
    let fourth = store.commit(&leader.fence, vec![]).await.unwrap();
    assert!(fourth > third);
    assert_eq!(list(&*store, "/").await, [pair("/b", "3")]);
}

async fn prefixes(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let keys = ["/a/2", "/a/10", "/a", "/ab", "/b"];
    store.commit(&leader.fence, keys.iter().map(|key| put(key, "")).collect()).await.unwrap();
    let names =
        |listed: Vec<(String, String)>| listed.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(names(list(&*store, "/a/").await), ["/a/10", "/a/2"]);
    assert_eq!(names(list(&*store, "/a").await), ["/a", "/a/10", "/a/2", "/ab"]);
    assert_eq!(names(list(&*store, "/c").await), Vec::<String>::new());
}

async fn repeated_keys(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    store.commit(&leader.fence, vec![put("/a", "0")]).await.unwrap();
    let mut watch = store.watch("/", store.load("/").await.unwrap().revision);
    let changes = vec![put("/a", "1"), put("/b", "1"), delete("/a"), put("/b", "2")];
    let revision = store.commit(&leader.fence, changes).await.unwrap();
    assert_eq!(list(&*store, "/").await, [pair("/b", "2")]);
    let changes = vec![delete("/a"), put("/b", "2")];
    assert_eq!(watch.recv().await, Some(WatchEvent::Changes { revision, changes }));
}

async fn limits(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let long_key = format!("/{}", "k".repeat(KEY_BYTES_MAX));
    let largest = "v".repeat(VALUE_BYTES_MAX);
    let many = |count| (0..count).map(|n| put(&format!("/{n}"), "")).collect::<Vec<_>>();
    let refused = [
        vec![put("no-slash", "")],
        vec![put("", "")],
        vec![delete(&long_key)],
        vec![put("/a", &format!("{largest}v"))],
        many(CHANGES_MAX + 1),
        (0..9).map(|n| put(&format!("/{n}"), &largest)).collect(),
    ];
    for changes in refused {
        let error = store.commit(&leader.fence, changes).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
    assert!(matches!(store.campaign("", "me").await, Err(Error::Refused { .. })));
    assert!(matches!(store.campaign("test", "").await, Err(Error::Refused { .. })));
    let long_holder = "h".repeat(HOLDER_BYTES_MAX + 1);
    assert!(matches!(store.campaign("test", &long_holder).await, Err(Error::Refused { .. })));
    assert_eq!(list(&*store, "/").await, []);
    store.commit(&leader.fence, vec![put("/a", &largest)]).await.unwrap();
    store.commit(&leader.fence, many(CHANGES_MAX)).await.unwrap();
}

async fn unknown_fence(store: Arc<dyn Store>) {
    let fence = Fence { name: "nobody".into(), token: 1 };
    assert!(matches!(store.commit(&fence, vec![put("/a", "")]).await, Err(Error::Fenced { .. })));
    let leader = lead(&*store).await;
    let future = Fence { token: leader.fence.token + 1, ..leader.fence };
    assert!(matches!(store.commit(&future, vec![put("/a", "")]).await, Err(Error::Fenced { .. })));
    assert_eq!(list(&*store, "/").await, []);
}

async fn deposed(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let old = leader.fence.clone();
    store.commit(&old, vec![put("/a", "old")]).await.unwrap();
    drop(leader);
    let new = lead(&*store).await;
    assert!(new.fence.token > old.token);
    let error = store.commit(&old, vec![put("/a", "late"), put("/b", "late")]).await.unwrap_err();
    assert_eq!(error.to_string(), "leadership of 'test' was lost; the change was not stored");
    store.commit(&new.fence, vec![put("/c", "new")]).await.unwrap();
    assert_eq!(list(&*store, "/").await, [pair("/a", "old"), pair("/c", "new")]);
}

async fn campaign_waits(store: Arc<dyn Store>) {
    let first = lead(&*store).await;
    let mut second = store.campaign("test", "other");
    assert!((&mut second).now_or_never().is_none());
    // One that gives up waiting does not stand in the way of the others.
    let abandoned = store.campaign("test", "other");
    drop(abandoned);
    store.commit(&first.fence, vec![put("/a", "")]).await.unwrap();
    assert!((&mut second).now_or_never().is_none());
    assert!(!*first.lost.borrow());
    let token = first.fence.token;
    drop(first);
    assert!(second.await.unwrap().fence.token > token);
}

async fn former_self(store: Arc<dyn Store>) {
    let mut former = lead(&*store).await;
    let other = store.campaign("test", "other");
    let again = lead(&*store).await;
    assert!(again.fence.token > former.fence.token);
    assert!(*former.lost.wait_for(|lost| *lost).await.unwrap());
    assert!(matches!(store.commit(&former.fence, vec![]).await, Err(Error::Fenced { .. })));
    drop(former);
    store.commit(&again.fence, vec![put("/a", "")]).await.unwrap();
    assert!(!*again.lost.borrow());
    let token = again.fence.token;
    drop(again);
    assert!(other.await.unwrap().fence.token > token);
}

async fn said_ended(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let holder = "me".to_owned();
    let other = Leader { holder: holder.clone(), token: leader.fence.token - 1 };
    let this = Leader { holder, token: leader.fence.token };
    for said in [other, this.clone()] {
        store.expire("test", &said).await;
        store.commit(&leader.fence, vec![put("/a", "")]).await.unwrap();
        assert!(!*leader.lost.borrow());
    }
    let mut seen = store.leader("test");
    assert_eq!(*seen.wait_for(Option::is_some).await.unwrap(), Some(this));
    store.expire("never", &Leader { holder: "me".into(), token: 1 }).await;
}

async fn leader_is_seen(store: Arc<dyn Store>) {
    let mut seen = store.leader("test");
    assert_eq!(*seen.borrow(), None);
    for holder in ["me", "other"] {
        let leader = store.campaign("test", holder).await.unwrap();
        let expected = Some(Leader { holder: holder.to_owned(), token: leader.fence.token });
        assert_eq!(*seen.wait_for(Option::is_some).await.unwrap(), expected);
        assert_eq!(*store.leader("never").borrow(), None);
        drop(leader);
        assert_eq!(*seen.wait_for(Option::is_none).await.unwrap(), None);
    }
}

async fn independent_names(store: Arc<dyn Store>) {
    let one = store.campaign("one", "me").await.unwrap();
    let two = store.campaign("two", "me").await.unwrap();
    store.commit(&one.fence, vec![put("/a", "")]).await.unwrap();
    store.commit(&two.fence, vec![put("/b", "")]).await.unwrap();
    let mixed = Fence { name: "one".into(), token: two.fence.token + 1 };
    assert!(store.commit(&mixed, vec![put("/c", "")]).await.is_err());
}

async fn concurrent(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let after = store.load("/").await.unwrap().revision;
    let mut watch = store.watch("/", after);
    let commits = (0..200).map(|n| {
        let (store, fence) = (&store, &leader.fence);
        async move {
            store
                .commit(fence, vec![put(&format!("/key/{n:03}"), ""), put("/last", &n.to_string())])
                .await
        }
    });
    let mut revisions: Vec<_> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
    assert!(revisions.iter().all(|revision| *revision > after));
    revisions.sort_unstable();
    // Those of one moment may share a revision, and are seen as one then.
    revisions.dedup();
    let mut last = Bytes::new();
    let mut seen = 0;
    for expected in revisions {
        let Some(WatchEvent::Changes { revision, changes }) = watch.recv().await else {
            panic!("no changes")
        };
        assert_eq!(revision, expected);
        seen += changes.len() - 1;
        let Some(Change::Put { value, .. }) = changes.last().cloned() else { panic!("no value") };
        last = value;
    }
    assert_eq!(seen, 200);
    let loaded = store.load("/").await.unwrap();
    assert_eq!(loaded.entries.len(), 201);
    assert_eq!(loaded.entries.last().map(|entry| &entry.value), Some(&last));
}

async fn fenced_neighbour(store: Arc<dyn Store>) {
    let old = lead(&*store).await.fence;
    let new = lead(&*store).await;
    let commits = (0..100).map(|n| {
        let fence = if n % 3 == 0 { &old } else { &new.fence };
        store.commit(fence, vec![put(&format!("/{n:02}"), "")])
    });
    for (n, result) in join_all(commits).await.into_iter().enumerate() {
        assert_eq!(result.is_err(), n % 3 == 0, "{n}: {result:?}");
    }
    assert_eq!(list(&*store, "/").await.len(), 66);
}

async fn watch_follows(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    store.commit(&leader.fence, vec![put("/a/1", "before")]).await.unwrap();
    let loaded = store.load("/a/").await.unwrap();
    let mut watch = store.watch("/a/", loaded.revision);
    store.commit(&leader.fence, vec![put("/b", "other")]).await.unwrap();
    let first = store.commit(&leader.fence, vec![put("/a/2", "x"), put("/b", "y")]).await.unwrap();
    let second = store.commit(&leader.fence, vec![delete("/a/1")]).await.unwrap();
    let expected = [(first, put("/a/2", "x")), (second, delete("/a/1"))];
    for (revision, change) in expected {
        assert_eq!(
            watch.recv().await,
            Some(WatchEvent::Changes { revision, changes: vec![change] })
        );
    }
    drop(store);
    assert_eq!(watch.recv().await, None);
}

async fn watch_replays(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let start = store.load("/").await.unwrap().revision;
    let first = store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    let second = store.commit(&leader.fence, vec![put("/a", "2")]).await.unwrap();
    let mut watch = store.watch("/", start);
    for (revision, value) in [(first, "1"), (second, "2")] {
        assert_eq!(
            watch.recv().await,
            Some(WatchEvent::Changes { revision, changes: vec![put("/a", value)] })
        );
    }
    let mut later = store.watch("/", first);
    assert!(
        matches!(later.recv().await, Some(WatchEvent::Changes { revision, .. }) if revision == second)
    );
}

async fn watch_overflows(store: Arc<dyn Store>) {
    let leader = lead(&*store).await;
    let mut watch = store.watch("/", store.load("/").await.unwrap().revision);
    let mut commits = 0;
    while !watch.is_closed() {
        assert!(commits < 100_000, "a watch that nobody reads grows without limit");
        let batch = (0..256).map(|_| store.commit(&leader.fence, vec![put("/a", "")]));
        commits += join_all(batch).await.len();
    }
    let mut last = None;
    while let Some(event) = watch.recv().await {
        last = Some(event);
    }
    assert_eq!(last, Some(WatchEvent::Relist));
    let loaded = store.load("/").await.unwrap();
    let mut watch = store.watch("/", loaded.revision);
    let revision = store.commit(&leader.fence, vec![put("/a", "new")]).await.unwrap();
    assert_eq!(
        watch.recv().await,
        Some(WatchEvent::Changes { revision, changes: vec![put("/a", "new")] })
    );
}
