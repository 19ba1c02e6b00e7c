//! Does what a batch of events asks for: the disk first, then everything that
//! others can see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use karman_api::mesos::v1::{ExecutorId, FrameworkId};
use karman_api::session::{AgentMessage, ExecutorEnded, StatusUpdate, agent_message};
use karman_rt::time::now_ms;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc::error::TrySendError;
use tracing::{error, warn};

use super::{Core, Entry, Event, Membership, Todo};
use crate::admit::Plan;
use crate::cgroup::{Group, Limits};
use crate::drain::Drain;
use crate::driver::{Job, blocking};
use crate::lifecycle::{self, Ended};
use crate::meta::{self, Write};
use crate::shim::records::{Claim, Kill, RunDir, Running, Stored};
use crate::{disk, process};

/// Checkpoints written at the same time; the file system makes their
/// journal writes one.
const WRITERS: usize = 16;

impl Core {
    pub(super) async fn perform(&mut self, todo: Todo) {
        let Todo {
            registered,
            writes,
            frameworks,
            launches,
            watches,
            events,
            kills,
            drain,
            removed,
            volumes,
            groups,
            executors_ended,
            says,
            inside,
            signals,
            resizes,
            updated,
            all_updated,
        } = todo;
        if let Some(agent_id) = &registered {
            self.remember(agent_id).await;
        }
        if let Some(agent_id) = &removed {
            self.forget_id(agent_id).await;
        }
        if let Some(drain) = drain {
            self.save_drain(drain).await;
        }
        if !volumes.is_empty() {
            self.move_volumes(volumes).await;
        }
        for (id, framework) in frameworks {
            self.save_framework(&id, framework).await;
        }
        let failed = write_all(writes).await;
        let torn = self.seal_groups(groups, &launches, &failed).await;
        for (job, plan) in launches {
            let group = job.parent.as_ref().and_then(|parent| torn.get(&parent.group));
            match failed.get(job.run.path()).or(group) {
                None => self.driver.launch(job, plan),
                Some(reason) => self.not_on_record(job.container_id, reason),
            }
        }
        for (job, inside) in inside {
            match failed.get(job.run.path()) {
                None => self.driver.launch_inside(job, inside),
                Some(reason) => self.not_on_record(job.container_id, reason),
            }
        }
        for job in watches {
            self.driver.watch(job);
        }
        for event in events {
            self.later(event);
        }
        let kills = kills.into_iter().map(|(run, wanted)| kill(run, wanted));
        futures::stream::iter(kills).buffer_unordered(WRITERS).collect::<()>().await;
        futures::stream::iter(signals.into_iter().map(|(run, number)| signal(run, number)))
            .buffer_unordered(WRITERS)
            .collect::<()>()
            .await;
        self.tell_executors(says, &failed);
        resize_all(resizes).await;
        self.deliver(updated.into_iter().collect(), all_updated);
        self.tell_ends(executors_ended);
        if let Some(agent_id) = registered {
            self.membership.send_replace(Membership::Registered { agent_id });
        }
    }

    pub(super) fn not_on_record(&self, container_id: String, reason: &str) {
        let reason = format!("cannot write the checkpoint of the task: {reason}");
        let event = lifecycle::Event::Ended(Ended::Unrecorded { reason });
        self.later(Event::Container { container_id, event });
    }

    /// The loop must not wait for room in its own queue.
    pub(super) fn later(&self, event: Event) {
        let events = self.events.clone();
        self.tasks.spawn("event", async move {
            let _stopping = events.send(event).await;
        });
    }

    /// Notes that all tasks of new groups are on record; of which groups that is
    /// not so, and why.
    async fn seal_groups(
        &self,
        groups: BTreeSet<String>,
        launches: &[(Job, Arc<Plan>)],
        failed: &BTreeMap<PathBuf, String>,
    ) -> BTreeMap<String, String> {
        let mut torn = BTreeMap::new();
        for (job, _) in launches {
            if let (Some(parent), Some(reason)) = (&job.parent, failed.get(job.run.path())) {
                torn.insert(parent.group.clone(), reason.clone());
            }
        }
        let Some(agent_id) = &self.agent_id else { return torn };
        for group in
            groups.into_iter().filter(|group| !torn.contains_key(group)).collect::<Vec<_>>()
        {
            let (meta, name) = (self.settings.meta(agent_id), group.clone());
            if let Err(error) = blocking(move || meta::save_group(&meta, &name)).await {
                torn.insert(group, error.to_string());
            }
        }
        torn
    }

    /// Best effort: a new session begins with what is left.
    fn tell_ends(&self, ended: Vec<((String, String), i32)>) {
        let Some(outgoing) = &self.outgoing else { return };
        for ((framework, executor), status) in ended {
            let ended = ExecutorEnded {
                framework_id: Some(FrameworkId { value: framework }),
                executor_id: Some(ExecutorId { value: executor }),
                status,
            };
            let body = Some(agent_message::Body::ExecutorEnded(ended));
            let _full = outgoing.try_send(AgentMessage { body });
        }
    }

