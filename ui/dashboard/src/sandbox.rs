//! The files of a task: which agent has them and under which path, and the
//! files API of that agent.

use serde::Deserialize;

use crate::upstream::{Error, Upstream, encode};
use crate::wire::mesos;

/// The most bytes that an agent gives in one read (16 pages).
pub const READ_BYTES_MAX: u64 = 64 * 1024;

/// A task's folder on its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Base URL of the agent.
    pub agent: String,
    pub agent_id: String,
    pub framework_id: String,
    pub executor_id: String,
    pub container_id: String,
    /// The folder's virtual path.
    pub path: String,
}

/// Why a task's files cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    #[error("task '{task}' does not exist")]
    NoTask { task: String },
    #[error("agent '{agent}' that ran task '{task}' is not part of the cluster any more")]
    NoAgent { task: String, agent: String },
    #[error(transparent)]
    Upstream(#[from] Error),
}

/// An entry of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(default)]
pub struct File {
    pub path: String,
    pub nlink: u64,
    pub size: u64,
    #[serde(deserialize_with = "whole_seconds")]
    pub mtime: u64,
    pub mode: String,
    pub uid: String,
    pub gid: String,
}

/// Agents send seconds whole or with a fraction.
fn whole_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = serde_json::Number::deserialize(deserializer)?.to_string();
    Ok(text.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or_default())
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// How many bytes of the file it stands for.
    pub bytes: u64,
}

/// What the files API answers.
#[derive(Deserialize)]
struct Data {
    data: String,
    offset: u64,
}

/// Agents leave out a character that the end of the piece cuts, and replace
/// bytes that are no text; only the first keeps lengths comparable.
fn piece(text: String, length: u64) -> Piece {
    let replaced = text.contains(char::REPLACEMENT_CHARACTER);
    let bytes =
        if replaced { length } else { u64::try_from(text.len()).unwrap_or(length).min(length) };
    Piece { text, bytes }
}

/// Finds the folder of a task by its id.
pub async fn locate(upstream: &Upstream, master: &str, task: &str) -> Result<Sandbox, LocateError> {
    let url = format!("{master}/tasks?task_id={}&limit=100", encode(task));
    let tasks: mesos::Tasks = upstream.json(&url).await?;
    let found = tasks.tasks.into_iter().find(|found| found.id == task);
    let found = found.ok_or_else(|| LocateError::NoTask { task: task.to_owned() })?;
    let slaves: mesos::Slaves = upstream.json(&format!("{master}/slaves")).await?;
    let agent = slaves
        .slaves
        .iter()
        .find(|slave| slave.id == found.slave_id)
        .and_then(|slave| slave.url(upstream.scheme()));
    let agent = agent.ok_or_else(|| LocateError::NoAgent {
        task: task.to_owned(),
        agent: found.slave_id.clone(),
    })?;
    Ok(of(agent, found))
}

fn of(agent: String, task: mesos::Task) -> Sandbox {
    let container_id = task.container_id().unwrap_or_default().to_owned();
    let mesos::Task { id, framework_id, executor_id, slave_id, .. } = task;
    let executor_id = if executor_id.is_empty() { id } else { executor_id };
    let path = format!("/frameworks/{framework_id}/executors/{executor_id}/runs/latest");
    Sandbox { agent, agent_id: slave_id, framework_id, executor_id, container_id, path }
}

impl Sandbox {
    /// The URL of an endpoint of the files API for a file of the folder.
    pub fn url(&self, endpoint: &str, file: &str) -> String {
        let file = file.trim_matches('/');
        let path =
            if file.is_empty() { self.path.clone() } else { format!("{}/{file}", self.path) };
        format!("{}/files/{endpoint}?path={}", self.agent, encode(&path))
    }

    /// Reads `length` bytes from `offset`, at most [`READ_BYTES_MAX`].
    pub async fn read(
        &self,
        upstream: &Upstream,
        file: &str,
        offset: u64,
        length: u64,
    ) -> Result<Piece, Error> {
        let length = length.min(READ_BYTES_MAX);
        let url = format!("{}&offset={offset}&length={length}", self.url("read", file));
        Ok(piece(upstream.json::<Data>(&url).await?.data, length))
    }

    /// How many bytes a file has.
    pub async fn size(&self, upstream: &Upstream, file: &str) -> Result<u64, Error> {
        let url = format!("{}&offset=-1", self.url("read", file));
        Ok(upstream.json::<Data>(&url).await?.offset)
    }

    pub async fn browse(&self, upstream: &Upstream, folder: &str) -> Result<Vec<File>, Error> {
        upstream.json(&self.url("browse", folder)).await
    }

    /// The last lines of a file and the offset at which they start.
    pub async fn tail(
        &self,
        upstream: &Upstream,
        file: &str,
        size: u64,
        lines: usize,
    ) -> Result<Tail, Error> {
        let mut tail = Tail { offset: size, text: String::new() };
        while tail.offset > 0 && !tail.has(lines) && tail.text.len() < TAIL_BYTES_MAX {
            let length = tail.offset.min(READ_BYTES_MAX);
            let offset = tail.offset - length;
            let Piece { text, .. } = self.read(upstream, file, offset, length).await?;
            tail = Tail { offset, text: text + &tail.text };
        }
        Ok(tail.cut(lines))
    }
}

/// The most that is read backwards to find the start of the last lines.
const TAIL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The end of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub offset: u64,
    pub text: String,
}

impl Tail {
    /// Whether a line starts before the last `lines` ones.
    fn has(&self, lines: usize) -> bool {
        self.start(lines).is_some()
    }

    fn start(&self, lines: usize) -> Option<usize> {
        let body = self.text.strip_suffix('\n').unwrap_or(&self.text);
        if lines == 0 {
            return Some(self.text.len());
        }
        body.rmatch_indices('\n').nth(lines - 1).map(|(at, _)| at + 1)
    }

    fn cut(mut self, lines: usize) -> Self {
        if let Some(start) = self.start(lines) {
            self.text.drain(..start);
            self.offset += u64::try_from(start).unwrap_or_default();
        }
        self
    }
}

#[cfg(test)]
mod tests;
