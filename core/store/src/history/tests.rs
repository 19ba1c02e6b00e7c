use bytes::Bytes;

use super::*;

fn committed(revision: Revision, key: &str) -> Committed {
    let change = Change::Put { key: key.to_owned(), value: Bytes::from_static(b"v") };
    Committed { revision, changes: vec![change], bytes: key.len() + 1 }
}

/// The revisions waiting in a watch, `None` standing for `Relist`.
fn waiting(watch: &mut Watch) -> Vec<Option<Revision>> {
    let mut events = Vec::new();
    while let Ok(event) = watch.try_recv() {
        events.push(match event {
            WatchEvent::Changes { revision, .. } => Some(revision),
            WatchEvent::Relist => None,
        });
    }
    events
}

#[test]
fn a_watch_is_replayed_and_then_follows() {
    let mut history = History::new(10);
    for revision in 11..=13 {
        history.publish(committed(revision, if revision == 12 { "/b" } else { "/a" }));
    }
    let mut all = history.watch("/", 10);
    let mut some = history.watch("/a", 11);
    let mut ahead = history.watch("/", 14);
    history.publish(committed(14, "/a/x"));
    history.publish(committed(15, "/c"));
    assert_eq!(waiting(&mut all), [11, 12, 13, 14, 15].map(Some));
    assert_eq!(waiting(&mut some), [13, 14].map(Some));
    assert_eq!(waiting(&mut ahead), [15].map(Some));
}

#[test]
fn what_is_no_longer_known_is_listed_again() {
    let mut history = History::new(10);
    let mut early = history.watch("/", 9);
    assert_eq!(waiting(&mut early), [None]);
    assert!(early.is_closed());

    let total = u64::try_from(COMMITS_MAX).unwrap() + 5;
    for revision in 11..11 + total {
        history.publish(committed(revision, "/a"));
    }
    assert_eq!(waiting(&mut history.watch("/", 14)), [None]);
    assert_eq!(waiting(&mut history.watch("/b", 15)), []);
    assert_eq!(waiting(&mut history.watch("/", 10 + total)), []);
}

#[test]
fn a_slow_watcher_is_told_and_let_go() {
    let mut history = History::new(0);
    let mut slow = history.watch("/", 0);
    for revision in 1..=2000 {
        history.publish(committed(revision, "/a"));
    }
    let events = waiting(&mut slow);
    assert_eq!(events.len(), WATCH_EVENTS_MAX + 1);
    assert_eq!(events.last(), Some(&None));
    assert!(slow.is_closed());
    assert!(history.watchers.is_empty());
}

#[test]
fn large_commits_leave_the_ring_by_their_bytes() {
    let mut history = History::new(0);
    for revision in 1..=3 {
        history.publish(Committed { bytes: BYTES_MAX / 2, ..committed(revision, "/a") });
    }
    assert_eq!(history.ring.len(), 2);
    assert_eq!(history.compacted, 1);
}

#[test]
fn a_watcher_that_left_is_forgotten() {
    let mut history = History::new(0);
    drop(history.watch("/other", 0));
    history.publish(committed(1, "/a"));
    assert!(history.watchers.is_empty());
}

#[test]
fn a_reset_sends_everybody_back_to_the_list() {
    let mut history = History::new(0);
    let mut watch = history.watch("/", 0);
    history.publish(committed(1, "/a"));
    history.reset(3);
    assert_eq!(waiting(&mut watch), [Some(1), None]);
    assert_eq!(waiting(&mut history.watch("/", 2)), [None]);
}
