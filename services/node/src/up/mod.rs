//! A whole datacenter in one process: start in order, say so, wait for the
//! signal, stop.

mod listeners;
mod ready;
mod roles;
mod teardown;

use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use karman_rt::tasks::Failed;
use karman_rt::{Tasks, signal};
use tracing::{info, warn};

use crate::args::Output;
use crate::config::Settings;
use crate::data_dir::{self, DataDir};

/// How long each of the two groups may take to finish what it is doing.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The exit code of a process that was interrupted, as shells count it.
const INTERRUPTED: u8 = 130;

/// Why the datacenter did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error(transparent)]
    Listen(#[from] listeners::Error),
    #[error(transparent)]
    Role(#[from] roles::Error),
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// The tasks of the roles. They stop against the order of their start: nobody
/// shall see the master go away, and report it, because all are stopping.
#[derive(Debug, Default)]
struct Groups {
    master: Tasks,
    others: Tasks,
}

impl Groups {
    /// Resolves once one of them was asked to stop, or failed.
    async fn cancelled(&self) {
        tokio::select! {
            () = self.master.cancelled() => {}
            () = self.others.cancelled() => {}
        }
    }

    async fn shutdown(&self) -> Result<(), Failed> {
        let others = self.others.shutdown(STOP_GRACE).await;
        let master = self.master.shutdown(STOP_GRACE).await;
        others.and(master)
    }
}

/// Runs until a signal or a failure.
pub async fn run(settings: Settings, output: Output) -> Result<ExitCode, Error> {
    let begun = Instant::now();
    let groups = Groups::default();
    let mut stop = pin!(signal::stop());
    let data_dir = open_data_dir(&settings)?;
    let started = tokio::select! {
        started = start(&settings, &data_dir, &groups) => started,
        signal = &mut stop => {
            info!(signal = signal.map_err(Error::Signal)?, "stopped during the start");
            return finish(&groups, &data_dir).await;
        }
        () = groups.cancelled() => return finish(&groups, &data_dir).await,
    };
    // After a failed start the process ends as it is: everything is made for
    // that, and waiting would only delay the message.
    let summary = started?;
    ready::announce(&summary, output, begun.elapsed()).map_err(Error::Output)?;
    tokio::select! {
        signal = &mut stop => info!(signal = signal.map_err(Error::Signal)?, "stopping"),
        () = groups.cancelled() => warn!("stopping after a failure"),
    }
    tokio::select! {
        finished = finish(&groups, &data_dir) => finished,
        _second = signal::stop() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn open_data_dir(settings: &Settings) -> Result<DataDir, data_dir::Error> {
    match &settings.data_dir {
        Some(path) => DataDir::open(path),
        None if settings.ephemeral => DataDir::temporary(),
        None => {
            let var = |name: &str| std::env::var_os(name).map(Into::into);
            DataDir::open(&data_dir::default_path(nix::unistd::geteuid().is_root(), var)?)
        }
    }
}

async fn start(
    settings: &Settings,
    data_dir: &DataDir,
    groups: &Groups,
) -> Result<ready::Summary, Error> {
    let listeners = listeners::bind(&settings.ports, settings.agents).await?;
    let summary = ready::Summary::new(&listeners.urls, data_dir);
    roles::start(settings, data_dir, listeners, groups).await?;
    Ok(summary)
}

/// Stops all roles. Tasks go on under their shims, and the next start on the
/// same data folder finds them; nothing may outlive a temporary folder.
async fn finish(groups: &Groups, data_dir: &DataDir) -> Result<ExitCode, Error> {
    let stopped = groups.shutdown().await;
    if data_dir.is_temporary() {
        teardown::processes(data_dir.path()).await;
    }
    stopped?;
    Ok(ExitCode::SUCCESS)
}
