//! Containers that operators start inside of running ones. They are on no
//! framework's account: they use what their parent may.

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::Reason;
use rustix::process::Signal;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use super::{Core, Todo};
use crate::driver::{Inside, Job};
use crate::lifecycle::{self, Ended, Phase, StopCause};
use crate::meta::{NestedRecord, Write};
use crate::nested::Order;
use crate::shim::records::{Cause, Exit, Kill, RunDir};
use crate::view::{NestedEnd, NestedState, NestedView};

/// Of all containers of an agent together: whoever starts them without end is
/// stopped.
const NESTED_MAX: usize = 1000;

/// What is asked of them.
#[derive(Debug)]
pub(crate) enum NestedAsk {
    Launch { order: Order, reply: oneshot::Sender<Result<Launched, NestedRefused>> },
    Kill { path: Vec<String>, signal: i32, reply: oneshot::Sender<Result<(), NestedRefused>> },
    Remove { path: Vec<String>, reply: oneshot::Sender<Result<(), NestedRefused>> },
}

/// It starts, or was started before.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) view: Arc<NestedView>,
    pub(crate) is_new: bool,
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NestedRefused {
    #[error("Container {0} cannot be found, or does not run")]
    NoParent(String),
    #[error("Container {0} cannot be found")]
    Unknown(String),
    #[error("Container {0} has not ended yet")]
    Runs(String),
    #[error("{0} is not a signal")]
    NoSignal(i32),
    #[error("{NESTED_MAX} nested containers run on this agent; end some first")]
    TooMany,
}

/// One of them, until it is removed.
#[derive(Debug)]
pub(super) struct Nested {
    record: NestedRecord,
    run: RunDir,
    state: watch::Sender<NestedState>,
    view: Arc<NestedView>,
    stop: CancellationToken,
}

impl Nested {
    fn new(record: NestedRecord, run: RunDir) -> Self {
        let (state, states) = watch::channel(NestedState::Starting);
        let view =
            Arc::new(NestedView { path: record.path.clone(), run: run.clone(), state: states });
        Self { record, run, state, view, stop: CancellationToken::new() }
    }

    fn runs(&self) -> bool {
        !matches!(*self.state.borrow(), NestedState::Ended(_))
    }

    pub(super) fn view(&self) -> Arc<NestedView> {
        Arc::clone(&self.view)
    }

    fn job(&self) -> Job {
        Job {
            container_id: self.record.container_id.clone(),
            run: self.run.clone(),
            sandbox: self.record.sandbox.clone(),
            parent: None,
            // It is that of the parent.
            group: None,
            stop: self.stop.clone(),
        }
    }
}

impl Core {
    pub(super) fn nested_asked(&mut self, ask: NestedAsk, todo: &mut Todo) {
        // Who does not wait for the answer has hung up.
        match ask {
            NestedAsk::Launch { order, reply } => {
                let _gone = reply.send(self.launch_nested(order, todo));
            }
            NestedAsk::Kill { path, signal, reply } => {
                let _gone = reply.send(self.kill_nested(&path, signal, todo));
            }
            NestedAsk::Remove { path, reply } => {
                let _gone = reply.send(self.remove_nested(&path, todo));
            }
        }
    }

    fn launch_nested(&mut self, order: Order, todo: &mut Todo) -> Result<Launched, NestedRefused> {
        if let Some(known) = self.nested_by_path(&order.path) {
            return Ok(Launched { view: known.view(), is_new: false });
        }
        let parents = order.path.split_last().map(|(_, parents)| parents).unwrap_or_default();
        let (run, sandbox) =
            self.place(parents).ok_or_else(|| NestedRefused::NoParent(parents.join(".")))?;
        self.make_room(todo)?;
        let Some(agent_id) = self.agent_id.clone() else {
            return Err(NestedRefused::NoParent(parents.join(".")));
        };
        let container_id = Uuid::new_v4().to_string();
        let name = order.path.last().cloned().unwrap_or_default();
        let record = NestedRecord {
            container_id: container_id.clone(),
            path: order.path.clone(),
            sandbox: sandbox.join("containers").join(name),
            session: order.session,
        };
        info!(container_id = order.path.join("."), session = order.session, "launching inside");
        let own = self.settings.nested_dir(&agent_id, &container_id);
        todo.write(&own, Write::CreateNested(Box::new(record.clone())));
        let nested = Nested::new(record, own);
        let view = nested.view();
        todo.inside.push((nested.job(), Inside { run, order }));
        self.nested.insert(container_id, nested);
        Ok(Launched { view, is_new: true })
    }

    fn nested_by_path(&self, path: &[String]) -> Option<&Nested> {
        self.nested.values().find(|nested| nested.record.path == path)
    }

    /// Where a container is that runs.
    fn place(&self, path: &[String]) -> Option<(RunDir, std::path::PathBuf)> {
        let own = path.last()?;
        if let Some(entry) = self.containers.get(own) {
            let runs = matches!(entry.machine.phase(), Phase::Running | Phase::Killing);
            let is_it = crate::nested::path(&entry.record.container()).is_ok_and(|it| it == path);
            let here = runs && is_it && !entry.record.is_hosted();
            return here.then(|| (entry.run.clone(), entry.record.sandbox.clone()));
        }
        if let ([only], Some(custom)) = (path, self.custom_by_container(own)) {
            let runs = only == custom.container_id() && custom.runs();
            return runs.then(|| custom.place());
        }
        let nested = self.nested_by_path(path).filter(|nested| nested.runs())?;
        Some((nested.run.clone(), nested.record.sandbox.clone()))
    }

