//! `karman task`: the tasks of all services, their logs and files.

pub mod download;
pub mod exec;
pub mod log;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::sandbox::Sandbox;
use crate::failure::{Failure, Kind};
use crate::format::document::text;
use crate::format::task::{self, Which};
use crate::output::{Answer, Outcome};
use crate::session::{Session, now_ms};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List tasks
    List {
        /// Only those whose id or name contains this; * stands for anything
        filter: Option<String>,
        /// Also those that have ended
        #[arg(long, conflicts_with = "completed")]
        all: bool,
        /// Only those that have ended
        #[arg(long)]
        completed: bool,
        /// Only those on this agent
        #[arg(long, value_name = "ID")]
        agent_id: Option<String>,
        /// Print only ids
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print the end of a task's log
    Log {
        /// Id or name of the task, or a part of it
        task: String,
        /// The file to print
        #[arg(default_value = "stdout")]
        file: String,
        /// Keep printing what is added
        #[arg(short, long)]
        follow: bool,
        /// Start this many lines before the end
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10)]
        lines: usize,
        /// Also look among the tasks that have ended, where several match
        #[arg(long, conflicts_with = "completed")]
        all: bool,
        /// Only look among the tasks that have ended
        #[arg(long)]
        completed: bool,
    },
    /// Run a command inside of a task
    Exec {
        /// Id or name of the task, or a part of it
        task: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
        /// Pass on what is typed
        #[arg(short, long)]
        interactive: bool,
        /// Give it a terminal
        #[arg(short, long)]
        tty: bool,
        /// Run it as this user
        #[arg(short, long)]
        user: Option<String>,
    },
    /// Look at a task with a terminal and type into it; Ctrl-P Ctrl-Q leaves it
    Attach {
        /// Id or name of the task, or a part of it
        task: String,
        /// Only look
        #[arg(long)]
        no_stdin: bool,
    },
    /// List the files in a task's sandbox
    Ls {
        /// Id or name of the task, or a part of it
        task: String,
        /// A folder in the sandbox
        #[arg(default_value = "")]
        path: String,
        /// Show size, owner and time
        #[arg(short, long)]
        long: bool,
    },
    /// Download files from a task's sandbox
    Download {
        /// Id or name of the task, or a part of it
        task: String,
        /// A file or folder in the sandbox; all of it if left out
        #[arg(default_value = "")]
        path: String,
        /// Where to put them
        #[arg(long, value_name = "DIR", default_value = ".")]
        target_dir: PathBuf,
    },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List { filter, all, completed, agent_id, quiet } => {
            list(session, filter.as_deref(), which(all, completed), agent_id.as_deref(), quiet)
                .await
        }
        Command::Log { task, file, follow, lines, all, completed } => {
            let which = if all || completed { Some(which(all, completed)) } else { None };
            let tasks = find(session, &task, which).await?;
            log::run(session, &tasks, &log::Wanted { file, lines, follow }).await
        }
        Command::Exec { task, command, interactive, tty, user } => {
            let task = find_one(session, &task).await?;
            let wanted = exec::Wanted { command, interactive, tty, user };
            exec::exec(session, &task, wanted).await
        }
        Command::Attach { task, no_stdin } => {
            let task = find_one(session, &task).await?;
            exec::attach(session, &task, !no_stdin).await
        }
        Command::Ls { task, path, long } => ls(session, &task, &path, long).await,
        Command::Download { task, path, target_dir } => {
            let task = find_one(session, &task).await?;
            download::run(session, &task, &path, &target_dir).await
        }
    }
}

fn which(all: bool, completed: bool) -> Which {
    match (all, completed) {
        (true, _) => Which::All,
        (false, true) => Which::Completed,
        (false, false) => Which::Active,
    }
}

async fn list(
    session: &Session,
    filter: Option<&str>,
    which: Which,
    agent_id: Option<&str>,
    quiet: bool,
) -> Outcome {
    let state = session.client.get("/mesos/master/state").await?;
    let mut tasks = task::all(&state, which);
    if let Some(filter) = filter {
        tasks = task::matching(tasks, filter);
    }
    if let Some(agent) = agent_id {
        tasks.retain(|task| text(task, "/slave_id") == agent);
    }
    if quiet {
        let ids: Vec<&str> = tasks.iter().map(|task| text(task, "/id")).collect();
        return Ok(Answer::new(
            json!(ids),
            ids.iter().map(|id| format!("{id}\n")).collect::<String>(),
        ));
    }
    let table = task::table_of(&tasks, &state, now_ms());
    Ok(Answer::new(Value::Array(tasks), table))
}

/// The tasks that a word means: running ones, else ended ones, unless `which`
/// says where to look.
async fn find(session: &Session, word: &str, which: Option<Which>) -> Result<Vec<Value>, Failure> {
    let state = session.client.get("/mesos/master/state").await?;
    let order: &[Which] = match &which {
        Some(which) => std::slice::from_ref(which),
        None => &[Which::Active, Which::Completed],
    };
    for which in order {
        let found = task::matching(task::all(&state, *which), word);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Failure::new(Kind::NotFound, format!("no task matches '{word}'"))
        .remedy("see the tasks with: karman task list --all"))
}

/// The one task that a word means; of several that have ended, the last.
async fn find_one(session: &Session, word: &str) -> Result<Value, Failure> {
    let mut found = find(session, word, None).await?;
    if found.len() > 1 && !found.iter().all(task::ended) {
        return Err(several(&found, word));
    }
    Ok(found.swap_remove(0))
}

fn several(found: &[Value], word: &str) -> Failure {
    Failure::usage(format!("{} tasks match '{word}'", found.len()))
        .remedy("name one of them by its id")
        .details(found.iter().map(|task| text(task, "/id").to_owned()).collect())
}

async fn ls(session: &Session, word: &str, path: &str, long: bool) -> Outcome {
    let found = find_one(session, word).await?;
    let sandbox = Sandbox::find(session, &task::place(&found)).await?;
    let folder = sandbox.path(path);
    let files = sandbox.browse(&folder).await?;
    let lines = task::files(&files, &folder, long);
    Ok(Answer::new(Value::Array(files), lines))
}
