use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const PATIENCE: Patience = Patience { registration_ms: 1000, reregistration_ms: 500 };

fn launch(tasks: &[&str]) -> Event {
    Event::Launch { tasks: names(tasks), group: false }
}

fn group(tasks: &[&str]) -> Event {
    Event::Launch { tasks: names(tasks), group: true }
}

fn names(tasks: &[&str]) -> Vec<String> {
    tasks.iter().map(|task| (*task).to_owned()).collect()
}

fn subscribed(heard: &[&str]) -> Event {
    Event::Subscribed { heard: names(heard).into_iter().collect() }
}

fn kill(task: &str) -> Event {
    Event::Kill { task: task.into(), grace_ms: None }
}

fn told(task: &str, over: bool) -> Event {
    Event::Told { task: task.into(), over }
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Say(Say::Launch(task)) => format!("LAUNCH {task}"),
        Effect::Say(Say::LaunchGroup(tasks)) => format!("LAUNCH_GROUP {}", tasks.join(" ")),
        Effect::Say(Say::Kill { task, .. }) => format!("KILL {task}"),
        Effect::Say(Say::Shutdown) => "SHUTDOWN".into(),
        Effect::Spare { task } => format!("spare {task}"),
        Effect::End { grace_ms, quiet } => {
            format!("end within {grace_ms} ms{}", if *quiet { ", quietly" } else { "" })
        }
    }
}

