use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_plain_task_is_dropped_at_shutdown() {
    let tasks = Tasks::new();
    tasks.spawn("forever", std::future::pending());
    tasks.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_graceful_task_finishes_its_work() {
    let tasks = Tasks::new();
    let done = Arc::new(AtomicBool::new(false));
    let (group, flag) = (tasks.clone(), Arc::clone(&done));
    tasks.spawn_graceful("finishes", async move {
        group.cancelled().await;
        tokio::task::yield_now().await;
        flag.store(true, Ordering::SeqCst);
    });
    tasks.shutdown(LIMIT).await.unwrap();
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_critical_failure_stops_the_group_and_is_reported() {
    let tasks = Tasks::new();
    tasks.spawn_critical("store", async { Err(std::io::Error::other("no space left")) });
    tasks.cancelled().await;
    let failed = tasks.shutdown(LIMIT).await.unwrap_err();
    assert_eq!(failed.to_string(), "store: no space left");
}
