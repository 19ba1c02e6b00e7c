use super::*;

#[test]
fn ordinary_answers_move_on() {
    let mut timeline = Timeline::default();
    let first = timeline.sent();
    let second = timeline.sent();
    assert_eq!(timeline.observe(second, 1, 10), Observed::Onward);
    // Sent before the other was answered, so it may be older.
    assert_eq!(timeline.observe(first, 1, 8), Observed::Onward);
    assert_eq!(timeline.observe(timeline.sent(), 1, 10), Observed::Onward);
    assert_eq!(timeline.revision(10), 10);
    assert_eq!(timeline.etcd(10), Some(10));
    assert_eq!(timeline.etcd(0), Some(0));
}

#[test]
fn a_smaller_revision_or_another_cluster_is_a_setting_back() {
    for (cluster, revision) in [(1, 4), (2, 12)] {
        let mut timeline = Timeline::default();
        timeline.observe(timeline.sent(), 1, 10);
        let late = timeline.sent();
        assert_eq!(timeline.observe(late, cluster, revision), Observed::SetBack);
        assert_eq!(timeline.observe(late, 1, 11), Observed::Outdated);
        assert_eq!(timeline.observe(timeline.sent(), cluster, revision + 1), Observed::Onward);
    }
}

#[test]
fn revisions_grow_over_a_setting_back() {
    let mut timeline = Timeline::default();
    timeline.observe(timeline.sent(), 1, 10);
    let before = timeline.revision(12);
    assert_eq!(timeline.observe(timeline.sent(), 1, 3), Observed::SetBack);
    let after = timeline.revision(1);
    assert!(after > before);
    assert_eq!(timeline.etcd(after), Some(1));
    assert_eq!(timeline.etcd(before), None);
    assert_eq!(timeline.era(), 1);
}
