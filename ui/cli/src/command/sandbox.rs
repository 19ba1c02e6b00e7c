//! The files of a task's sandbox, through its agent's files API.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::format::document::{integer, text};
use crate::format::task::{self, Place};
use crate::http::{Call, interrupted};
use crate::output::write_on;
use crate::session::{Session, segment};

const READ_BYTES_MAX: u64 = 64 * 1024;
/// How far back from the end lines are looked for.
const TAIL_BYTES_MAX: u64 = 16 * 1024 * 1024;
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// A sandbox, found.
#[derive(Debug)]
pub struct Sandbox<'a> {
    session: &'a Session,
    agent: String,
    root: String,
}

impl<'a> Sandbox<'a> {
    pub async fn find(session: &'a Session, place: &Place) -> Result<Self, Failure> {
        let attached =
            session.client.get(format!("/agent/{}/files/debug", segment(&place.agent))).await?;
        match task::sandbox(&attached, place) {
            Some(root) => Ok(Self { session, agent: place.agent.clone(), root: root.to_owned() }),
            None => Err(Failure::new(
                Kind::NotFound,
                format!("the sandbox of {} is no longer on its agent", place.task),
            )
            .remedy("old sandboxes are removed to make room")),
        }
    }

    /// The virtual path of a file in this sandbox.
    pub fn path(&self, name: &str) -> String {
        let inside: Vec<&str> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if inside.is_empty() {
            self.root.clone()
        } else {
            format!("{}/{}", self.root, inside.join("/"))
        }
    }

    pub async fn browse(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let answer = self.session.client.json(self.call("browse", path)).await;
        match answer.map_err(|failure| missing(failure, path, &self.root))? {
            Value::Array(files) => Ok(files),
            _ => Err(Failure::new(
                Kind::Failed,
                "the agent answered with something other than a list of files",
            )),
        }
    }

    pub async fn download(&self, path: &str) -> Result<Response, Failure> {
        let call = self.call("download", path).accept("*/*").endless();
        self.session.client.send(call).await.map_err(|failure| missing(failure, path, &self.root))
    }

    /// Prints the last lines of a file, and then what is added to it.
    pub async fn tail(&self, path: &str, lines: usize, follow: bool) -> Result<(), Failure> {
        let size = integer(&self.read(path, None, 0).await?, "/offset");
        let mut offset = self.start_of_tail(path, size, lines).await?;
        loop {
            let answer = self.read(path, Some(offset), READ_BYTES_MAX).await?;
            let data = text(&answer, "/data");
            if data.is_empty() {
                if !follow {
                    return Ok(());
                }
                tokio::time::sleep(FOLLOW_PAUSE).await;
                continue;
            }
            offset += data.len() as u64;
            if !write_on(data.as_bytes())? {
                return Ok(());
            }
        }
    }

    /// The offset from which on there are `lines` lines, looking backwards.
    async fn start_of_tail(&self, path: &str, size: u64, lines: usize) -> Result<u64, Failure> {
        let floor = size.saturating_sub(TAIL_BYTES_MAX);
        let mut start = size;
        let mut seen = 0;
        while start > floor && lines > 0 {
            let from = start.saturating_sub(READ_BYTES_MAX).max(floor);
            let answer = self.read(path, Some(from), start - from).await?;
            let data = text(&answer, "/data").as_bytes();
            for (index, _) in data.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let after = from + index as u64 + 1;
                // The newline that ends the file ends the last line; it starts none.
                if after == size {
                    continue;
                }
                seen += 1;
                if seen == lines {
                    return Ok(after);
                }
            }
            start = from;
        }
        Ok(start)
    }

    async fn read(&self, path: &str, offset: Option<u64>, length: u64) -> Result<Value, Failure> {
        let mut call = self.call("read", path);
        call = match offset {
            Some(offset) => {
                call.query("offset", offset.to_string()).query("length", length.to_string())
            }
            None => call.query("offset", "-1"),
        };
        self.session.client.json(call).await.map_err(|failure| missing(failure, path, &self.root))
    }

    fn call(&self, verb: &str, path: &str) -> Call<'static> {
        Call::new(Method::GET, format!("/agent/{}/files/{verb}", segment(&self.agent)))
            .query("path", path)
    }
}

fn missing(failure: Failure, path: &str, root: &str) -> Failure {
    if failure.kind != Kind::NotFound {
        return failure;
    }
    let name = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    let name = if name.is_empty() { "the sandbox" } else { name };
    Failure::new(Kind::NotFound, format!("{name} does not exist"))
        .remedy("see the files with: karman task ls TASK")
}

/// Copies the body of an answer to `sink` as it comes; `sink` says when to stop.
pub async fn copy(
    response: Response,
    mut sink: impl FnMut(&[u8]) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        if !sink(&chunk.map_err(|error| interrupted(&error))?)? {
            break;
        }
    }
    Ok(())
}
