use super::*;

fn seen(condition: Condition) -> Observation {
    Observation {
        condition,
        healthy: None,
        message: String::new(),
        ips: Vec::new(),
        launch_refused: false,
    }
}

fn launched() -> Instance {
    let mut instance = Instance::scheduled("web.instance-1".into(), Timestamp(1));
    instance.provision(Timestamp(2), Placement::default(), Timestamp(7), Timestamp(7));
    instance
}

#[test]
fn a_launch_becomes_a_running_task() {
    let mut instance = launched();
    assert_eq!(instance.task_id(), "web.instance-1._app.1");
    let changed = Outcome::Changed { condition: true, health: false };
    assert_eq!(instance.observe(Timestamp(3), &seen(Condition::Starting)), changed);
    assert_eq!(instance.observe(Timestamp(4), &seen(Condition::Running)), changed);
    assert_eq!(instance.observe(Timestamp(5), &seen(Condition::Running)), Outcome::Same);
    assert_eq!((instance.staged_at, instance.started_at), (Some(Timestamp(2)), Some(Timestamp(4))));
}

#[test]
fn health_flips_are_noticed_once() {
    let mut instance = launched();
    let healthy = |alive| Observation { healthy: Some(alive), ..seen(Condition::Running) };
    let flip = Outcome::Changed { condition: false, health: true };
    assert_eq!(
        instance.observe(Timestamp(3), &healthy(true)),
        Outcome::Changed { condition: true, health: true }
    );
    assert_eq!(instance.observe(Timestamp(4), &healthy(true)), Outcome::Same);
    assert_eq!(instance.observe(Timestamp(5), &healthy(false)), flip);
    assert_eq!(instance.observe(Timestamp(6), &healthy(false)), Outcome::Same);
    assert_eq!(instance.health.consecutive_failures, 2);
    assert_eq!(instance.observe(Timestamp(7), &healthy(true)), flip);
    assert_eq!(instance.health.first_success, Some(Timestamp(3)));
}

/// (what was seen, killed before, delays the next launch, is shown)
#[test]
fn ends_are_told_apart() {
    for (condition, asked, delays, failure) in [
        (Condition::Failed, false, true, true),
        (Condition::Failed, true, false, false),
        (Condition::Finished, false, true, true),
        (Condition::Killed, false, false, false),
        (Condition::Gone, false, true, true),
        (Condition::Unknown, false, false, false),
        (Condition::Error, false, true, true),
    ] {
        let mut instance = launched();
        instance.killed_at = asked.then_some(Timestamp(3));
        let Outcome::Ended(end) = instance.observe(Timestamp(4), &seen(condition)) else {
            panic!("{condition:?} is an end");
        };
        assert_eq!((end.delays, end.failure), (delays, failure), "{condition:?} asked {asked}");
    }
    let refused = Observation { launch_refused: true, ..seen(Condition::Dropped) };
    let Outcome::Ended(end) = launched().observe(Timestamp(4), &refused) else {
        panic!("is an end")
    };
    assert!(!end.delays && !end.failure);
    let unhealthy = Observation { healthy: Some(false), ..seen(Condition::Killed) };
    let Outcome::Ended(end) = launched().observe(Timestamp(4), &unhealthy) else {
        panic!("is an end")
    };
    assert!(end.unhealthy && end.delays && end.failure);
}

#[test]
fn the_next_task_has_another_id() {
    let mut instance = launched();
    instance.observe(Timestamp(3), &seen(Condition::Failed));
    instance.reschedule(Timestamp(4));
    assert_eq!(instance.condition, Condition::Scheduled);
    assert_eq!(instance.task_id(), "web.instance-1._app.2");
    assert_eq!(parse_task_id(&instance.task_id()), Some(("web.instance-1", 2)));
    assert_eq!(parse_task_id("web.instance-1"), None);
    assert_eq!(instance.observe(Timestamp(5), &seen(Condition::Running)), Outcome::Same);
}