    /// What has ended is forgotten before anything new is refused.
    fn make_room(&mut self, todo: &mut Todo) -> Result<(), NestedRefused> {
        if self.nested.len() < NESTED_MAX {
            return Ok(());
        }
        let ended = self.nested.iter().find(|(_, nested)| !nested.runs());
        let id = ended.map(|(id, _)| id.clone()).ok_or(NestedRefused::TooMany)?;
        self.forget_nested(&id, todo);
        Ok(())
    }

    fn kill_nested(
        &mut self,
        path: &[String],
        signal: i32,
        todo: &mut Todo,
    ) -> Result<(), NestedRefused> {
        let number = Signal::from_named_raw(signal).ok_or(NestedRefused::NoSignal(signal))?;
        let nested =
            self.nested_by_path(path).ok_or_else(|| NestedRefused::Unknown(path.join(".")))?;
        if number == Signal::KILL {
            nested.stop.cancel();
            let kill = Kill { grace_ms: 0, cause: StopCause::Asked, quiet: true };
            todo.kills.push((nested.run.clone(), kill));
        } else if nested.runs() {
            todo.signals.push((nested.run.clone(), number));
        }
        Ok(())
    }

    fn remove_nested(&mut self, path: &[String], todo: &mut Todo) -> Result<(), NestedRefused> {
        let nested =
            self.nested_by_path(path).ok_or_else(|| NestedRefused::Unknown(path.join(".")))?;
        if nested.runs() {
            return Err(NestedRefused::Runs(path.join(".")));
        }
        let id = nested.record.container_id.clone();
        self.forget_nested(&id, todo);
        Ok(())
    }

    fn forget_nested(&mut self, id: &str, todo: &mut Todo) {
        if let Some(nested) = self.nested.remove(id) {
            todo.write(&nested.run, Write::Forget);
        }
    }

    /// True if it was one of them.
    pub(super) fn nested_happened(&mut self, id: &str, event: &lifecycle::Event) -> bool {
        let Some(nested) = self.nested.get_mut(id) else { return false };
        match event {
            lifecycle::Event::Started => {
                nested.state.send_replace(NestedState::Running);
            }
            lifecycle::Event::Ended(ended) => {
                let end = end(ended);
                info!(container_id = nested.record.path.join("."), status = end.status, "ended");
                nested.state.send_replace(NestedState::Ended(Arc::new(end)));
            }
            lifecycle::Event::Prepared
            | lifecycle::Event::Stop { .. }
            | lifecycle::Event::Told(_) => {}
        }
        true
    }

    /// What is inside of a container ends with it.
    pub(super) fn end_inside(&mut self, path: &[String], todo: &mut Todo) {
        let inside: BTreeSet<String> = self
            .nested
            .iter()
            .filter(|(_, nested)| nested.record.path.starts_with(path))
            .map(|(id, _)| id.clone())
            .collect();
        for nested in inside.iter().filter_map(|id| self.nested.get(id)).filter(|it| it.runs()) {
            nested.stop.cancel();
            let kill = Kill { grace_ms: 0, cause: StopCause::Asked, quiet: true };
            todo.kills.push((nested.run.clone(), kill));
        }
    }

    /// As an earlier process of this agent left them; sessions end without an
    /// audience.
    pub(super) fn restore_nested(&mut self, found: Vec<NestedRecord>, todo: &mut Todo) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        for record in found {
            let run = self.settings.nested_dir(&agent_id, &record.container_id);
            if !run.claim().exists() {
                todo.write(&run, Write::Forget);
                continue;
            }
            let nested = Nested::new(record, run);
            todo.watches.push(nested.job());
            self.nested.insert(nested.record.container_id.clone(), nested);
        }
    }
}

fn end(ended: &Ended) -> NestedEnd {
    let unknown = |state, reason, message: &str| NestedEnd {
        status: None,
        state: Some(state),
        reason: Some(reason),
        message: Some(message.to_owned()),
    };
    match ended {
        Ended::Recorded { exit: Exit { cause: Cause::NotStarted(why), .. }, .. }
        | Ended::Unrecorded { reason: why } => {
            unknown(TaskState::TaskFailed, Reason::ContainerLaunchFailed, why)
        }
        Ended::Recorded { exit, .. } => NestedEnd {
            status: Some(super::custom::wait_status(&exit.cause)),
            state: exit.out_of_memory.then_some(TaskState::TaskFailed),
            reason: exit.out_of_memory.then_some(Reason::ContainerLimitationMemory),
            message: None,
        },
        Ended::Rebooted | Ended::Refused(_) | Ended::Abandoned(_) => unknown(
            TaskState::TaskFailed,
            Reason::AgentRestarted,
            "how the container ended is not known",
        ),
    }
}
