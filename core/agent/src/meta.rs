//! Checkpoints: what an agent must know again after a restart.
//!
//! ```text
//! meta/boot_id
//! meta/slaves/latest -> <agent id>
//! meta/slaves/<agent id>/drain.json                         the order to drain
//! meta/slaves/<agent id>/resources.json                     what the master said it has
//! meta/slaves/<agent id>/frameworks/<framework id>.json
//! meta/slaves/<agent id>/groups/<group>                     all of its tasks are on record
//! meta/slaves/<agent id>/executors/<container id>/executor.json  what was started
//!                                                /subscribed     it was heard of
//!                                                /…              the shim's records
//! meta/slaves/<agent id>/nested/<container id>/nested.json  what an operator started
//!                                             /…            the shim's records
//! meta/slaves/<agent id>/runs/<container id>/task.json      what was launched
//!                                           /updates.jsonl  what was reported
//!                                           /…              the shim's records
//! ```

mod executors;
mod nested;

pub(crate) use executors::{ExecutorRecord, FoundExecutor, load_executors};
pub(crate) use nested::{NestedRecord, load_nested};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use karman_api::mesos::v1::{
    ContainerId, ExecutorInfo, FrameworkInfo, Resource, TaskInfo, TaskStatus,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;
use uuid::Uuid;

use crate::disk;
use crate::drain::Drain;
use crate::executors::is_custom;
use crate::shim::records::{RunDir, Stored};
use crate::volumes::Volume;

/// Updates of one task beyond this are rewritten without what is settled.
const UPDATES_BYTES_MAX: u64 = 64 * 1024;

/// The ending of a run folder that is being removed.
const FORGOTTEN: &str = "forgotten";

/// What was launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) agent_id: String,
    pub(crate) framework_id: String,
    pub(crate) container_id: String,
    pub(crate) sandbox: PathBuf,
    pub(crate) launched_ms: u64,
    pub(crate) task: TaskInfo,
    /// Absent for a task by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<Box<Member>>,
}

/// The place of a task in a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Of this group alone: its executor may run several. Absent for a task by
    /// itself under an executor of its framework's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    pub(crate) executor: ExecutorInfo,
    /// The container of the executor, that of the task is inside of it.
    pub(crate) container_id: String,
    pub(crate) sandbox: PathBuf,
}

impl Record {
    /// A command runs as if under an executor of its own name.
    pub(crate) fn executor_id(&self) -> &str {
        let member = self.member.as_ref();
        member.map_or(&self.task.task_id.value, |member| &member.executor.executor_id.value)
    }

    pub(crate) fn group(&self) -> Option<&str> {
        self.member.as_ref().and_then(|member| member.group.as_deref())
    }

    /// Whether an executor that its framework brought along runs it: no process of
    /// its own that this agent knows of.
    pub(crate) fn is_hosted(&self) -> bool {
        self.member.as_ref().is_some_and(|member| is_custom(&member.executor))
    }

    /// As it is told to others.
    pub(crate) fn container(&self) -> ContainerId {
        if let Some(member) = self.member.as_ref().filter(|_| self.is_hosted()) {
            return ContainerId { value: member.container_id.clone(), parent: None };
        }
        let parent = self.member.as_ref().map(|member| {
            Box::new(ContainerId { value: member.container_id.clone(), parent: None })
        });
        ContainerId { value: self.container_id.clone(), parent }
    }

    /// The container and the sandbox that it is, or is inside of.
    pub(crate) fn root(&self) -> (&str, &Path) {
        let member = self.member.as_ref();
        member.map_or((&self.container_id, &self.sandbox), |member| {
            (&member.container_id, &member.sandbox)
        })
    }
}

/// One line of `updates.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Status(Box<TaskStatus>),
    /// The first that was not acknowledged yet was.
    Acknowledged,
}

/// One change of the checkpoints of a container.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Create(Box<Record>),
    CreateExecutor(Box<ExecutorRecord>),
    CreateNested(Box<NestedRecord>),
    /// The executor has subscribed.
    Subscribed,
    Line(Line),
    /// Rewrites the updates if there are many; the flag says acknowledged.
    Compact(Vec<(TaskStatus, bool)>),
    Forget,
}

fn task_file(run: &RunDir) -> PathBuf {
    run.path().join("task.json")
}

fn updates_file(run: &RunDir) -> PathBuf {
    run.path().join("updates.jsonl")
}

