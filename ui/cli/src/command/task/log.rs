//! `karman task log`: through the log API of the gateway, or straight from the
//! agent's files where a cluster has none.

use futures::StreamExt as _;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::super::sandbox::{Sandbox, copy};
use crate::failure::{Failure, Kind};
use crate::format::document::text;
use crate::format::task;
use crate::http::{Call, interrupted};
use crate::output::{Answer, Outcome, write, write_on};
use crate::session::{Session, segment};

/// A line of a log longer than this is cut off.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What of the log is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub file: String,
    pub lines: usize,
    pub follow: bool,
}

pub async fn run(session: &Session, tasks: &[Value], wanted: &Wanted) -> Outcome {
    if let ([_, _, ..], true) = (tasks, wanted.follow) {
        return Err(super::several(tasks, "what was named").remedy("follow one of them by its id"));
    }
    if session.json && !wanted.follow {
        return documents(session, tasks, wanted).await;
    }
    for (index, found) in tasks.iter().enumerate() {
        if tasks.len() > 1 {
            let blank = if index == 0 { "" } else { "\n" };
            write(format!("{blank}==> {}:{} <==\n", text(found, "/id"), wanted.file).as_bytes())?;
        }
        print(session, found, wanted).await?;
    }
    Ok(Answer::written())
}

/// With `--json`: the lines of each task.
async fn documents(session: &Session, tasks: &[Value], wanted: &Wanted) -> Outcome {
    let mut logs = Vec::new();
    for found in tasks {
        let response = session.client.send(call(found, wanted).accept("text/plain")).await?;
        let mut content = Vec::new();
        copy(response, |chunk| {
            content.extend_from_slice(chunk);
            Ok(content.len() <= LINE_BYTES_MAX)
        })
        .await?;
        let content = String::from_utf8_lossy(&content);
        let lines: Vec<&str> = content.lines().collect();
        logs.push(json!({ "task": text(found, "/id"), "file": wanted.file, "lines": lines }));
    }
    Ok(Answer::new(Value::Array(logs), ""))
}

async fn print(session: &Session, found: &Value, wanted: &Wanted) -> Result<(), Failure> {
    let media_type = if wanted.follow { "text/event-stream" } else { "text/plain" };
    match session.client.send(call(found, wanted).accept(media_type).endless()).await {
        Ok(response) => {
            let events = response
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
            if events {
                follow(response, session.json).await
            } else {
                copy(response, write_on).await
            }
        }
        // The task exists: it is the file, or the log API itself, that does not.
        Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Failed) => {
            let sandbox = Sandbox::find(session, &task::place(found)).await?;
            sandbox.tail(&sandbox.path(&wanted.file), wanted.lines, wanted.follow).await
        }
        Err(failure) => Err(failure),
    }
}

fn call(found: &Value, wanted: &Wanted) -> Call<'static> {
    let file: Vec<String> = wanted.file.split('/').map(segment).collect();
    let path =
        format!("/system/v1/logs/v2/task/{}/file/{}", segment(text(found, "/id")), file.join("/"));
    Call::new(Method::GET, path).query("cursor", "END").query("skip", format!("-{}", wanted.lines))
}

/// Prints the messages of an event stream as they come.
async fn follow(response: reqwest::Response, as_json: bool) -> Result<(), Failure> {
    let mut chunks = response.bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = chunks.next().await {
        rest.extend_from_slice(&chunk.map_err(|error| interrupted(&error))?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if !event(&line, as_json)? {
                return Ok(());
            }
        }
        if rest.len() > LINE_BYTES_MAX {
            rest.clear();
        }
    }
    Ok(())
}

/// Prints one line of an event stream, if it carries a message; `false` when
/// nobody reads any more.
fn event(line: &[u8], as_json: bool) -> Result<bool, Failure> {
    let line = String::from_utf8_lossy(line);
    let Some(data) = line.trim_end().strip_prefix("data:") else { return Ok(true) };
    if as_json {
        return write_on(format!("{}\n", data.trim_start()).as_bytes());
    }
    let entry: Value = serde_json::from_str(data.trim_start()).unwrap_or_default();
    match entry.pointer("/fields/MESSAGE").and_then(Value::as_str) {
        Some(message) => write_on(format!("{}\n", message.trim_end_matches('\n')).as_bytes()),
        None => Ok(true),
    }
}
