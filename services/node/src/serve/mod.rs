//! Roles of one machine of a cluster: read what the cluster is and what this
//! machine is, bind, start, wait for the signal, stop.
//!
//! All roles of the command line run in this process; the units of a machine
//! run one each.

pub mod machine;
mod roles;
mod sockets;
mod stores;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use karman_rt::config::Mistake;
use karman_rt::tasks::Failed;
use karman_rt::{Tasks, notify, signal};
use tracing::{info, warn};

use self::machine::Machine;
use crate::args::{self, Role};
use crate::config::{self, Settings};

/// How long the roles may take to finish what they are doing.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Why the roles did not start, or stopped by themselves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("cannot read {}; check its path and permissions", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} must be corrected: {}", path.display(), config::list(mistakes))]
    Mistakes { path: PathBuf, mistakes: Vec<Mistake> },
    #[error(transparent)]
    Role(#[from] roles::Error),
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// What is to be run, with every mistake of both files found.
pub fn load(args: &args::Serve) -> Result<(Settings, Machine), Error> {
    let settings = config::load_cluster(args)?;
    let machine = read(&args.node)?;
    let (machine, mut mistakes) = machine::parse(&machine);
    if let Some(machine) = &machine {
        for role in args.roles.iter().filter(|role| !role.belongs_on(machine.kind)) {
            let problem = format!("is not the one of a machine that runs '{}'", role.name());
            mistakes.push(Mistake { path: "role".to_owned(), problem });
        }
    }
    match machine {
        Some(machine) if mistakes.is_empty() => Ok((settings, machine)),
        _ => Err(Error::Mistakes { path: args.node.clone(), mistakes }),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Runs until a signal or a failure.
pub async fn run(roles: &[Role], settings: Settings, machine: Machine) -> Result<ExitCode, Error> {
    let tasks = Tasks::new();
    let ended = tokio::select! {
        biased;
        () = tasks.cancelled() => {
            warn!("stopping after a failure");
            Ok(())
        }
        signal = signal::stop() => {
            info!(signal = signal.map_err(Error::Signal)?, "stopping");
            Ok(())
        }
        Err(failed) = roles::run(roles, settings, machine, &tasks) => Err(failed),
    };
    notify::stopping();
    tasks.shutdown(STOP_GRACE).await?;
    ended?;
    Ok(ExitCode::SUCCESS)
}
