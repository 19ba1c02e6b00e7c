//! Containers inside of containers, for operators: started, waited for, ended,
//! removed; sessions, which are seen as long as they live.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use karman_api::mesos::v1::agent::call::{self, Type};
use karman_api::mesos::v1::agent::response::{self, WaitContainer, WaitNestedContainer};
use karman_api::mesos::v1::agent::{self, Call};
use karman_api::mesos::v1::{CommandInfo, ContainerId, ContainerInfo};
use tokio::sync::oneshot;

use super::Shared;
use super::attach;
use super::codec::refuse;
use super::tasks;
use crate::core::{Event, Launched, NestedAsk, NestedRefused};
use crate::nested::{self, Order};
use crate::shim::records::RunDir;
use crate::view::{NestedEnd, NestedState, NestedView, View};

/// What ends a container if nobody says with what.
const SIGKILL: i32 = 9;

pub(super) fn unknown(path: &[String]) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("Container {} cannot be found", path.join(".")))
}

fn bad(error: &impl ToString) -> Box<Response> {
    Box::new(refuse(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn missing(what: &str) -> Box<Response> {
    Box::new(refuse(StatusCode::BAD_REQUEST, &format!("Expecting '{what}' to be present")))
}

/// What is to be run, in whichever of the three forms it was said.
struct Wanted {
    id: ContainerId,
    command: Option<CommandInfo>,
    container: Option<ContainerInfo>,
}

#[expect(deprecated, reason = "clients use the old calls still")]
fn wanted(call: Call) -> Option<Wanted> {
    let of = |id, command, container| Wanted { id, command, container };
    match call.r#type() {
        Type::LaunchNestedContainer => {
            let it: call::LaunchNestedContainer = call.launch_nested_container?;
            Some(of(it.container_id, it.command, it.container))
        }
        Type::LaunchNestedContainerSession => {
            let it = call.launch_nested_container_session?;
            Some(of(it.container_id, it.command, it.container))
        }
        _ => {
            let it = call.launch_container?;
            Some(of(it.container_id, it.command, it.container))
        }
    }
}

impl Shared {
    /// Where a container is that can be attached to.
    pub(super) fn place(&self, path: &[String]) -> Option<RunDir> {
        let snapshot = self.snapshot();
        if let Some(nested) = snapshot.nested.get(path) {
            return Some(nested.run.clone());
        }
        let view = self.task(path)?;
        Some(self.settings.run_dir(&view.record.agent_id, &view.record.container_id))
    }

    /// The task that has the container to itself.
    fn task(&self, path: &[String]) -> Option<Arc<View>> {
        let snapshot = self.snapshot();
        let view = snapshot.containers.get(path.last()?)?;
        let own = nested::path(&view.record.container()).is_ok_and(|own| own == path);
        (own && !view.record.is_hosted()).then(|| Arc::clone(view))
    }

    async fn ask_nested<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, NestedRefused>>) -> NestedAsk,
    ) -> Result<T, Box<Response>> {
        let stopping =
            || Box::new(refuse(StatusCode::SERVICE_UNAVAILABLE, "The agent is stopping"));
        let (reply, answer) = oneshot::channel();
        let sent = self.events.send(Event::Nested(Box::new(ask(reply)))).await;
        sent.map_err(|_stopped| stopping())?;
        answer.await.map_err(|_stopped| stopping())?.map_err(|refused| {
            let status = match refused {
                NestedRefused::Unknown(_) => StatusCode::NOT_FOUND,
                NestedRefused::NoParent(_)
                | NestedRefused::NoSignal(_)
                | NestedRefused::Runs(_) => StatusCode::BAD_REQUEST,
                NestedRefused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            };
            Box::new(refuse(status, &refused.to_string()))
        })
    }

    /// Starts a container and waits until it runs, or did not.
    async fn start(&self, order: Order) -> Result<Launched, Box<Response>> {
        let launched = self.ask_nested(|reply| NestedAsk::Launch { order, reply }).await?;
        let mut state = launched.view.state.clone();
        let begun = state.wait_for(|state| !matches!(state, NestedState::Starting)).await;
        match begun.as_deref() {
            Ok(NestedState::Ended(end)) if end.status.is_none() => {
                let why = end.message.as_deref().unwrap_or("it is not known why");
                Err(bad(&format!("The container could not be started: {why}")))
            }
            Ok(_) => Ok(launched),
            Err(_removed) => Err(bad(&"The container was removed while it started")),
        }
    }
}

/// LAUNCH_CONTAINER and its older name.
pub(super) async fn launch(shared: &Shared, call: Call) -> Result<Response, Box<Response>> {
    let Wanted { id, command, container } =
        wanted(call).ok_or_else(|| missing("launch_container"))?;
    let order = nested::order(&id, command, container.as_ref(), false);
    let order = order.map_err(|error| bad(&error))?;
    let Launched { is_new, .. } = shared.start(order).await?;
    Ok(if is_new { StatusCode::OK } else { StatusCode::ACCEPTED }.into_response())
}

