use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::shim::records::Cause;

fn traits() -> Traits {
    Traits { reports_killing: true, partition_aware: true, memory_limit_bytes: Some(64 << 20) }
}

fn exit(cause: Cause) -> Exit {
    Exit {
        cause,
        out_of_memory: false,
        out_of_time: false,
        memory_peak_bytes: Some(5 << 20),
        finished_ms: 1,
    }
}

fn ended(exit: Exit) -> Event {
    Event::Ended(Ended::Recorded { exit, stderr_tail: String::new() })
}

fn stop(grace_ms: u64) -> Event {
    Event::Stop { cause: StopCause::Asked, grace_ms }
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Kill { grace_ms, cause } => format!("kill within {grace_ms} ms: {cause:?}"),
        Effect::Report(report) => {
            let Report { state, source, reason, message, healthy, limitation_memory_bytes } =
                report;
            let mut line = format!("{} by {}", state.as_str_name(), source.as_str_name());
            line.extend(reason.map(|reason| format!(", {}", reason.as_str_name())));
            line.extend(healthy.map(|healthy| format!(", healthy {healthy}")));
            line.extend(limitation_memory_bytes.map(|bytes| format!(", {bytes} bytes")));
            line.extend(message.as_ref().map(|message| format!(", \"{message}\"")));
            line
        }
    }
}

