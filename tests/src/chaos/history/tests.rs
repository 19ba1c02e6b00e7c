use super::*;

#[test]
fn what_was_promised_must_be() {
    let mut history = History::default();
    history.wrote("/a", 2, Ended::Acknowledged);
    history.wrote("/a", 3, Ended::Unknown);
    history.wrote("/a", 4, Ended::Refused);
    history.wrote("/b", 1, Ended::Unknown);
    for (app, has) in [("/a", 2), ("/a", 3), ("/b", 0), ("/b", 1)] {
        history.judge(app, has);
    }
    assert_eq!(history.violations, BTreeSet::new());
    for (app, has) in [("/a", 0), ("/a", 4), ("/b", 2), ("/c", 1)] {
        history.judge(app, has);
    }
    assert_eq!(history.violations.len(), 4);
}

#[test]
fn tokens_only_grow() {
    let mut history = History::default();
    for token in [1, 1, 3] {
        history.leads("master", token);
    }
    history.leads("orchestrator", 2);
    assert_eq!(history.violations, BTreeSet::new());
    history.leads("master", 2);
    assert_eq!(history.violations.len(), 1);
}