/// Makes one change; returns once it is durable.
pub(crate) fn write(run: &RunDir, change: &Write) -> io::Result<()> {
    match change {
        Write::Create(record) => create(run, &task_file(run), record),
        Write::CreateExecutor(record) => create(run, &executors::file(run), record),
        Write::CreateNested(record) => create(run, &nested::file(run), record),
        // Lost, the executor is waited for longer.
        Write::Subscribed => fs::write(executors::subscribed(run), b""),
        Write::Line(line @ Line::Status(_)) => {
            disk::append_line(&updates_file(run), &serde_json::to_vec(&Stored::V1(line))?)
        }
        // Lost, it is asked for again.
        Write::Line(Line::Acknowledged) => {
            let mut line = serde_json::to_vec(&Stored::V1(Line::Acknowledged))?;
            line.push(b'\n');
            OpenOptions::new().append(true).open(updates_file(run))?.write_all(&line)
        }
        Write::Compact(remembered) => compact(run, remembered),
        // Under its name it is there with everything or not at all: with half
        // of its records its task would look as if it had never been started.
        Write::Forget => {
            let aside = run.path().with_extension(FORGOTTEN);
            fs::rename(run.path(), &aside)?;
            fs::remove_dir_all(aside)
        }
    }
}

fn create(run: &RunDir, file: &Path, record: &impl Serialize) -> io::Result<()> {
    fs::create_dir_all(run.path())?;
    disk::write_json(file, &Stored::V1(record))?;
    run.path().parent().map_or(Ok(()), disk::sync_dir)
}

fn compact(run: &RunDir, remembered: &[(TaskStatus, bool)]) -> io::Result<()> {
    let path = updates_file(run);
    if fs::metadata(&path).map_or(0, |data| data.len()) <= UPDATES_BYTES_MAX {
        return Ok(());
    }
    rewrite(&path, remembered)
}

fn rewrite(path: &Path, remembered: &[(TaskStatus, bool)]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (status, acknowledged) in remembered {
        serde_json::to_writer(&mut bytes, &Stored::V1(Line::Status(Box::new(status.clone()))))?;
        bytes.push(b'\n');
        if *acknowledged {
            serde_json::to_writer(&mut bytes, &Stored::V1(Line::Acknowledged))?;
            bytes.push(b'\n');
        }
    }
    disk::write_atomic(path, &bytes)
}

/// A container as the checkpoints have it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) record: Record,
    /// In order; the flag says acknowledged.
    pub(crate) updates: Vec<(TaskStatus, bool)>,
}

/// Everything that an agent of this id left. What cannot be understood is set
/// aside with a warning and loses one task, not all.
pub(crate) fn load_runs(meta: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (run, record) in load_all::<Record>(&meta.join("runs"), task_file)? {
        let updates = load_updates(&updates_file(&run))?;
        found.push(Found { record, updates });
    }
    Ok(found)
}

/// The records in the run folders below `folder`.
fn load_all<T: DeserializeOwned>(
    folder: &Path,
    file: impl Fn(&RunDir) -> PathBuf,
) -> io::Result<Vec<(RunDir, T)>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        let is_named = |ending: &str| path.extension().is_some_and(|extension| extension == ending);
        if is_named("corrupt") {
            continue;
        }
        if is_named(FORGOTTEN) {
            // Interrupted by the end of an earlier process of this agent.
            fs::remove_dir_all(&path)?;
            continue;
        }
        if is_unfinished(&path)? {
            fs::remove_dir_all(&path)?;
            continue;
        }
        let run = RunDir::new(&path);
        match disk::read_json::<Stored<T>>(&file(&run))? {
            Some(record) => found.push((run, record.newest())),
            None => {
                let aside = disk::quarantine(&path)?;
                warn!(folder = %path.display(), aside = %aside.display(), "checkpoint set aside");
            }
        }
    }
    Ok(found)
}

/// Whether an earlier process of this agent ended before it had put the task on
/// record: nothing of it was started, or told to anybody.
fn is_unfinished(run: &Path) -> io::Result<bool> {
    let temporary = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tmp");
    Ok(run.is_dir() && entries(run)?.iter().all(temporary))
}

fn load_updates(path: &Path) -> io::Result<Vec<(TaskStatus, bool)>> {
    let Some(bytes) = disk::read_optional(path)? else { return Ok(Vec::new()) };
    let mut updates: Vec<(TaskStatus, bool)> = Vec::new();
    let mut torn = false;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Stored<Line>>(line).map(Stored::newest) {
            Ok(Line::Status(status)) => updates.push((*status, false)),
            Ok(Line::Acknowledged) => {
                if let Some(first) = updates.iter_mut().find(|(_, acknowledged)| !acknowledged) {
                    first.1 = true;
                }
            }
            Err(_) => torn = true,
        }
    }
    if torn || (!bytes.is_empty() && !bytes.ends_with(b"\n")) {
        let aside = disk::quarantine(path)?;
        warn!(file = %path.display(), aside = %aside.display(), "damaged updates set aside; what could be read is kept");
        rewrite(path, &updates)?;
    }
    Ok(updates)
}