#[track_caller]
fn check_with(traits: Traits, events: Vec<Event>, expected: &Expect) {
    let mut container = Container::new(traits);
    let effects: Vec<String> = events
        .into_iter()
        .flat_map(|event| container.apply(event))
        .map(|effect| line(&effect))
        .collect();
    expected.assert_eq(&effects.join("\n"));
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a table of calls reads better")]
fn check(events: Vec<Event>, expected: Expect) {
    check_with(traits(), events, &expected);
}

#[test]
fn a_task_that_ends_by_itself() {
    check(
        vec![Event::Prepared, Event::Started, ended(exit(Cause::Status(0)))],
        expect![[r#"
            TASK_STARTING by SOURCE_EXECUTOR
            TASK_RUNNING by SOURCE_EXECUTOR
            TASK_FINISHED by SOURCE_EXECUTOR"#]],
    );
}

#[test]
fn a_failure_shows_what_the_command_said() {
    let tail = "sh: 1: foo: not found\n".to_owned();
    let recorded = Ended::Recorded { exit: exit(Cause::Status(127)), stderr_tail: tail };
    check(
        vec![Event::Started, Event::Ended(recorded)],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            TASK_FAILED by SOURCE_EXECUTOR, "Command exited with status 127: sh: 1: foo: not found""#]],
    );
    check(
        vec![ended(exit(Cause::Signal(11)))],
        expect![[
            r#"TASK_FAILED by SOURCE_EXECUTOR, "Command terminated with signal Segmentation fault""#
        ]],
    );
    check(
        vec![ended(exit(Cause::NotStarted(
            "cannot execute 'foo': No such file or directory".into(),
        )))],
        expect![[
            r#"TASK_FAILED by SOURCE_AGENT, REASON_CONTAINER_LAUNCH_FAILED, "cannot execute 'foo': No such file or directory""#
        ]],
    );
}

#[test]
fn a_kill_is_reported_once_and_only_shortened() {
    check(
        vec![
            Event::Prepared,
            Event::Started,
            stop(3000),
            stop(5000),
            stop(10),
            ended(exit(Cause::Signal(15))),
        ],
        expect![[r#"
            TASK_STARTING by SOURCE_EXECUTOR
            TASK_RUNNING by SOURCE_EXECUTOR
            kill within 3000 ms: Asked
            TASK_KILLING by SOURCE_EXECUTOR
            kill within 10 ms: Asked
            TASK_KILLED by SOURCE_EXECUTOR, "Command terminated with signal Terminated""#]],
    );
    check_with(
        Traits { reports_killing: false, ..traits() },
        vec![Event::Prepared, stop(3000), Event::Started, ended(exit(Cause::NeverStarted))],
        &expect![[r#"
            TASK_STARTING by SOURCE_EXECUTOR
            kill within 3000 ms: Asked
            TASK_KILLED by SOURCE_EXECUTOR, REASON_TASK_KILLED_DURING_LAUNCH, "Killed before the command was started""#]],
    );
}

#[test]
fn a_task_that_ends_by_itself_while_being_killed_is_killed() {
    check(
        vec![Event::Started, stop(3000), ended(exit(Cause::Status(0)))],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            kill within 3000 ms: Asked
            TASK_KILLING by SOURCE_EXECUTOR
            TASK_KILLED by SOURCE_EXECUTOR, "Command exited with status 0""#]],
    );
}

#[test]
fn an_unhealthy_task_says_so() {
    check(
        vec![
            Event::Started,
            Event::Stop { cause: StopCause::Unhealthy, grace_ms: 1 },
            ended(exit(Cause::Signal(9))),
        ],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            kill within 1 ms: Unhealthy
            TASK_KILLING by SOURCE_EXECUTOR
            TASK_KILLED by SOURCE_EXECUTOR, healthy false, "Killed because its health check failed; Command terminated with signal Killed""#]],
    );
}

#[test]
fn lack_of_memory_and_of_time_are_told_apart_from_failures() {
    check(
        vec![ended(Exit { out_of_memory: true, ..exit(Cause::Signal(9)) })],
        expect![[
            r#"TASK_FAILED by SOURCE_AGENT, REASON_CONTAINER_LIMITATION_MEMORY, 5242880 bytes, "Memory limit exceeded: limit 64 MiB, most used 5 MiB""#
        ]],
    );
    check(
        vec![ended(Exit { out_of_time: true, ..exit(Cause::Signal(15)) })],
        expect![[
            r#"TASK_FAILED by SOURCE_EXECUTOR, REASON_MAX_COMPLETION_TIME_REACHED, "Command did not finish within its maximum completion time""#
        ]],
    );
}

#[test]
fn a_reboot_is_reported_as_the_framework_understands_it() {
    let events = || vec![Event::Ended(Ended::Rebooted)];
    check(
        events(),
        expect![[
            r#"TASK_GONE by SOURCE_AGENT, REASON_AGENT_RESTARTED, "The machine was restarted""#
        ]],
    );
    check_with(
        Traits { partition_aware: false, ..traits() },
        events(),
        &expect![[
            r#"TASK_LOST by SOURCE_AGENT, REASON_AGENT_RESTARTED, "The machine was restarted""#
        ]],
    );
}

#[test]
fn a_lost_shim_is_a_failure_unless_a_kill_was_wanted() {
    let lost = || Event::Ended(Ended::Unrecorded { reason: "the shim is gone".into() });
    check(
        vec![Event::Started, lost()],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            TASK_FAILED by SOURCE_AGENT, REASON_CONTAINER_LAUNCH_FAILED, "the shim is gone""#]],
    );
    check(
        vec![stop(1), lost()],
        expect![[r#"
            kill within 1 ms: Asked
            TASK_KILLING by SOURCE_EXECUTOR
            TASK_KILLED by SOURCE_EXECUTOR, REASON_TASK_KILLED_DURING_LAUNCH, "Killed before the command was started""#]],
    );
}

#[test]
fn only_success_leaves_the_others_of_a_group_alone() {
    let ending = [TaskState::TaskFailed, TaskState::TaskKilled, TaskState::TaskGone];
    assert!(ending.into_iter().all(ends_group));
    let harmless = [TaskState::TaskFinished, TaskState::TaskRunning, TaskState::TaskKilling];
    assert!(!harmless.into_iter().any(ends_group));
}

fn drain(gone: bool, grace_ms: u64) -> Event {
    Event::Stop { cause: StopCause::Draining { gone }, grace_ms }
}

#[test]
fn draining_is_told_whatever_else_was_asked_for() {
    check(
        vec![Event::Started, drain(false, 5), ended(exit(Cause::Signal(15)))],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            kill within 5 ms: Draining { gone: false }
            TASK_KILLING by SOURCE_EXECUTOR, REASON_AGENT_DRAINING
            TASK_KILLED by SOURCE_EXECUTOR, REASON_AGENT_DRAINING, "Killed because the agent is drained; Command terminated with signal Terminated""#]],
    );
    check(
        vec![stop(3), drain(true, 5), stop(9), ended(exit(Cause::NeverStarted))],
        expect![[r#"
            kill within 3 ms: Asked
            TASK_KILLING by SOURCE_EXECUTOR
            kill within 3 ms: Draining { gone: true }
            TASK_GONE_BY_OPERATOR by SOURCE_EXECUTOR, REASON_AGENT_DRAINING, "Killed because the agent is drained; Killed before the command was started""#]],
    );
    check_with(
        Traits { partition_aware: false, reports_killing: false, ..traits() },
        vec![drain(true, 5), drain(true, 5), ended(exit(Cause::Status(0)))],
        &expect![[r#"
            kill within 5 ms: Draining { gone: true }
            TASK_LOST by SOURCE_EXECUTOR, REASON_AGENT_DRAINING, "Killed because the agent is drained; Command exited with status 0""#]],
    );
}

#[test]
fn a_task_of_a_group_does_not_outlive_it() {
    check(
        vec![
            Event::Started,
            Event::Stop { cause: StopCause::Group, grace_ms: 7 },
            ended(exit(Cause::Signal(15))),
        ],
        expect![[r#"
            TASK_RUNNING by SOURCE_EXECUTOR
            kill within 7 ms: Group
            TASK_KILLING by SOURCE_EXECUTOR
            TASK_KILLED by SOURCE_EXECUTOR, "Killed because another task of its group ended; Command terminated with signal Terminated""#]],
    );
}

fn any_cause() -> impl Strategy<Value = StopCause> {
    prop_oneof![
        Just(StopCause::Asked),
        Just(StopCause::Unhealthy),
        Just(StopCause::Group),
        any::<bool>().prop_map(|gone| StopCause::Draining { gone }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let cause = prop_oneof![
        (0..3).prop_map(Cause::Status),
        (1..16).prop_map(Cause::Signal),
        Just(Cause::NeverStarted),
        Just(Cause::NotStarted("x".into())),
    ];
    prop_oneof![
        Just(Event::Prepared),
        Just(Event::Started),
        (any_cause(), 0u64..9).prop_map(|(cause, grace_ms)| Event::Stop { cause, grace_ms }),
        (cause, any::<bool>(), any::<bool>()).prop_map(|(cause, out_of_memory, out_of_time)| {
            ended(Exit { out_of_memory, out_of_time, ..exit(cause) })
        }),
        Just(Event::Ended(Ended::Rebooted)),
        Just(Event::Ended(Ended::Unrecorded { reason: "x".into() })),
    ]
}

proptest! {
    #[test]
    fn phases_never_go_back_and_the_end_is_reported_once(events in prop::collection::vec(any_event(), 0..12)) {
        let mut container = Container::new(traits());
        let mut reported = Vec::new();
        for event in events {
            let before = container.phase();
            for effect in container.apply(event) {
                if let Effect::Report(report) = effect {
                    reported.push(report.state);
                }
            }
            prop_assert!(container.phase() >= before);
        }
        let terminal = |state: &&TaskState| {
            !matches!(state, TaskState::TaskStarting | TaskState::TaskRunning | TaskState::TaskKilling)
        };
        let ends = reported.iter().filter(terminal).count();
        prop_assert_eq!(ends, usize::from(container.phase() == Phase::Terminal));
        prop_assert_eq!(reported.iter().rev().skip(1).filter(terminal).count(), 0);
        let mut unique = reported.clone();
        unique.dedup();
        prop_assert_eq!(unique.len(), reported.len());
    }
}
