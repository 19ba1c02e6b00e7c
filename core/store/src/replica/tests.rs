use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::embedded::Embedded;

const LIMIT: Duration = Duration::from_secs(10);

fn store() -> (TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn put(key: &str, value: &'static str) -> Change {
    Change::Put { key: key.to_owned(), value: Bytes::from_static(value.as_bytes()) }
}

fn text(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value));
    entries.iter().map(text).collect()
}

#[tokio::test]
async fn a_new_leader_has_all_that_the_former_one_wrote() {
    let (_folder, store) = store();
    let tasks = Tasks::new();
    let first = store.campaign("x", "first").await.unwrap();
    store.commit(&first.fence, vec![put("/x/a", "1"), put("/y/b", "2")]).await.unwrap();
    let replica = Replica::follow(Arc::clone(&store), "/x/", &tasks);
    store.commit(&first.fence, vec![put("/x/c", "3")]).await.unwrap();
    let delete = Change::Delete { key: "/x/a".into() };
    store.commit(&first.fence, vec![delete, put("/x/d", "4")]).await.unwrap();
    drop(first);
    let second = store.campaign("x", "second").await.unwrap();
    let entries = replica.caught_up(&second.fence).await.unwrap();
    assert_eq!(text(&entries), ["/x/c=3", "/x/d=4"]);
    assert_eq!(text(&replica.entries()), ["/x/c=3", "/x/d=4"]);
    tasks.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn every_change_can_be_waited_for() {
    let (_folder, store) = store();
    let tasks = Tasks::new();
    let replica = Replica::follow(Arc::clone(&store), "/x/", &tasks);
    let leader = store.campaign("x", "me").await.unwrap();
    let revision = store.commit(&leader.fence, vec![put("/x/a", "1")]).await.unwrap();
    let mut reached = replica.revision();
    let seen = tokio::time::timeout(LIMIT, reached.wait_for(|at| *at >= revision)).await;
    drop(seen.unwrap().unwrap());
    assert_eq!(text(&replica.entries()), ["/x/a=1"]);
    tasks.shutdown(LIMIT).await.unwrap();
}
