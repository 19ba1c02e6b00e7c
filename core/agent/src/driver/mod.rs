//! Takes one container from admission to its end.
//!
//! Task: one per container. Inputs: the plan, the run folder. Output: events.
//! It may be dropped at any await: the shim goes on, and the next process of
//! this agent watches it again.

mod fetch;
mod nested;
mod prepare;
mod provide;
mod watch;

pub(crate) use nested::Inside;
pub(crate) use provide::sweep;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use karman_rt::Tasks;
use karman_rt::time::now_ms;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admit::{self, Place, Plan, Stacked};
use crate::cgroup::Group;
use crate::core::Event;
use crate::lifecycle::{self, Ended};
use crate::process::Identity;
use crate::settings::Settings;
use crate::shim::STARTED;
use crate::shim::records::{Cause, Claim, Exit, Launch, RunDir, Running, Stored};

/// The most of a failed task's standard error that goes into its message.
const TAIL_BYTES_MAX: u64 = 1024;
const TAIL_LINES_MAX: usize = 3;

/// What a shim says for itself before it lets go of its output.
const GREETING_BYTES_MAX: u64 = 4096;

/// A container to take to its end.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) container_id: String,
    pub(crate) run: RunDir,
    pub(crate) sandbox: PathBuf,
    /// Of a task of a group.
    pub(crate) parent: Option<Parent>,
    pub(crate) group: Option<Group>,
    /// Cancelled when the container is to stop.
    pub(crate) stop: CancellationToken,
}

