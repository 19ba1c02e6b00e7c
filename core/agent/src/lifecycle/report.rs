//! What a framework is told about each change. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::{Reason, Source};

use super::{Abandoned, Ended, Goal, Report, StopCause, Traits};
use crate::admit::Refusal;
use crate::shim::records::{Cause, Exit};

fn plain(state: TaskState) -> Report {
    Report {
        state,
        source: Source::Executor,
        reason: None,
        message: None,
        healthy: None,
        limitation_memory_bytes: None,
    }
}

pub(super) fn starting() -> Report {
    plain(TaskState::TaskStarting)
}

pub(super) fn running() -> Report {
    plain(TaskState::TaskRunning)
}

pub(super) fn killing(by: StopCause) -> Report {
    Report { reason: draining(by), ..plain(TaskState::TaskKilling) }
}

fn draining(by: StopCause) -> Option<Reason> {
    match by {
        StopCause::Draining { .. } => Some(Reason::AgentDraining),
        StopCause::Asked | StopCause::Unhealthy | StopCause::Group => None,
    }
}

pub(super) fn ended(traits: &Traits, goal: Goal, ended: Ended) -> Report {
    match ended {
        Ended::Recorded { exit, stderr_tail } => recorded(traits, goal, exit, &stderr_tail),
        Ended::Unrecorded { reason } => unrecorded(traits, goal, reason),
        Ended::Refused(Refusal { state, reason, message }) => Report {
            source: Source::Agent,
            reason: Some(reason),
            message: Some(message),
            ..plain(state)
        },
        Ended::Abandoned(abandoned) => lost_executor(traits, goal, abandoned),
        Ended::Rebooted => Report {
            source: Source::Agent,
            reason: Some(Reason::AgentRestarted),
            message: Some("The machine was restarted".into()),
            ..plain(if traits.partition_aware { TaskState::TaskGone } else { TaskState::TaskLost })
        },
    }
}

fn lost_executor(traits: &Traits, goal: Goal, abandoned: Abandoned) -> Report {
    let Abandoned { reason, message, wanted, exit } = abandoned;
    if let Some(exit) = exit.as_ref().filter(|exit| exit.out_of_memory) {
        return out_of_memory_report(traits, exit.memory_peak_bytes);
    }
    let how = exit.map(|exit| describe(&exit.cause)).unwrap_or_default();
    let because = if how.is_empty() { message } else { format!("{message}: {how}") };
    let mut report = match goal {
        Goal::Stop(by) => Report { message: None, ..killed(traits, by, &Cause::Signal(0)) },
        Goal::Run if wanted => plain(TaskState::TaskKilled),
        Goal::Run => plain(TaskState::TaskFailed),
    };
    report.source = Source::Agent;
    report.reason.get_or_insert(reason);
    report.message = Some(because);
    report
}

fn recorded(traits: &Traits, goal: Goal, exit: Exit, stderr_tail: &str) -> Report {
    let Exit { cause, out_of_memory, out_of_time, memory_peak_bytes, finished_ms: _ } = exit;
    if out_of_memory {
        return out_of_memory_report(traits, memory_peak_bytes);
    }
    if out_of_time {
        return Report {
            reason: Some(Reason::MaxCompletionTimeReached),
            message: Some("Command did not finish within its maximum completion time".into()),
            ..plain(TaskState::TaskFailed)
        };
    }
    if let Goal::Stop(cause_of_stop) = goal {
        return killed(traits, cause_of_stop, &cause);
    }
    match cause {
        Cause::Status(0) => plain(TaskState::TaskFinished),
        Cause::Status(_) | Cause::Signal(_) => Report {
            message: Some(with_tail(&describe(&cause), stderr_tail)),
            ..plain(TaskState::TaskFailed)
        },
        Cause::NotStarted(reason) => launch_failed(reason),
        // A kill that this agent has forgotten; somebody did ask for it.
        Cause::NeverStarted => killed(traits, StopCause::Asked, &cause),
    }
}

fn unrecorded(traits: &Traits, goal: Goal, reason: String) -> Report {
    match goal {
        Goal::Stop(cause) => killed(traits, cause, &Cause::NeverStarted),
        Goal::Run => launch_failed(reason),
    }
}

fn launch_failed(reason: String) -> Report {
    Report {
        source: Source::Agent,
        reason: Some(Reason::ContainerLaunchFailed),
        message: Some(reason),
        ..plain(TaskState::TaskFailed)
    }
}

fn killed(traits: &Traits, by: StopCause, cause: &Cause) -> Report {
    let healthy = (by == StopCause::Unhealthy).then_some(false);
    let because = match by {
        StopCause::Asked => "",
        StopCause::Unhealthy => "Killed because its health check failed; ",
        StopCause::Group => "Killed because another task of its group ended; ",
        StopCause::Draining { .. } => "Killed because the agent is drained; ",
    };
    let state = match by {
        StopCause::Draining { gone: true } if traits.partition_aware => {
            TaskState::TaskGoneByOperator
        }
        StopCause::Draining { gone: true } => TaskState::TaskLost,
        StopCause::Draining { gone: false }
        | StopCause::Asked
        | StopCause::Unhealthy
        | StopCause::Group => TaskState::TaskKilled,
    };
    let never_started = matches!(cause, Cause::NeverStarted | Cause::NotStarted(_));
    Report {
        reason: draining(by).or(never_started.then_some(Reason::TaskKilledDuringLaunch)),
        message: Some(format!("{because}{}", describe(cause))),
        healthy,
        ..plain(state)
    }
}

fn out_of_memory_report(traits: &Traits, peak_bytes: Option<u64>) -> Report {
    let mib = |bytes: u64| bytes >> 20;
    let limit = traits.memory_limit_bytes;
    let mut message = String::from("Memory limit exceeded");
    if let Some(limit) = limit {
        message.push_str(&format!(": limit {} MiB", mib(limit)));
    }
    if let Some(peak) = peak_bytes {
        message.push_str(&format!(", most used {} MiB", mib(peak)));
    }
    Report {
        source: Source::Agent,
        reason: Some(Reason::ContainerLimitationMemory),
        message: Some(message),
        limitation_memory_bytes: Some(peak_bytes.or(limit).unwrap_or(0)),
        ..plain(TaskState::TaskFailed)
    }
}

fn describe(cause: &Cause) -> String {
    match cause {
        Cause::Status(status) => format!("Command exited with status {status}"),
        Cause::Signal(signal) => format!("Command terminated with signal {}", signal_name(*signal)),
        Cause::NotStarted(reason) => reason.clone(),
        Cause::NeverStarted => "Killed before the command was started".into(),
    }
}

fn with_tail(message: &str, stderr_tail: &str) -> String {
    match stderr_tail.trim() {
        "" => message.to_owned(),
        tail => format!("{message}: {tail}"),
    }
}

/// As `strsignal` names them.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        other => return other.to_string(),
    };
    name.to_owned()
}
