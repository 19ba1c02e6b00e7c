//! `karman deployment`: changes under way.

use std::time::Duration;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::wait;
use crate::failure::{Failure, Kind, Remedy as _};
use crate::format::deployment as show;
use crate::format::document::{list as list_at, text};
use crate::format::time;
use crate::output::{Answer, Outcome};
use crate::session::{Session, absolute, segment};

const UNKNOWN: &str = "see what runs: karman deployment list";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List running deployments
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this app
        app: Option<String>,
        /// Print only ids
        #[arg(short, long)]
        quiet: bool,
    },
    /// Undo a running deployment
    Rollback { id: String },
    /// Stop a deployment where it is
    Stop { id: String },
    /// Follow a deployment until it ends
    Watch {
        id: String,
        /// Give up after this time
        #[arg(long, value_name = "TIME", default_value = "30m", value_parser = time::parse_duration)]
        timeout: Duration,
    },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List { app, quiet } => list(session, app.as_deref(), quiet).await,
        Command::Rollback { id } => {
            let answer = cancel(session, &id, false).await?;
            let text = match wait::deployments_in(&answer).first() {
                Some(new) => format!(
                    "deployment {id} is undone by deployment {new}\nwatch it with: karman deployment watch {new}\n"
                ),
                None => format!("deployment {id} is undone\n"),
            };
            Ok(Answer::new(answer, text))
        }
        Command::Stop { id } => {
            cancel(session, &id, true).await?;
            Ok(Answer::new(
                json!({ "stopped": id }),
                format!("deployment {id} is stopped; the apps stay as they are now\n"),
            ))
        }
        Command::Watch { id, timeout } => watch(session, &id, timeout).await,
    }
}

async fn list(session: &Session, app: Option<&str>, quiet: bool) -> Outcome {
    let running = session.get_marathon("/v2/deployments").await?;
    let wanted = app.map(absolute);
    let chosen: Vec<Value> = list_at(&running, "")
        .iter()
        .filter(|deployment| {
            wanted.as_ref().is_none_or(|app| show::affected(deployment).contains(app))
        })
        .cloned()
        .collect();
    if quiet {
        let ids: Vec<&str> = chosen.iter().map(|deployment| text(deployment, "/id")).collect();
        return Ok(Answer::new(
            json!(ids),
            ids.iter().map(|id| format!("{id}\n")).collect::<String>(),
        ));
    }
    let table = show::deployments(&chosen);
    Ok(Answer::new(Value::Array(chosen), table))
}

async fn cancel(session: &Session, id: &str, force: bool) -> Result<Value, Failure> {
    let call = Session::marathon(Method::DELETE, &format!("/v2/deployments/{}", segment(id)))
        .flag("force", force);
    session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)
}

async fn watch(session: &Session, id: &str, timeout: Duration) -> Outcome {
    let running = session.get_marathon("/v2/deployments").await?;
    let found = list_at(&running, "").iter().find(|deployment| text(deployment, "/id") == id);
    let Some(watched) = found else {
        return Err(Failure::new(
            Kind::NotFound,
            format!("no deployment {id} is running; it may be done"),
        )
        .remedy(UNKNOWN));
    };
    wait::until_gone(session, id, timeout).await?;
    wait::for_goals(session, watched).await?;
    Ok(Answer::new(json!({ "ended": id }), format!("deployment {id} has ended\n")))
}