/// What a task of a group is inside of.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) group: String,
    pub(crate) sandbox: PathBuf,
    /// The name of its own sandbox in that of the executor.
    pub(crate) task_id: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    settings: Arc<Settings>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Driver {
    pub(crate) fn new(settings: Arc<Settings>, events: mpsc::Sender<Event>, tasks: &Tasks) -> Self {
        Self { settings, events, tasks: tasks.clone() }
    }

    /// From the beginning.
    pub(crate) fn launch(&self, job: Job, plan: Arc<Plan>) {
        let driver = self.clone();
        self.tasks.spawn("container", async move {
            let ended = driver.run(&job, &plan).await;
            driver.release(&job).await;
            driver.send(&job, lifecycle::Event::Ended(ended)).await;
        });
    }

    /// From where an earlier process of this agent left it.
    pub(crate) fn watch(&self, job: Job) {
        let driver = self.clone();
        self.tasks.spawn("container", async move {
            let ended = driver.follow(&job, None).await;
            driver.release(&job).await;
            driver.send(&job, lifecycle::Event::Ended(ended)).await;
        });
    }

    async fn run(&self, job: &Job, plan: &Arc<Plan>) -> Ended {
        if let Err(ended) = self.prepare(job, plan).await {
            return ended;
        }
        self.send(job, lifecycle::Event::Prepared).await;
        let greeting = match self.start_shim(job).await {
            Ok(greeting) => greeting,
            Err(error) => {
                let shim = self.settings.shim.display();
                return not_started(format!("cannot start {shim}: {error}"));
            }
        };
        self.follow(job, Some(greeting)).await
    }

    /// Everything that must be there before the command is.
    async fn prepare(&self, job: &Job, plan: &Arc<Plan>) -> Result<(), Ended> {
        let images = tokio::select! {
            pulled = provide::pull(self.settings.images.as_ref(), &job.container_id, plan) => {
                pulled.map_err(|error| not_started(karman_rt::chain(&error)))?
            }
            () = job.stop.cancelled() => return Err(never_started()),
        };
        // Names of users of an image need not be those of the machine.
        let user = if images.own.is_some() { None } else { plan.user.clone() };
        let (sandbox, parent) = (job.sandbox.clone(), job.parent.clone());
        let owner = user.clone();
        blocking(move || match &parent {
            None => prepare::sandbox(&sandbox, owner.as_deref()),
            Some(parent) => prepare::nested(parent, &sandbox, owner.as_deref()),
        })
        .await
        .map_err(|error| not_started(karman_rt::chain(&error)))?;
        for download in &plan.downloads {
            let user = user.as_deref();
            tokio::select! {
                fetched = fetch::fetch(&self.settings.fetcher, download, &job.sandbox, user) => {
                    fetched.map_err(|error| not_started(karman_rt::chain(&error)))?;
                }
                () = job.stop.cancelled() => return Err(never_started()),
            }
        }
        let (sandbox, links) = (job.sandbox.clone(), plan.links.clone());
        blocking(move || prepare::links(&sandbox, &links, user.as_deref()))
            .await
            .map_err(|error| not_started(karman_rt::chain(&error)))?;
        let (settings, job, plan) = (Arc::clone(&self.settings), job.clone(), Arc::clone(plan));
        blocking(move || arrange(&settings, &job, &plan, &images))
            .await
            .map_err(|error| not_started(karman_rt::chain(&error)))
    }

    /// Starts a shim and waits until it runs the command or gives up; what it
    /// said.
    async fn start_shim(&self, job: &Job) -> std::io::Result<String> {
        let (program, run) = (self.settings.shim.clone(), job.run.path().to_owned());
        let mut child = blocking(move || {
            std::process::Command::new(program)
                .arg("shim")
                .arg(run)
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        })
        .await?;
        let mut greeting = Vec::new();
        if let Some(output) = child.stdout.take() {
            let output = pipe::Receiver::from_owned_fd(output.into())?;
            output.take(GREETING_BYTES_MAX).read_to_end(&mut greeting).await?;
        }
        let greeting = String::from_utf8_lossy(&greeting).into_owned();
        if greeting != STARTED {
            // It is about to end, or another has taken the task on.
            blocking(move || child.wait()).await?;
        }
        Ok(greeting)
    }

    /// Watches the shim that has taken the task on.
    async fn follow(&self, job: &Job, greeting: Option<String>) -> Ended {
        let Some(claim) = read::<Claim>(job.run.claim()).await else { return unrecorded(greeting) };
        let Some(shim) = watch::Shim::find(claim.shim) else {
            return self.conclude(job, greeting).await;
        };
        if let Some(task) = watch::started(&job.run, &shim).await {
            self.started(job, claim.shim, task).await;
        }
        shim.ended().await;
        self.conclude(job, greeting).await
    }

    async fn started(&self, job: &Job, shim: Identity, task: Identity) {
        let event = Event::Running {
            container_id: job.container_id.clone(),
            shim_pid: shim.pid,
            task_pid: task.pid,
        };
        let _stopping = self.events.send(event).await;
        self.send(job, lifecycle::Event::Started).await;
    }

    /// The shim is gone: reads what it left, and ends what it should have.
    async fn conclude(&self, job: &Job, greeting: Option<String>) -> Ended {
        let exit = read::<Exit>(job.run.exit()).await;
        let (run, group) = (job.run.clone(), job.group.clone());
        let lost = exit.is_none();
        let cleaned = blocking(move || {
            clean(&run, group.as_ref(), lost);
            Ok::<(), std::io::Error>(())
        });
        let _panicked = cleaned.await;
        match exit {
            Some(exit) => {
                let path = job.sandbox.join("stderr");
                let stderr_tail = blocking(move || tail(&path)).await.unwrap_or_default();
                Ended::Recorded { exit, stderr_tail }
            }
            None => unrecorded(greeting),
        }
    }

    /// Takes back what only this container needed.
    async fn release(&self, job: &Job) {
        let (settings, id) = (Arc::clone(&self.settings), job.container_id.clone());
        let released = blocking(move || {
            provide::release(&settings, &id);
            Ok::<(), std::io::Error>(())
        });
        let _panicked = released.await;
    }

    async fn send(&self, job: &Job, event: lifecycle::Event) {
        let event = Event::Container { container_id: job.container_id.clone(), event };
        // Nobody hears: the agent stops, and will look again.
        let _stopping = self.events.send(event).await;
    }
}

