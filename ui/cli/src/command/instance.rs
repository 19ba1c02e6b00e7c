//! `karman marathon task`: the tasks of apps, as Marathon knows them.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Remedy as _};
use crate::format;
use crate::format::count;
use crate::format::document::{list as list_at, list_document, text};
use crate::output::{Answer, Outcome};
use crate::session::{Session, id_path, now_ms};

const UNKNOWN: &str = "see the tasks with: karman marathon task list";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List tasks
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this app
        app: Option<String>,
        /// Print only ids
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a task
    Show { id: String },
    /// Kill a task; a new one takes its place
    Stop {
        id: String,
        /// Also give up its reservations and volumes
        #[arg(long)]
        wipe: bool,
    },
    /// Kill several tasks
    Kill {
        #[arg(required = true)]
        ids: Vec<String>,
        /// Lower the number of instances by those killed
        #[arg(long, conflicts_with = "wipe")]
        scale: bool,
        /// Also give up their reservations and volumes
        #[arg(long)]
        wipe: bool,
    },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List { app, quiet } => list(session, app.as_deref(), quiet).await,
        Command::Show { id } => {
            let task = find(session, &id).await?;
            let shown = format::app::task(&task, now_ms());
            Ok(Answer::new(task, shown))
        }
        Command::Stop { id, wipe } => {
            let task = find(session, &id).await?;
            let id = text(&task, "/id").to_owned();
            kill(session, vec![id.clone()], false, wipe).await?;
            Ok(Answer::new(task, format!("task {id} is killed\n")))
        }
        Command::Kill { ids, scale, wipe } => {
            let number = ids.len() as u64;
            let answer = kill(session, ids, scale, wipe).await?;
            Ok(Answer::new(answer, format!("{} killed\n", count(number, "task"))))
        }
    }
}

async fn list(session: &Session, app: Option<&str>, quiet: bool) -> Outcome {
    let path = match app {
        Some(app) => format!("/v2/apps/{}/tasks", id_path(app)),
        None => "/v2/tasks".to_owned(),
    };
    let answer = session
        .get_marathon(&path)
        .await
        .remedy_for(Kind::NotFound, "see the apps with: karman app list")?;
    let tasks = list_document(&answer, "/tasks");
    if quiet {
        let ids: Vec<&str> = list_at(&tasks, "").iter().map(|task| text(task, "/id")).collect();
        return Ok(Answer::new(
            json!(ids),
            ids.iter().map(|id| format!("{id}\n")).collect::<String>(),
        ));
    }
    let table = format::app::tasks(list_at(&tasks, ""), now_ms());
    Ok(Answer::new(tasks, table))
}

async fn find(session: &Session, id: &str) -> Result<Value, Failure> {
    let answer = session.get_marathon("/v2/tasks").await?;
    list_at(&answer, "/tasks").iter().find(|task| text(task, "/id") == id).cloned().ok_or_else(
        || Failure::new(Kind::NotFound, format!("task '{id}' does not exist")).remedy(UNKNOWN),
    )
}

async fn kill(
    session: &Session,
    ids: Vec<String>,
    scale: bool,
    wipe: bool,
) -> Result<Value, Failure> {
    let call = Session::marathon(Method::POST, "/v2/tasks/delete")
        .flag("scale", scale)
        .flag("wipe", wipe)
        .body(json!({ "ids": ids }));
    session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)
}