    async fn remember(&self, agent_id: &str) {
        let (work_dir, id) = (self.settings.work_dir.clone(), agent_id.to_owned());
        if let Err(error) = blocking(move || meta::save_agent_id(&work_dir, &id)).await {
            error!(agent_id, error = error.to_string(), "cannot remember the id of this agent");
        }
    }

    async fn forget_id(&self, agent_id: &str) {
        let work_dir = self.settings.work_dir.clone();
        if let Err(error) = blocking(move || meta::forget_agent_id(&work_dir)).await {
            error!(agent_id, error = error.to_string(), "cannot forget the id of this agent");
        }
    }

    async fn save_drain(&self, drain: Option<Drain>) {
        let Some(agent_id) = &self.agent_id else { return };
        let meta = self.settings.meta(agent_id);
        if let Err(error) = blocking(move || meta::save_drain(&meta, drain.as_ref())).await {
            error!(error = error.to_string(), "cannot write the checkpoint of the order to drain");
        }
    }

    async fn save_framework(&self, id: &str, framework: Arc<karman_api::mesos::v1::FrameworkInfo>) {
        let Some(agent_id) = &self.agent_id else { return };
        let (meta, owned) = (self.settings.meta(agent_id), id.to_owned());
        if let Err(error) = blocking(move || meta::save_framework(&meta, &owned, &framework)).await
        {
            error!(
                framework_id = id,
                error = error.to_string(),
                "cannot write the checkpoint of a framework"
            );
        }
    }

    /// Sends the updates that are due.
    fn deliver(&mut self, updated: Vec<String>, all: bool) {
        let Some(outgoing) = &self.outgoing else { return };
        let now_ms = now_ms();
        let ids = if all { self.containers.keys().cloned().collect() } else { updated };
        for id in ids {
            let Some(entry) = self.containers.get_mut(&id) else { continue };
            let Some(message) = next_update(entry, now_ms) else { continue };
            match outgoing.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => entry.updates.reconnected(),
                Err(TrySendError::Closed(_)) => {
                    entry.updates.reconnected();
                    self.outgoing = None;
                    return;
                }
            }
        }
    }
}

fn next_update(entry: &mut Entry, now_ms: u64) -> Option<AgentMessage> {
    if entry.silent {
        return None;
    }
    let status = entry.updates.due(now_ms)?.clone();
    let update = StatusUpdate {
        framework_id: Some(FrameworkId { value: entry.record.framework_id.clone() }),
        status: Some(status),
        latest: entry.updates.latest().cloned(),
    };
    Some(AgentMessage { body: Some(agent_message::Body::Status(update)) })
}

/// Writes checkpoints, those of different containers at the same time; the
/// run folders where it failed, and why.
async fn write_all(writes: BTreeMap<PathBuf, (RunDir, Vec<Write>)>) -> BTreeMap<PathBuf, String> {
    let jobs = writes.into_iter().map(|(path, (run, changes))| async move {
        let result =
            blocking(move || changes.iter().try_for_each(|change| meta::write(&run, change))).await;
        result.err().map(|error: io::Error| (path, error.to_string()))
    });
    let failed: Vec<_> = futures::stream::iter(jobs).buffer_unordered(WRITERS).collect().await;
    let failed: BTreeMap<_, _> = failed.into_iter().flatten().collect();
    for (path, error) in &failed {
        // What was to be remembered is still told; only a restart would
        // forget it.
        error!(folder = %path.display(), error, "cannot write a checkpoint");
    }
    failed
}

/// To the process itself: its shim knows nothing of it.
async fn signal(run: RunDir, number: Signal) {
    let done = blocking(move || {
        let Running { task, init: _ } =
            serde_json::from_slice::<Stored<Running>>(&fs::read(run.running())?)?.newest();
        if task.exists() {
            process::signal(task.pid, number);
        }
        Ok::<(), io::Error>(())
    });
    if let Err(error) = done.await {
        warn!(error = error.to_string(), "cannot signal a container");
    }
}

/// Gives executors room for their tasks. What goes wrong is not the end: they run
/// within what they had.
async fn resize_all(resizes: Vec<(Group, Limits)>) {
    if resizes.is_empty() {
        return;
    }
    let resized = blocking(move || {
        for (group, limits) in resizes {
            if let Err(error) = group.create(&limits) {
                warn!(error = karman_rt::chain(&error), "cannot change the limits of an executor");
            }
        }
        Ok::<(), io::Error>(())
    });
    let _panicked = resized.await;
}

/// Leaves word for the shim and wakes it. One that starts later finds it.
async fn kill(run: RunDir, wanted: Kill) {
    let path = run.path().to_owned();
    let done = blocking(move || {
        disk::write_json(&run.kill(), &Stored::V1(wanted))?;
        let Ok(bytes) = fs::read(run.claim()) else { return Ok(()) };
        let Stored::V1(Claim { shim }) = serde_json::from_slice(&bytes)?;
        let Some(pid) = process::pid(shim.pid) else { return Ok(()) };
        let Ok(file) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if shim.exists() {
            pidfd_send_signal(&file, Signal::TERM)?;
        }
        Ok::<(), io::Error>(())
    });
    if let Err(error) = done.await {
        warn!(folder = %path.display(), error = error.to_string(), "cannot ask a shim to end its task");
    }
}
