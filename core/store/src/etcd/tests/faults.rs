//! What happens to etcd, and what must hold all the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::conformance::delete;

const WRITERS: usize = 8;

/// Writers that count upwards under keys of their own until they are told to
/// stop, and remember what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<(String, u64, u64)>>,
}

impl Load {
    fn start(store: &Arc<Etcd>, fence: &Fence) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (store, fence, stop) = (Arc::clone(store), fence.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let key = format!("/writer/{writer}");
                let (mut acknowledged, mut refused) = (0, 0);
                let mut next = 1_u64;
                while !stop.load(Ordering::SeqCst) {
                    match store.commit(&fence, vec![put(&key, &next.to_string())]).await {
                        Ok(_) => (acknowledged, next) = (next, next + 1),
                        Err(Error::Unavailable { .. }) => refused += 1,
                        Err(other) => panic!("{other}"),
                    }
                }
                (key, acknowledged, refused)
            })
        });
        Self { stop: Arc::clone(&stop), writers: writers.collect() }
    }

    /// What was acknowledged last, by key.
    async fn end(self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeMap::new();
        for writer in self.writers {
            let (key, last, refused) = soon("a writer ends", writer).await.unwrap();
            println!("{key}: {last} acknowledged, {refused} refused");
            acknowledged.insert(key, last);
        }
        acknowledged
    }
}

/// A watch that lists again whenever it is told to, and what it saw.
struct Follower {
    store: Arc<Etcd>,
    watch: Watch,
    state: BTreeMap<String, String>,
    revision: Revision,
    relists: usize,
}

impl Follower {
    async fn start(store: Arc<Etcd>) -> Self {
        let watch = store.watch("/", 0);
        let mut follower = Self { store, watch, state: BTreeMap::new(), revision: 0, relists: 0 };
        follower.list().await;
        follower
    }

    async fn list(&mut self) {
        let loaded = loop {
            if let Ok(loaded) = self.store.load("/").await {
                break loaded;
            }
        };
        assert!(loaded.revision >= self.revision, "revisions go backwards");
        self.revision = loaded.revision;
        let text = |value: &bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
        self.state =
            loaded.entries.iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect();
        self.watch = self.store.watch("/", loaded.revision);
    }

    /// Follows until it sees this.
    async fn sees(&mut self, expected: &BTreeMap<String, String>) {
        let seen = async {
            while self.state != *expected {
                self.step().await;
            }
        };
        if tokio::time::timeout(PATIENCE, seen).await.is_err() {
            panic!("saw {:?}, not {expected:?}", self.state);
        }
    }

    async fn step(&mut self) {
        match self.watch.recv().await {
            Some(WatchEvent::Changes { revision, changes }) => {
                assert!(revision > self.revision, "revisions go backwards");
                self.revision = revision;
                for change in changes {
                    match change {
                        Change::Put { key, value } => {
                            let value = String::from_utf8(value.to_vec()).unwrap();
                            self.state.insert(key, value);
                        }
                        Change::Delete { key } => {
                            self.state.remove(&key);
                        }
                    }
                }
            }
            Some(WatchEvent::Relist) => {
                self.relists += 1;
                self.list().await;
            }
            None => panic!("the watch ended"),
        }
    }
}

async fn contents(store: &Etcd) -> BTreeMap<String, String> {
    list(store, "/").await.into_iter().collect()
}