/// Makes what belongs to the container, and writes what the shim is to do.
fn arrange(
    settings: &Settings,
    job: &Job,
    plan: &Plan,
    images: &provide::Images,
) -> Result<(), provide::Error> {
    let image = images.own.as_ref();
    let stacked = image.map(|it| Stacked { config: &it.config, layers: &it.layers });
    let user = admit::user_name(plan, stacked.as_ref());
    let owner = provide::owner(user.as_deref(), image)?;
    let files = settings.files(&job.container_id);
    if let Some(image) = image {
        provide::files(&files, image)?;
    }
    let parent = job.parent.as_ref().map(|parent| parent.sandbox.as_path());
    provide::folders(&job.sandbox, parent, plan, owner)?;
    let secrets = settings.secrets(&job.container_id);
    let secrets = provide::write_secrets(&secrets, plan, owner)?;
    if let Some(owner) = owner {
        provide::give(&job.sandbox, owner)?;
    }
    let place = Place {
        root: settings.root,
        sandbox: &job.sandbox,
        parent,
        files: &files,
        hidden: &settings.hidden,
        group: job.group.as_ref(),
        secrets: &secrets,
        images: &images.volumes,
    };
    let launch = Launch {
        spec: admit::compose(plan, &place, stacked.as_ref())?,
        sandbox: job.sandbox.clone(),
        grace_ms: plan.grace_ms,
        completion_ms_max: plan.completion_ms_max,
        attach: None,
    };
    // Not synced: after a crash of the machine it is not read.
    let bytes = serde_json::to_vec(&Stored::V1(launch)).map_err(std::io::Error::from)?;
    fs::write(job.run.launch(), bytes).map_err(provide::Error::Launch)
}

/// After a shim that left no record its task may still run; after any, its
/// control group may still be there.
fn clean(run: &RunDir, group: Option<&Group>, lost: bool) {
    use rustix::process::Signal;
    if lost {
        let bytes = fs::read(run.running()).unwrap_or_default();
        if let Ok(Stored::V1(Running { task, init: _ })) = serde_json::from_slice(&bytes)
            && task.exists()
        {
            crate::process::signal_group(task.pid, Signal::KILL);
        }
        for number in group.map(Group::processes).unwrap_or_default() {
            crate::process::signal(number, Signal::KILL);
        }
    }
    if let Some(group) = group {
        group.remove();
    }
}

fn not_started(reason: String) -> Ended {
    recorded(Cause::NotStarted(reason))
}

fn never_started() -> Ended {
    recorded(Cause::NeverStarted)
}

fn recorded(cause: Cause) -> Ended {
    let exit = Exit {
        cause,
        out_of_memory: false,
        out_of_time: false,
        memory_peak_bytes: None,
        finished_ms: now_ms(),
    };
    Ended::Recorded { exit, stderr_tail: String::new() }
}

fn unrecorded(greeting: Option<String>) -> Ended {
    let said = greeting.filter(|greeting| greeting != STARTED).unwrap_or_default();
    let reason = match said.trim() {
        "" => "The shim of the task is gone; how the task ended is not known".to_owned(),
        said => format!("The shim of the task failed: {said}"),
    };
    Ended::Unrecorded { reason }
}

/// The last lines of a file.
fn tail(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    let read = file.read_at(&mut bytes, start)?;
    bytes.truncate(read);
    let text = String::from_utf8_lossy(&bytes);
    // The first line of a cut is not whole.
    let text =
        if start > 0 { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES_MAX);
    Ok(lines.get(from..).unwrap_or_default().join("\n"))
}

async fn read<T: serde::de::DeserializeOwned + Send + 'static>(path: PathBuf) -> Option<T> {
    blocking(move || {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok::<T, std::io::Error>(serde_json::from_slice::<Stored<T>>(&bytes)?.newest())
    })
    .await
    .ok()
}

/// Runs what touches the disk beside the asynchronous tasks.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<std::io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stderr");
        fs::write(&path, "a\nb\n\nc\nd\n").unwrap();
        assert_eq!(tail(&path).unwrap(), "b\nc\nd");
        fs::write(&path, format!("{}\nlast\n", "x".repeat(5000))).unwrap();
        assert_eq!(tail(&path).unwrap(), "last");
        fs::write(&path, "").unwrap();
        assert_eq!(tail(&path).unwrap(), "");
    }
}
