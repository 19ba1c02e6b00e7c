//! Persistent volumes: which the agent must have, which it may delete, and
//! where they are. Pure.
//!
//! The master says all that the agent has; what left is *doomed* and goes once
//! no task uses it. A volume is told from others by its disk, its role and its
//! id: one that grows or changes hands stays the same.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use karman_model::resource::{Kind, Resource, Resources, SourceType, VolumeMode};
use serde::{Deserialize, Serialize};

/// The longest id of a volume: it becomes the name of a folder.
const ID_BYTES_MAX: usize = 255;

/// One volume on the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Volume {
    pub place: Place,
    pub role: String,
    pub id: String,
}

/// The disk that it is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The agent's own.
    Work,
    /// A folder of another disk, that volumes share.
    Path(PathBuf),
    /// A whole other disk: the mount point is the volume.
    Mount(PathBuf),
}

/// A volume as a task sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub volume: Volume,
    /// Relative to the sandbox.
    pub container_path: PathBuf,
    pub read_only: bool,
    /// Other tasks may use it at the same time.
    pub shared: bool,
}

/// A persistent volume that this agent cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'{0}' is not a usable id of a persistent volume")]
    Id(String),
    #[error("the persistent volume '{0}' is reserved to no role")]
    Role(String),
    #[error("the persistent volume '{id}' is on a disk of a kind ({kind}) that holds no folders")]
    Disk { id: String, kind: &'static str },
    #[error("the disk of the persistent volume '{0}' names no root folder")]
    Root(String),
    #[error(
        "the container path '{path}' of the persistent volume '{id}' must lie inside of the sandbox"
    )]
    ContainerPath { id: String, path: String },
}

impl Volume {
    /// The volume that the resource is, if it is one.
    pub fn of(kind: &Kind) -> Option<Result<Self, Error>> {
        let disk = kind.disk.as_ref()?;
        let id = &disk.persistence.as_ref()?.id;
        Some(Self::with_id(kind, id))
    }

    fn with_id(kind: &Kind, id: &str) -> Result<Self, Error> {
        if !is_file_name(id) {
            return Err(Error::Id(id.to_owned()));
        }
        let role = kind.reserved_to().ok_or_else(|| Error::Role(id.to_owned()))?;
        let source = kind.disk.as_ref().and_then(|disk| disk.source.as_ref());
        let place = match source {
            None => Place::Work,
            Some(source) => {
                let root = || {
                    let root = source.root.as_ref().filter(|root| !root.is_empty());
                    root.map(PathBuf::from).ok_or_else(|| Error::Root(id.to_owned()))
                };
                match source.kind {
                    SourceType::Path => Place::Path(root()?),
                    SourceType::Mount => Place::Mount(root()?),
                    SourceType::Block => return Err(no_folders(id, "BLOCK")),
                    SourceType::Raw => return Err(no_folders(id, "RAW")),
                }
            }
        };
        Ok(Self { place, role: role.to_owned(), id: id.to_owned() })
    }

    /// The folder that volumes of its disk are in; a relative root is below the
    /// agent's work folder.
    pub fn base(&self, work_dir: &Path) -> PathBuf {
        match &self.place {
            Place::Work => work_dir.join("volumes"),
            Place::Path(root) => work_dir.join(root).join("volumes"),
            Place::Mount(root) => work_dir.join(root),
        }
    }

    /// Where it is.
    pub fn path(&self, work_dir: &Path) -> PathBuf {
        let base = self.base(work_dir);
        match self.place {
            // Roles hold slashes but no blanks: one folder for each, whatever
            // its depth.
            Place::Work | Place::Path(_) => {
                base.join("roles").join(self.role.replace('/', " ")).join(&self.id)
            }
            Place::Mount(_) => base,
        }
    }
}

fn no_folders(id: &str, kind: &'static str) -> Error {
    Error::Disk { id: id.to_owned(), kind }
}

fn is_file_name(id: &str) -> bool {
    let plain = !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && !id.contains(|c: char| c == '/' || c == '\\' || c.is_control());
    plain && id != "." && id != ".."
}

/// Every volume among the resources that this agent can have, and what is wrong
/// with the others.
pub fn all(resources: &Resources) -> (BTreeSet<Volume>, Vec<Error>) {
    let mut problems = Vec::new();
    let mut found = BTreeSet::new();
    for volume in resources.iter().filter_map(|resource| Volume::of(&resource.kind)) {
        match volume {
            Ok(volume) => drop(found.insert(volume)),
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

/// The volumes that somebody with these resources uses.
pub fn uses(resources: &Resources) -> Result<Vec<Use>, Error> {
    resources.iter().filter_map(|resource| use_of(resource).transpose()).collect()
}

fn use_of(resource: &Resource) -> Result<Option<Use>, Error> {
    let Some(volume) = Volume::of(&resource.kind) else { return Ok(None) };
    let volume = volume?;
    let wanted = resource.kind.disk.as_ref().and_then(|disk| disk.volume.as_ref());
    let text = wanted.map_or("", |wanted| wanted.container_path.as_str());
    let path: PathBuf = Path::new(text)
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(Component::as_os_str)
        .collect();
    // Without mounts of its own a task reaches it through a link, which must
    // not appear anywhere else on the machine.
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !inside || text.contains('\0') {
        return Err(Error::ContainerPath { id: volume.id, path: text.to_owned() });
    }
    let read_only = wanted.is_some_and(|wanted| wanted.mode == VolumeMode::ReadOnly);
    Ok(Some(Use { volume, container_path: path, read_only, shared: resource.kind.shared }))
}

/// What is known of the volumes of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// That it has, as the master said last.
    pub kept: BTreeSet<Volume>,
    /// That it had: to be deleted with what is in them.
    pub doomed: BTreeSet<Volume>,
}

/// What is to be done, in this order: make, remember, retire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of `retire`, those that are made anew, with nothing of before in them:
    /// their old folders go before anything is made.
    pub renew: BTreeSet<Volume>,
    pub make: BTreeSet<Volume>,
    /// What is to be remembered before anything is deleted.
    pub after: State,
    /// The doomed that nobody uses any longer.
    pub retire: BTreeSet<Volume>,
}

impl State {
    /// The master says that these are all.
    pub fn plan(&self, told: &BTreeSet<Volume>, in_use: &BTreeSet<Volume>) -> Plan {
        let left = self.kept.difference(told).chain(&self.doomed);
        let doomed: BTreeSet<Volume> = left.cloned().collect();
        let retire: BTreeSet<Volume> = doomed.difference(in_use).cloned().collect();
        let renew: BTreeSet<Volume> = retire.intersection(told).cloned().collect();
        let new = told.difference(&self.kept).filter(|volume| !doomed.contains(*volume));
        let make = new.chain(&renew).cloned().collect();
        let doomed = doomed.difference(&renew).cloned().collect();
        Plan { renew, make, after: Self { kept: told.clone(), doomed }, retire }
    }

    /// These are gone.
    pub fn retired(&mut self, gone: &BTreeSet<Volume>) {
        self.doomed.retain(|volume| !gone.contains(volume));
    }
}

#[cfg(test)]
mod tests;
