//! `karman app`: services that are kept running.

pub mod add;
pub mod change;
pub mod look;
pub mod update;

use clap::Subcommand;
use serde_json::Value;

use super::wait::{self, Wait};
use crate::failure::{Failure, Kind, Remedy as _};
use crate::format;
use crate::output::{Answer, Outcome};
use crate::session::{Session, id_path};

const UNKNOWN: &str = "see the apps with: karman app list";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an app from a JSON definition
    Add {
        /// A file, a URL, or - for stdin
        #[arg(value_name = "FILE")]
        source: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the apps
    #[command(visible_alias = "ls")]
    List {
        /// Print only ids
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show an app and its tasks
    Show {
        id: String,
        /// Show this earlier version
        #[arg(long, value_name = "VERSION")]
        app_version: Option<String>,
    },
    /// Change an app: NAME=VALUE..., or JSON on stdin
    #[command(after_help = update::EXAMPLES)]
    Update {
        id: String,
        /// What to change; a dot reaches into an object
        #[arg(value_name = "NAME=VALUE")]
        changes: Vec<String>,
        /// Read the change from a file or URL
        #[arg(long, value_name = "FILE", conflicts_with = "changes")]
        file: Option<String>,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Remove an app and stop its tasks
    #[command(visible_alias = "rm")]
    Remove {
        id: String,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Replace all tasks of an app by new ones
    Restart {
        id: String,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Set the number of instances
    Scale {
        id: String,
        instances: u32,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Start a stopped app
    Start {
        id: String,
        #[arg(default_value_t = 1)]
        instances: u32,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stop all instances; the definition stays
    Stop {
        id: String,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Kill the tasks of an app; new ones take their place
    Kill {
        id: String,
        /// Only the tasks on this host
        #[arg(long)]
        host: Option<String>,
        /// Lower the number of instances by those killed
        #[arg(long)]
        scale: bool,
        /// Override a deployment that holds the app
        #[arg(long)]
        force: bool,
    },
    /// Earlier versions of an app
    #[command(subcommand)]
    Version(Version),
}

#[derive(Debug, Subcommand)]
pub enum Version {
    /// List the versions of an app, newest first
    List {
        id: String,
        /// Print at most this many
        #[arg(long, value_name = "NUMBER")]
        max_count: Option<usize>,
    },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::Add { source, wait } => add::run(session, source.as_deref(), &wait).await,
        Command::List { quiet } => look::list(session, quiet).await,
        Command::Show { id, app_version } => look::show(session, &id, app_version.as_deref()).await,
        Command::Update { id, changes, file, force, wait } => {
            update::run(session, &id, &changes, file.as_deref(), force, &wait).await
        }
        Command::Remove { id, force, wait } => change::remove(session, &id, force, &wait).await,
        Command::Restart { id, force, wait } => change::restart(session, &id, force, &wait).await,
        Command::Scale { id, instances, force, wait }
        | Command::Start { id, instances, force, wait } => {
            change::scale(session, &id, instances, force, &wait).await
        }
        Command::Stop { id, force, wait } => change::scale(session, &id, 0, force, &wait).await,
        Command::Kill { id, host, scale, force } => {
            change::kill(session, &id, host.as_deref(), scale, force).await
        }
        Command::Version(Version::List { id, max_count }) => {
            look::versions(session, &id, max_count).await
        }
    }
}

/// An app with its tasks and deployments.
async fn get(session: &Session, id: &str) -> Result<Value, Failure> {
    let document = session
        .get_marathon(&format!("/v2/apps/{}", id_path(id)))
        .await
        .remedy_for(Kind::NotFound, UNKNOWN)?;
    Ok(document["app"].clone())
}

/// The answer to a change: what was started or, where waited for, its result.
async fn started(session: &Session, id: &str, what: &str, answer: Value, wait: &Wait) -> Outcome {
    if wait.wait {
        let found = wait::for_running(session, id, &answer, wait.timeout).await?;
        let text = format!("{id} {what}: {}\n", format::app::state(&found));
        return Ok(Answer::new(found, text));
    }
    let text = under_way(id, what, &answer);
    Ok(Answer::new(answer, text))
}

fn under_way(id: &str, what: &str, answer: &Value) -> String {
    match wait::deployments_in(answer).first() {
        Some(deployment) => {
            format!(
                "{id} {what}; deployment {deployment} is under way\nwatch it with: karman deployment watch {deployment}\n"
            )
        }
        None => format!("{id} {what}\n"),
    }
}
