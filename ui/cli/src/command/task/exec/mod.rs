//! `karman task exec` and `karman task attach`: a command inside of a running
//! task, or the task itself, with this terminal.

mod input;
mod terminal;

use std::io;

use bytes::Bytes;
use futures::StreamExt as _;
use karman_api::codec::Codec;
use karman_api::mesos::v1::agent::call::{
    AttachContainerOutput, LaunchNestedContainerSession, Type, WaitContainer,
};
use karman_api::mesos::v1::agent::process_io::data;
use karman_api::mesos::v1::agent::{Call, ProcessIo, Response};
use karman_api::mesos::v1::environment::Variable;
use karman_api::mesos::v1::{
    CommandInfo, ContainerId, ContainerInfo, Environment, TtyInfo, container_info,
};
use karman_api::recordio;
use reqwest::Method;
use serde_json::Value;

use self::input::Input;
use self::terminal::Raw;
use crate::failure::{Failure, Kind};
use crate::format::document::text;
use crate::http::{Call as Request, interrupted};
use crate::output::{Answer, Outcome};
use crate::session::{Session, segment};

/// What a shell says of a command that a signal ended.
const SIGNALLED: i32 = 128;

/// The longest record of output.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What is to be run, and how much of this terminal it gets.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub command: Vec<String>,
    pub interactive: bool,
    pub tty: bool,
    pub user: Option<String>,
}

/// A container of an agent.
#[derive(Clone, Debug)]
struct Place {
    agent: String,
    container: ContainerId,
}

/// Runs a command inside of the task, and ends as it does.
pub async fn exec(session: &Session, task: &Value, wanted: Wanted) -> Outcome {
    let parent = place(task)?;
    let own = ContainerId {
        value: uuid::Uuid::new_v4().to_string(),
        parent: Some(Box::new(parent.container)),
    };
    let place = Place { agent: parent.agent, container: own };
    let raw = if wanted.tty && wanted.interactive { Some(Raw::begin()?) } else { None };
    let output = place.call(launch(&place, &wanted));
    let response = session.client.send(output).await?;
    let input = wanted.interactive.then(|| Input::new(raw.is_some(), false));
    place.exchange(session, response, input).await?;
    drop(raw);
    place.end(session).await
}

/// Shows what the task writes, and gives it what is typed.
pub async fn attach(session: &Session, task: &Value, with_input: bool) -> Outcome {
    let place = place(task)?;
    let attach = Call {
        r#type: Some(Type::AttachContainerOutput.into()),
        attach_container_output: Some(AttachContainerOutput {
            container_id: place.container.clone(),
        }),
        ..Call::default()
    };
    let response = session.client.send(place.call(attach)).await.map_err(|failure| {
        failure.remedy(format!(
            "only tasks with a terminal can be attached to; see what others write with: karman \
             task log --follow {}",
            text(task, "/id")
        ))
    })?;
    let has_terminal = task.pointer("/container/tty_info").is_some();
    let raw = if has_terminal && with_input { Some(Raw::begin()?) } else { None };
    let input = with_input.then(|| Input::new(raw.is_some(), true));
    place.exchange(session, response, input).await?;
    drop(raw);
    Ok(Answer::written())
}

/// Where the task is, if it runs.
fn place(task: &Value) -> Result<Place, Failure> {
    let statuses = task["statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let container = statuses.iter().rev().find_map(|status| {
        let id = status.pointer("/container_status/container_id")?;
        serde_json::from_value::<ContainerId>(id.clone()).ok()
    });
    let runs = matches!(text(task, "/state"), "TASK_RUNNING" | "TASK_KILLING");
    match container.filter(|_| runs) {
        Some(container) => Ok(Place { agent: text(task, "/slave_id").to_owned(), container }),
        None => Err(Failure::new(
            Kind::NotFound,
            format!("task {} does not run: it is {}", text(task, "/id"), text(task, "/state")),
        )
        .remedy("see the tasks that run with: karman task list")),
    }
}

fn launch(place: &Place, wanted: &Wanted) -> Call {
    let Wanted { command, interactive: _, tty, user } = wanted;
    let variable = |name: &str, value: String| Variable {
        name: name.to_owned(),
        value: Some(value),
        ..Variable::default()
    };
    let term = std::env::var("TERM").ok().filter(|_| *tty);
    let environment = term.map(|term| Environment { variables: vec![variable("TERM", term)] });
    let command = CommandInfo {
        value: command.first().cloned(),
        arguments: command.clone(),
        shell: Some(false),
        user: user.clone(),
        environment,
        ..CommandInfo::default()
    };
    let window_size = tty.then(terminal::size).flatten();
    let container = tty.then(|| ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        tty_info: Some(TtyInfo { window_size }),
        ..ContainerInfo::default()
    });
    let session = LaunchNestedContainerSession {
        container_id: place.container.clone(),
        command: Some(command),
        container,
    };
    Call {
        r#type: Some(Type::LaunchNestedContainerSession.into()),
        launch_nested_container_session: Some(session),
        ..Call::default()
    }
}