/// Each event at its time, and what follows from it.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a table of calls reads better")]
fn check(events: &[(u64, Event)], expected: Expect) {
    let mut executor = Executor::new(PATIENCE);
    let mut lines = Vec::new();
    for (now_ms, event) in events {
        let effects = executor.apply(*now_ms, event.clone());
        lines.extend(effects.iter().map(|effect| format!("{now_ms}: {}", line(effect))));
    }
    let (reason, message, _) = executor.end();
    lines.push(format!("{:?}; {}, {message}", executor.phase(), reason.as_str_name()));
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn tasks_wait_for_the_executor() {
    check(
        &[
            (0, launch(&["a"])),
            (1, Event::Started),
            (2, group(&["c", "b"])),
            (3, subscribed(&[])),
            (4, launch(&["d"])),
        ],
        expect![[r#"
            3: LAUNCH a
            3: LAUNCH_GROUP c b
            4: LAUNCH d
            Subscribed; REASON_EXECUTOR_TERMINATED, The executor ended"#]],
    );
}

#[test]
fn time_counts_from_the_execution_of_its_command() {
    check(
        &[
            (0, launch(&["a"])),
            (5000, Event::Tick),
            (5000, Event::Started),
            (5999, Event::Tick),
            (6000, Event::Tick),
            (7000, Event::Tick),
            (7001, Event::Ended),
        ],
        expect![[r#"
            6000: end within 0 ms
            Ended; REASON_EXECUTOR_REGISTRATION_TIMEOUT, The executor did not subscribe within 1 s"#]],
    );
}

#[test]
fn one_that_comes_back_hears_what_it_does_not_know() {
    check(
        &[
            (0, Event::Started),
            (0, launch(&["known", "lost"])),
            (0, group(&["x", "y"])),
            (1, subscribed(&[])),
            (2, told("known", false)),
            (3, Event::HungUp),
            (4, launch(&["new"])),
            (5, kill("known")),
            (6, subscribed(&["x"])),
        ],
        expect![[r#"
            1: LAUNCH known
            1: LAUNCH lost
            1: LAUNCH_GROUP x y
            6: KILL known
            6: LAUNCH lost
            6: LAUNCH new
            Subscribed; REASON_EXECUTOR_TERMINATED, The executor ended"#]],
    );
}

#[test]
fn one_that_does_not_come_back_is_ended() {
    check(
        &[
            (0, Event::Started),
            (0, launch(&["a"])),
            (0, subscribed(&[])),
            (1, Event::HungUp),
            (400, Event::Tick),
            (501, Event::Tick),
            (502, subscribed(&[])),
        ],
        expect![[r#"
            0: LAUNCH a
            501: end within 0 ms
            502: SHUTDOWN
            Subscribed; REASON_EXECUTOR_REREGISTRATION_TIMEOUT, The executor did not subscribe again within 500 ms"#]],
    );
}

#[test]
fn what_was_not_handed_over_is_taken_back() {
    check(
        &[
            (0, launch(&["a"])),
            (0, group(&["b", "c"])),
            (0, Event::Started),
            (1, kill("c")),
            (2, kill("a")),
            (3, subscribed(&[])),
        ],
        expect![[r#"
            1: spare b
            1: spare c
            2: spare a
            2: end within 5000 ms
            3: SHUTDOWN
            Subscribed; REASON_EXECUTOR_TERMINATED, The executor was shut down"#]],
    );
}

#[test]
fn a_task_that_was_lost_on_the_way_and_killed_is_taken_back() {
    check(
        &[
            (0, Event::Started),
            (0, launch(&["a", "b"])),
            (1, subscribed(&[])),
            (2, Event::HungUp),
            (3, kill("a")),
            (4, subscribed(&["b"])),
        ],
        expect![[r#"
            1: LAUNCH a
            1: LAUNCH b
            4: spare a
            Subscribed; REASON_EXECUTOR_TERMINATED, The executor ended"#]],
    );
}

#[test]
fn orders_to_end_only_shorten() {
    let shut = |grace_ms| Event::Shutdown { grace_ms };
    check(
        &[
            (0, Event::Started),
            (1, launch(&["a"])),
            (1, subscribed(&[])),
            (2, shut(3000)),
            (3, shut(5000)),
            (4, shut(10)),
            (5, launch(&["late"])),
        ],
        expect![[r#"
            1: LAUNCH a
            2: SHUTDOWN
            2: end within 3000 ms, quietly
            4: end within 10 ms, quietly
            Subscribed; REASON_EXECUTOR_TERMINATED, The executor was shut down"#]],
    );
}

#[test]
fn after_a_restart_it_is_waited_for() {
    let mut executor = Executor::restored(PATIENCE, 100, (true, true, false));
    executor.adopt("told".into(), None, true);
    executor.adopt("untold".into(), None, false);
    assert_eq!(executor.phase(), Phase::Disconnected);
    assert!(executor.is_queued("untold") && !executor.is_queued("told"));
    assert_eq!(executor.apply(599, Event::Tick), []);
    let effects = executor.apply(599, subscribed(&[]));
    assert_eq!(effects, [Effect::Say(Say::Launch("untold".into()))]);
    let fresh = Executor::restored(PATIENCE, 100, (true, false, false));
    assert_eq!(fresh.phase(), Phase::Registering);
    let ending = Executor::restored(PATIENCE, 100, (true, true, true));
    assert!(!ending.is_open());
}

fn any_event() -> impl Strategy<Value = Event> {
    let task = || (0u8..6).prop_map(|number| format!("t{number}"));
    let tasks = || prop::collection::vec(task(), 1..3);
    prop_oneof![
        Just(Event::Started),
        (tasks(), any::<bool>()).prop_map(|(tasks, group)| Event::Launch { tasks, group }),
        prop::collection::btree_set(task(), 0..4).prop_map(|heard| Event::Subscribed { heard }),
        Just(Event::HungUp),
        task().prop_map(|task| Event::Kill { task, grace_ms: None }),
        (task(), any::<bool>()).prop_map(|(task, over)| Event::Told { task, over }),
        Just(Event::Tick),
    ]
}

proptest! {
    /// Over one connection no task is handed over twice, none before it subscribed,
    /// and none after it was taken back.
    #[test]
    fn each_task_is_handed_over_once(events in prop::collection::vec(any_event(), 0..60)) {
        let mut executor = Executor::new(PATIENCE);
        let mut handed = BTreeSet::new();
        for (now_ms, event) in (0..).step_by(50).zip(events) {
            match &event {
                Event::Subscribed { .. } => handed.clear(),
                Event::Told { task, over: true } => drop(handed.remove(task)),
                // The core launches no task twice.
                Event::Launch { tasks, .. }
                    if tasks.iter().any(|task| executor.tasks().any(|known| known == task))
                        || tasks.iter().collect::<BTreeSet<_>>().len() < tasks.len() =>
                {
                    continue;
                }
                _ => {}
            }
            for effect in executor.apply(now_ms, event) {
                let tasks = match effect {
                    Effect::Say(Say::Launch(task)) => vec![task],
                    Effect::Say(Say::LaunchGroup(tasks)) => tasks,
                    Effect::Spare { task } => {
                        prop_assert!(!handed.contains(&task));
                        continue;
                    }
                    Effect::Say(Say::Kill { .. } | Say::Shutdown) | Effect::End { .. } => continue,
                };
                prop_assert_eq!(executor.phase(), Phase::Subscribed);
                for task in tasks {
                    prop_assert!(handed.insert(task));
                }
            }
        }
    }
}
