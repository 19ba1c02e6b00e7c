use proptest::prelude::*;

use super::*;
use crate::shim::records::Cause;

fn exit() -> Exit {
    Exit {
        cause: Cause::Status(0),
        out_of_memory: false,
        out_of_time: false,
        memory_peak_bytes: None,
        finished_ms: 1,
    }
}

/// A task that runs.
fn running() -> Facts {
    Facts {
        same_boot: true,
        reported: Some(TaskState::TaskRunning),
        acknowledged: true,
        killed: None,
        claimed: true,
        shim_exists: true,
        executed: true,
        exit: None,
    }
}

#[test]
fn each_find_has_one_answer() {
    let finished = Some(TaskState::TaskFinished);
    let unborn =
        Facts { reported: None, claimed: false, shim_exists: false, executed: false, ..running() };
    for (name, facts, action, phase) in [
        ("runs", running(), Action::Watch, Phase::Running),
        (
            "is being killed",
            Facts { killed: Some(StopCause::Asked), ..running() },
            Action::Watch,
            Phase::Killing,
        ),
        (
            "ended meanwhile",
            Facts { exit: Some(exit()), ..running() },
            Action::Conclude(exit()),
            Phase::Running,
        ),
        (
            "ended before the reboot",
            Facts { same_boot: false, exit: Some(exit()), ..running() },
            Action::Conclude(exit()),
            Phase::Running,
        ),
        (
            "ended by the reboot",
            Facts { same_boot: false, ..running() },
            Action::Reboot,
            Phase::Running,
        ),
        (
            "never launched before the reboot",
            Facts { same_boot: false, ..unborn.clone() },
            Action::Reboot,
            Phase::Staging,
        ),
        (
            "shim killed",
            Facts { shim_exists: false, ..running() },
            Action::Vanished,
            Phase::Running,
        ),
        ("never launched", unborn.clone(), Action::Launch, Phase::Staging),
        (
            "told to start, never launched",
            Facts { reported: Some(TaskState::TaskStarting), ..unborn },
            Action::Launch,
            Phase::Starting,
        ),
        (
            "end not acknowledged",
            Facts { reported: finished, acknowledged: false, exit: Some(exit()), ..running() },
            Action::Deliver,
            Phase::Terminal,
        ),
        (
            "end acknowledged",
            Facts { reported: finished, exit: Some(exit()), ..running() },
            Action::Forget,
            Phase::Terminal,
        ),
    ] {
        let (found_action, found_phase, _) = recover(facts);
        assert_eq!((found_action, found_phase), (action, phase), "{name}");
    }
}

proptest! {
    #[test]
    fn nothing_that_may_run_is_launched_again(
        same_boot: bool, acknowledged: bool, killed in prop::option::of(Just(StopCause::Group)), claimed: bool, shim_exists: bool, executed: bool, ended: bool,
        reported in prop::option::of(0i32..14),
    ) {
        let reported = reported.and_then(|state| TaskState::try_from(state).ok());
        let exit = ended.then(exit);
        let facts = Facts { same_boot, reported, acknowledged, killed, claimed, shim_exists, executed, exit };
        let (action, phase, goal) = recover(facts);
        prop_assert_eq!(goal, killed.map_or(Goal::Run, Goal::Stop));
        if action == Action::Launch {
            prop_assert!(!claimed && !shim_exists && !executed && !ended && same_boot);
        }
        if action == Action::Forget {
            prop_assert!(acknowledged);
        }
        prop_assert_eq!(phase == Phase::Terminal, reported.is_some_and(is_terminal));
    }
}
