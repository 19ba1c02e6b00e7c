//! The checkpoints of executors that frameworks bring along.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use karman_api::mesos::v1::{ContainerId, ExecutorInfo};
use serde::{Deserialize, Serialize};

use crate::shim::records::RunDir;

/// What was started.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExecutorRecord {
    pub(crate) agent_id: String,
    pub(crate) framework_id: String,
    pub(crate) container_id: String,
    pub(crate) sandbox: PathBuf,
    pub(crate) launched_ms: u64,
    pub(crate) executor: ExecutorInfo,
    /// What only this executor knows.
    pub(crate) token: String,
}

impl fmt::Debug for ExecutorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorRecord")
            .field("framework_id", &self.framework_id)
            .field("executor_id", &self.executor_id())
            .field("container_id", &self.container_id)
            .field("token", &"***")
            .finish_non_exhaustive()
    }
}

impl ExecutorRecord {
    pub(crate) fn executor_id(&self) -> &str {
        &self.executor.executor_id.value
    }

    /// As it is told to others.
    pub(crate) fn container(&self) -> ContainerId {
        ContainerId { value: self.container_id.clone(), parent: None }
    }
}

/// An executor as the checkpoints have it.
#[derive(Debug)]
pub(crate) struct FoundExecutor {
    pub(crate) record: ExecutorRecord,
    pub(crate) subscribed: bool,
}

/// Everything that an agent of this id left.
pub(crate) fn load_executors(meta: &Path) -> io::Result<Vec<FoundExecutor>> {
    let found = super::load_all::<ExecutorRecord>(&meta.join("executors"), file)?;
    let look = |(run, record): (RunDir, ExecutorRecord)| FoundExecutor {
        record,
        subscribed: subscribed(&run).exists(),
    };
    Ok(found.into_iter().map(look).collect())
}

pub(super) fn file(run: &RunDir) -> PathBuf {
    run.path().join("executor.json")
}

pub(super) fn subscribed(run: &RunDir) -> PathBuf {
    run.path().join("subscribed")
}