impl Place {
    fn path(&self) -> String {
        format!("/agent/{}/api/v1", segment(&self.agent))
    }

    /// A call that is answered with records.
    fn call(&self, call: Call) -> Request<'static> {
        let body = serde_json::to_value(call).unwrap_or_default();
        Request::new(Method::POST, self.path())
            .body(body)
            .accept("application/recordio, application/json")
            .header("message-accept", "application/json")
            .endless()
    }

    /// Passes on in both directions until the container has written everything.
    async fn exchange(
        &self,
        session: &Session,
        response: reqwest::Response,
        input: Option<Input>,
    ) -> Result<(), Failure> {
        let mut output = std::pin::pin!(show(response));
        let Some(mut input) = input else { return output.await };
        let body = input.body(&self.container);
        let call = Request::new(Method::POST, self.path())
            .stream(body, "application/recordio")
            .header("message-content-type", "application/json")
            .endless();
        let mut sent = std::pin::pin!(session.client.send(call));
        let mut typed = std::pin::pin!(input.run());
        let (mut sending, mut typing) = (true, true);
        loop {
            tokio::select! {
                shown = &mut output => return shown,
                // At the end of the input the container goes on.
                answer = &mut sent, if sending => {
                    sending = false;
                    answer?;
                }
                detached = &mut typed, if typing => {
                    typing = false;
                    if detached {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// How the container ended.
    async fn end(&self, session: &Session) -> Outcome {
        let wait = Call {
            r#type: Some(Type::WaitContainer.into()),
            wait_container: Some(WaitContainer { container_id: self.container.clone() }),
            ..Call::default()
        };
        let body = serde_json::to_value(wait).unwrap_or_default();
        let call = Request::new(Method::POST, self.path()).body(body).endless();
        let answer = session.client.json(call).await?;
        let answer: Response = serde_json::from_value(answer).unwrap_or_default();
        let end = answer.wait_container.unwrap_or_default();
        match end.exit_status {
            Some(status) => Ok(Answer::exited(exit_code(status))),
            None => {
                let why = end.message.unwrap_or_else(|| "nobody knows how it ended".to_owned());
                Err(Failure::new(
                    Kind::Failed,
                    format!("the command did not run to its end: {why}"),
                ))
            }
        }
    }
}

/// Of a status as waitpid(2) has it.
fn exit_code(status: i32) -> u8 {
    let signal = status & 0x7f;
    let code = if signal == 0 { (status >> 8) & 0xff } else { SIGNALLED + signal };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Writes what comes, where it belongs.
async fn show(response: reqwest::Response) -> Result<(), Failure> {
    let mut chunks = response.bytes_stream();
    let mut decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
    let odd = |error: &dyn std::fmt::Display| {
        Failure::new(Kind::Failed, format!("the agent sent something else than output: {error}"))
    };
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk.map_err(|error| interrupted(&error))?;
        decoder.push(&chunk);
        while let Some(record) = decoder.next_record().map_err(|error| odd(&error))? {
            let message: ProcessIo = Codec::Json.decode(&record).map_err(|error| odd(&error))?;
            let Some(data) = message.data else { continue };
            let bytes = data.data.clone().unwrap_or_default();
            let written = match data.r#type() {
                data::Type::Stderr => put(&mut io::stderr().lock(), &bytes),
                data::Type::Stdout | data::Type::Stdin | data::Type::Unknown => {
                    put(&mut io::stdout().lock(), &bytes)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => {
                    let why = format!("cannot write to this terminal: {error}");
                    return Err(Failure::new(Kind::Failed, why));
                }
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

fn put(out: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        for (status, code) in [(0, 0), (3 << 8, 3), (9, 137), (0x80 | 11, 128 + 11)] {
            assert_eq!(exit_code(status), code, "{status}");
        }
    }

    #[test]
    fn only_tasks_that_run_have_a_place() {
        let task = |state: &str| {
            json!({"id": "t", "slave_id": "S", "state": state, "statuses": [
                {"container_status": {"container_id": {"value": "c", "parent": {"value": "p"}}}},
                {"state": "TASK_RUNNING"},
            ]})
        };
        let found = place(&task("TASK_RUNNING")).unwrap();
        assert_eq!((found.agent.as_str(), found.container.value.as_str()), ("S", "c"));
        assert_eq!(found.container.parent.unwrap().value, "p");
        assert!(place(&task("TASK_FINISHED")).is_err());
        assert!(place(&json!({"state": "TASK_RUNNING"})).is_err());
    }
}