/// The checkpoint folders of every id that this agent ever had.
pub(crate) fn agents(work_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let all = entries(&work_dir.join("meta/slaves"))?;
    Ok(all.into_iter().filter(|path| !path.is_symlink() && path.is_dir()).collect())
}

pub(crate) fn load_frameworks(meta: &Path) -> io::Result<BTreeMap<String, FrameworkInfo>> {
    let mut found = BTreeMap::new();
    for path in entries(&meta.join("frameworks"))? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if let Some(framework) = disk::read_json::<Stored<FrameworkInfo>>(&path)? {
            let framework = framework.newest();
            let id = framework.id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
            found.insert(id, framework);
        }
    }
    Ok(found)
}

pub(crate) fn save_framework(meta: &Path, id: &str, framework: &FrameworkInfo) -> io::Result<()> {
    let folder = meta.join("frameworks");
    fs::create_dir_all(&folder)?;
    disk::write_json(&folder.join(format!("{id}.json")), &Stored::V1(framework))
}

pub(crate) fn forget_framework(meta: &Path, id: &str) {
    // Absent already: as wanted.
    let _ignored = fs::remove_file(meta.join("frameworks").join(format!("{id}.json")));
}

/// The id that a master gave this work folder, if any did.
pub(crate) fn load_agent_id(work_dir: &Path) -> Option<String> {
    let target = fs::read_link(work_dir.join("meta/slaves/latest")).ok()?;
    target.to_str().map(ToOwned::to_owned).filter(|id| !id.is_empty())
}

pub(crate) fn save_agent_id(work_dir: &Path, id: &str) -> io::Result<()> {
    let slaves = work_dir.join("meta/slaves");
    fs::create_dir_all(slaves.join(id).join("runs"))?;
    relink(&slaves, id)?;
    disk::sync_dir(&slaves)
}

/// The next start registers as a new agent.
pub(crate) fn forget_agent_id(work_dir: &Path) -> io::Result<()> {
    let slaves = work_dir.join("meta/slaves");
    remove(&slaves.join("latest"))?;
    disk::sync_dir(&slaves)
}

/// The order to drain that this agent was under.
pub(crate) fn load_drain(meta: &Path) -> io::Result<Option<Drain>> {
    Ok(disk::read_json::<Stored<Drain>>(&meta.join("drain.json"))?.map(Stored::newest))
}

pub(crate) fn save_drain(meta: &Path, drain: Option<&Drain>) -> io::Result<()> {
    let path = meta.join("drain.json");
    match drain {
        Some(drain) => disk::write_json(&path, &Stored::V1(drain)),
        None => remove(&path).and_then(|()| disk::sync_dir(meta)),
    }
}

/// The groups of which every task was put on record.
pub(crate) fn load_groups(meta: &Path) -> io::Result<BTreeSet<String>> {
    let all = entries(&meta.join("groups"))?;
    Ok(all.iter().filter_map(|path| path.file_name()?.to_str().map(ToOwned::to_owned)).collect())
}

pub(crate) fn save_group(meta: &Path, group: &str) -> io::Result<()> {
    let folder = meta.join("groups");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(group), b"")?;
    disk::sync_dir(&folder)
}

pub(crate) fn forget_group(meta: &Path, group: &str) {
    // Absent already: as wanted.
    let _ignored = fs::remove_file(meta.join("groups").join(group));
}

/// What the master said that the agent has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) resources: Vec<Resource>,
    /// Volumes that are to be deleted.
    pub(crate) doomed: BTreeSet<Volume>,
}

pub(crate) fn load_held(meta: &Path) -> io::Result<Option<Held>> {
    Ok(disk::read_json::<Stored<Held>>(&meta.join("resources.json"))?.map(Stored::newest))
}

pub(crate) fn save_held(meta: &Path, held: &Held) -> io::Result<()> {
    disk::write_json(&meta.join("resources.json"), &Stored::V1(held))
}

/// That it is absent already is as wanted.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Points `latest` at `target`, at no time at nothing.
pub(crate) fn relink(folder: &Path, target: &str) -> io::Result<()> {
    // Tasks of a group make the same link at the same time.
    let temporary = folder.join(format!("latest.{}", Uuid::new_v4()));
    symlink(target, &temporary)?;
    fs::rename(&temporary, folder.join("latest"))
}

/// The boot that the checkpoints were written in, if any.
pub(crate) fn load_boot_id(work_dir: &Path) -> io::Result<Option<String>> {
    let bytes = disk::read_optional(&work_dir.join("meta/boot_id"))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

pub(crate) fn save_boot_id(work_dir: &Path, boot_id: &str) -> io::Result<()> {
    disk::write_atomic(&work_dir.join("meta/boot_id"), boot_id.as_bytes())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths =
        listed.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