/// Nothing acknowledged is missing; at most what came after it is there.
fn nothing_is_lost(stored: &BTreeMap<String, String>, acknowledged: &BTreeMap<String, u64>) {
    for (key, last) in acknowledged {
        let found: u64 = stored.get(key).map_or(0, |value| value.parse().unwrap());
        assert!(found == *last || found == last + 1, "{key}: {found}, acknowledged {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leader_of_etcd_is_killed() {
    let Some(mut cluster) = Cluster::start(3, true) else { return };
    let store = cluster.open();
    let leader = store.campaign("test", "me").await.unwrap();
    let mut follower = Follower::start(cluster.open_at(1)).await;
    let load = Load::start(&store, &leader.fence);
    for round in 0..4 {
        for _ in 0..20 {
            follower.step().await;
        }
        let killed = if round % 2 == 0 { cluster.leader() } else { round % 3 };
        cluster.kill(killed);
        let before = follower.revision;
        while follower.revision < before + 20 {
            soon("commits go on", follower.step()).await;
        }
        cluster.restart(killed);
    }
    let acknowledged = load.end().await;
    let stored = contents(&store).await;
    nothing_is_lost(&stored, &acknowledged);
    follower.sees(&stored).await;
    assert!(!*leader.lost.borrow(), "leadership survives its store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_paused_is_left() {
    let Some(cluster) = Cluster::start(3, false) else { return };
    // Both talk to the one that will be paused.
    let (store, watcher) = (cluster.open_at(2), cluster.open_at(2));
    let leader = store.campaign("test", "me").await.unwrap();
    let mut follower = Follower::start(watcher).await;
    let load = Load::start(&store, &leader.fence);
    follower.step().await;
    cluster.pause(2);
    let before = follower.revision;
    while follower.revision < before + 100 {
        soon("commits go on", follower.step()).await;
    }
    cluster.go_on(2);
    let acknowledged = load.end().await;
    let stored = contents(&store).await;
    nothing_is_lost(&stored, &acknowledged);
    follower.sees(&stored).await;
    assert!(!*leader.lost.borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_is_survived_by_listing_again() {
    let Some(mut cluster) = Cluster::start(1, false) else { return };
    let store = cluster.open();
    let leader = store.campaign("test", "me").await.unwrap();
    let first = store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    let mut follower = Follower::start(cluster.open()).await;
    let mut last = first;
    for n in 0..20 {
        last = store.commit(&leader.fence, vec![put("/a", &n.to_string())]).await.unwrap();
    }
    follower.sees(&contents(&store).await).await;
    cluster.insist(0, &["compact", &last.to_string()]);
    // Who is up to date is not disturbed.
    store.commit(&leader.fence, vec![put("/b", "1"), delete("/a")]).await.unwrap();
    follower.sees(&contents(&store).await).await;
    assert_eq!(follower.relists, 0);
    // Who is behind lists again.
    let mut late = store.watch("/", first);
    assert_eq!(soon("relist", late.recv()).await, Some(WatchEvent::Relist));
    assert_eq!(soon("end", late.recv()).await, None);
    // So does who was cut off while history went away.
    let revision = store.commit(&leader.fence, vec![put("/c", "1")]).await.unwrap();
    cluster.insist(0, &["compact", &revision.to_string()]);
    cluster.restart(0);
    follower.sees(&contents(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_snapshot_deposes_the_leader_and_relists_the_watches() {
    let Some(mut cluster) = Cluster::start(1, false) else { return };
    let store = cluster.open();
    let mut leader = store.campaign("test", "me").await.unwrap();
    store.commit(&leader.fence, vec![put("/kept", "1")]).await.unwrap();
    let snapshot = cluster.save("older");
    let mut last = 0;
    for n in 0..50 {
        let changes = vec![put("/later", &n.to_string()), delete("/kept")];
        last = store.commit(&leader.fence, changes).await.unwrap();
    }
    let mut follower = Follower::start(Arc::clone(&store)).await;
    cluster.restore(&snapshot);

    let expected = BTreeMap::from([("/kept".to_owned(), "1".to_owned())]);
    follower.sees(&expected).await;
    assert!(follower.relists > 0);
    soon("what it wrote is gone, so it leads no more", leader.lost.wait_for(|lost| *lost))
        .await
        .unwrap();
    let refused = store.commit(&leader.fence, vec![put("/a", "1")]).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");

    let again = soon("leads again", store.campaign("test", "me")).await.unwrap();
    assert!(again.fence.token > leader.fence.token);
    let revision = store.commit(&again.fence, vec![put("/new", "1")]).await.unwrap();
    assert!(revision > last, "revisions go backwards");
    follower.sees(&contents(&store).await).await;
    // A process that never saw the newer state agrees with it.
    assert_eq!(contents(&cluster.open()).await, follower.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_may_go_and_come_back() {
    let Some(mut cluster) = Cluster::start(3, false) else { return };
    let store = cluster.open();
    let leader = store.campaign("test", "me").await.unwrap();
    store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    let mut follower = Follower::start(cluster.open()).await;
    cluster.kill_all();
    let error = store.commit(&leader.fence, vec![put("/a", "2")]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let error = store.load("/").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(!*leader.lost.borrow(), "nobody else can lead without a store");
    cluster.start_all();
    let load = Load::start(&store, &leader.fence);
    for _ in 0..20 {
        soon("commits go on", follower.step()).await;
    }
    let acknowledged = load.end().await;
    let stored = contents(&store).await;
    nothing_is_lost(&stored, &acknowledged);
    follower.sees(&stored).await;
    assert!(!*leader.lost.borrow());
}
