use proptest::prelude::*;
use serde_json::json;

use super::*;

fn spec(failures_max: Option<u32>) -> Spec {
    Spec {
        probe: Probe::Tcp { port: 80, ipv6: false },
        delay_ms: 10,
        interval_ms: 100,
        timeout_ms: 50,
        grace_ms: 1000,
        failures_max,
    }
}

/// Answers an interval apart: `+` good, `-` bad; prints what follows each.
#[track_caller]
fn check_answers(mut checker: Checker, mut now_ms: u64, answers: &str, expected: &[&str]) {
    let mut seen = Vec::new();
    for answer in answers.chars() {
        let outcome = if answer == '+' { Outcome::Tcp } else { Outcome::None("refused".into()) };
        let effects = checker.apply(now_ms, outcome);
        let effects: Vec<&str> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Health { healthy: true } => "healthy",
                Effect::Health { healthy: false } => "unhealthy",
                Effect::Answer(Some(_)) => "answer",
                Effect::Answer(None) => "no answer",
                Effect::Kill => "kill",
            })
            .collect();
        seen.push(effects.join("+"));
        assert_eq!(checker.due_ms(), now_ms + 100);
        now_ms = checker.due_ms();
    }
    assert_eq!(seen, expected);
}

#[test]
fn failures_within_the_grace_period_do_not_count() {
    let checker = Checker::new(spec(Some(2)), 0);
    assert_eq!(checker.due_ms(), 10);
    check_answers(checker.clone(), 10, "---", &["", "", ""]);
    check_answers(checker.clone(), 1010, "---", &["unhealthy", "kill", ""]);
    // Once healthy, they do.
    check_answers(checker, 10, "+--", &["healthy", "unhealthy", "kill"]);
}

#[test]
fn health_is_told_when_it_changes() {
    check_answers(
        Checker::new(spec(Some(3)), 0),
        10,
        "++--+--+",
        &["healthy", "", "unhealthy", "", "healthy", "unhealthy", "", "healthy"],
    );
}

#[test]
fn zero_failures_never_kill() {
    check_answers(Checker::new(spec(Some(0)), 0), 5000, "----", &["unhealthy", "", "", ""]);
}

#[test]
fn checks_only_tell() {
    check_answers(
        Checker::new(spec(None), 0),
        10,
        "--++-",
        &["no answer", "", "answer", "", "no answer"],
    );
}

#[test]
fn a_restarted_agent_goes_on_with_what_was_known() {
    let checker = Checker::restored(spec(Some(2)), 0, 5000, Some(true));
    assert_eq!(checker.due_ms(), 5000);
    check_answers(checker, 5000, "+--", &["", "unhealthy", "kill"]);
}

#[test]
fn the_kind_may_be_left_out() {
    let from = |value| health(&serde_json::from_value(value).unwrap());
    let http = from(json!({"http": {"port": 80}})).unwrap();
    assert_eq!(
        http.probe,
        Probe::Http { scheme: "http".into(), port: 80, path: "/".into(), ipv6: false }
    );
    assert_eq!(
        (http.delay_ms, http.interval_ms, http.timeout_ms, http.grace_ms, http.failures_max),
        (15_000, 10_000, 20_000, 10_000, Some(3))
    );
    assert_eq!(from(json!({"type": "TCP", "tcp": {"port": 70000}})), None);
    assert_eq!(from(json!({"type": "TCP", "http": {"port": 80}})), None);
    assert!(from(json!({"command": {"value": "true"}})).is_some());
}

proptest! {
    #[test]
    fn a_kill_needs_that_many_failures_in_a_row(answers in prop::collection::vec(any::<bool>(), 0..40), max in 1u32..5) {
        let mut checker = Checker::new(Spec { grace_ms: 0, ..spec(Some(max)) }, 0);
        let mut row = 0;
        let mut now_ms = 10;
        for good in answers {
            row = if good { 0 } else { row + 1 };
            let outcome = if good { Outcome::Http(204) } else { Outcome::Http(500) };
            let effects = checker.apply(now_ms, outcome);
            prop_assert_eq!(effects.contains(&Effect::Kill), row == max);
            now_ms = checker.due_ms();
        }
    }
}
