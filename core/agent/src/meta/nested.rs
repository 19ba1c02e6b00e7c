//! The checkpoints of containers that operators start inside of others.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::shim::records::RunDir;

/// What was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NestedRecord {
    /// Its own name on this agent.
    pub(crate) container_id: String,
    /// The ids that operators know, the outermost first.
    pub(crate) path: Vec<String>,
    pub(crate) sandbox: PathBuf,
    pub(crate) session: bool,
}

/// Everything that an agent of this id left.
pub(crate) fn load_nested(meta: &Path) -> io::Result<Vec<NestedRecord>> {
    let found = super::load_all::<NestedRecord>(&meta.join("nested"), file)?;
    Ok(found.into_iter().map(|(_, record)| record).collect())
}

pub(super) fn file(run: &RunDir) -> PathBuf {
    run.path().join("nested.json")
}