/// The answer is what the container writes, until it ends; and it ends with the
/// answer.
pub(super) async fn session(
    shared: &Shared,
    headers: &HeaderMap,
    call: Call,
) -> Result<Response, Box<Response>> {
    let codec = streaming(headers)?;
    let Wanted { id, command, container } =
        wanted(call).ok_or_else(|| missing("launch_nested_container_session"))?;
    let order = nested::order(&id, command, container.as_ref(), true);
    let order = order.map_err(|error| bad(&error))?;
    let Launched { view, is_new } = shared.start(order).await?;
    if !is_new {
        return Err(bad(&format!("Container {} is there already", view.path.join("."))));
    }
    Ok(attach::output(&view.run, codec).await)
}

pub(super) async fn attach_output(
    shared: &Shared,
    headers: &HeaderMap,
    call: Call,
) -> Result<Response, Box<Response>> {
    let codec = streaming(headers)?;
    let wanted = call.attach_container_output.ok_or_else(|| missing("attach_container_output"))?;
    let path = nested::path(&wanted.container_id).map_err(|error| bad(&error))?;
    let run = shared.place(&path).ok_or_else(|| Box::new(unknown(&path)))?;
    Ok(attach::output(&run, codec).await)
}

fn streaming(headers: &HeaderMap) -> Result<karman_api::codec::Codec, Box<Response>> {
    if !attach::accepts_records(headers) {
        let message = format!("Expecting 'Accept' to allow {}", attach::RECORDS);
        return Err(Box::new(refuse(StatusCode::NOT_ACCEPTABLE, &message)));
    }
    attach::codec_of_records(headers)
}

/// Answers once the container has ended; that of a task as well.
#[expect(deprecated, reason = "clients use the old calls still")]
pub(super) async fn wait(shared: &Shared, call: Call) -> Result<agent::Response, Box<Response>> {
    let is_old = call.r#type() == Type::WaitNestedContainer;
    let id = if is_old {
        call.wait_nested_container.map(|it| it.container_id)
    } else {
        call.wait_container.map(|it| it.container_id)
    };
    let id = id.ok_or_else(|| missing("wait_container"))?;
    let path = nested::path(&id).map_err(|error| bad(&error))?;
    let nested = shared.snapshot().nested.get(&path).map(Arc::clone);
    let end = match nested {
        Some(nested) => ended(&nested).await,
        None => shared.task_ended(&path).await,
    };
    let NestedEnd { status, state, reason, message } =
        end.ok_or_else(|| Box::new(unknown(&path)))?;
    let (state, reason) = (state.map(i32::from), reason.map(i32::from));
    let blank = agent::Response::default();
    Ok(if is_old {
        let wait =
            WaitNestedContainer { exit_status: status, state, reason, limitation: None, message };
        agent::Response {
            r#type: Some(response::Type::WaitNestedContainer.into()),
            wait_nested_container: Some(wait),
            ..blank
        }
    } else {
        let wait = WaitContainer { exit_status: status, state, reason, limitation: None, message };
        agent::Response {
            r#type: Some(response::Type::WaitContainer.into()),
            wait_container: Some(wait),
            ..blank
        }
    })
}

async fn ended(nested: &NestedView) -> Option<NestedEnd> {
    let mut state = nested.state.clone();
    let ended = state.wait_for(|state| matches!(state, NestedState::Ended(_))).await;
    match ended.as_deref() {
        Ok(NestedState::Ended(end)) => Some(NestedEnd::clone(end)),
        Ok(_) | Err(_) => None,
    }
}

impl Shared {
    async fn task_ended(&self, path: &[String]) -> Option<NestedEnd> {
        let mut view = self.task(path)?;
        let mut snapshots = self.snapshots.clone();
        while !tasks::has_ended(&view) {
            snapshots.changed().await.ok()?;
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let own = &view.record.container_id;
            let done = snapshot.completed.iter().rev().find(|it| it.record.container_id == *own);
            view = Arc::clone(snapshot.containers.get(own).or(done)?);
        }
        let last = view.statuses.last();
        Some(NestedEnd {
            status: None,
            state: Some(view.state()),
            reason: last.and_then(|last| last.reason.is_some().then(|| last.reason())),
            message: last.and_then(|last| last.message.clone()),
        })
    }
}

#[expect(deprecated, reason = "clients use the old calls still")]
pub(super) async fn kill(shared: &Shared, call: Call) -> Result<Response, Box<Response>> {
    let (id, signal) = if call.r#type() == Type::KillNestedContainer {
        let kill = call.kill_nested_container.ok_or_else(|| missing("kill_nested_container"))?;
        (kill.container_id, kill.signal)
    } else {
        let kill = call.kill_container.ok_or_else(|| missing("kill_container"))?;
        (kill.container_id, kill.signal)
    };
    let path = nested::path(&id).map_err(|error| bad(&error))?;
    let signal = signal.unwrap_or(SIGKILL);
    shared.ask_nested(|reply| NestedAsk::Kill { path, signal, reply }).await?;
    Ok(StatusCode::OK.into_response())
}

#[expect(deprecated, reason = "clients use the old calls still")]
pub(super) async fn remove(shared: &Shared, call: Call) -> Result<Response, Box<Response>> {
    let id = if call.r#type() == Type::RemoveNestedContainer {
        call.remove_nested_container.map(|it| it.container_id)
    } else {
        call.remove_container.map(|it| it.container_id)
    };
    let id = id.ok_or_else(|| missing("remove_container"))?;
    let path = nested::path(&id).map_err(|error| bad(&error))?;
    shared.ask_nested(|reply| NestedAsk::Remove { path, reply }).await?;
    Ok(StatusCode::OK.into_response())
}
