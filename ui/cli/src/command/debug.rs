//! `karman marathon debug`: why something is pending.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Remedy as _};
use crate::format::document::list_document;
use crate::format::queue;
use crate::output::{Answer, Outcome};
use crate::session::{Session, absolute, id_path, now_ms};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what waits to be launched, and the main reason
    #[command(visible_alias = "ls")]
    List,
    /// Say why one app is pending
    Summary { id: String },
    /// Show the last offers that an app could not use
    Details { id: String },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List => {
            let waiting = session.get_marathon("/v2/queue").await?;
            let table = queue::items(&waiting, now_ms());
            Ok(Answer::new(list_document(&waiting, "/queue"), table))
        }
        Command::Summary { id } => summary(session, &id).await,
        Command::Details { id } => details(session, &id).await,
    }
}

async fn waiting(session: &Session) -> Result<Value, Failure> {
    let call = Session::marathon(Method::GET, "/v2/queue").query("embed", "lastUnusedOffers");
    session.client.json(call).await
}

async fn summary(session: &Session, id: &str) -> Outcome {
    let path = format!("/v2/apps/{}", id_path(id));
    let (app, waiting) = tokio::try_join!(session.get_marathon(&path), waiting(session))
        .remedy_for(Kind::NotFound, "see the apps with: karman app list")?;
    let item = queue::item(&waiting, &absolute(id));
    let text = queue::summary(&app["app"], item, now_ms());
    let document = json!({
        "id": absolute(id),
        "pending": item.is_some(),
        "reason": item.map(queue::reason),
        "lastTaskFailure": app["app"]["lastTaskFailure"],
        "queue": item,
    });
    Ok(Answer::new(document, text))
}

async fn details(session: &Session, id: &str) -> Outcome {
    let waiting = waiting(session).await?;
    let Some(item) = queue::item(&waiting, &absolute(id)) else {
        return Err(Failure::new(
            Kind::NotFound,
            format!("nothing of {} waits to be launched", absolute(id)),
        )
        .remedy("see what waits: karman marathon debug list"));
    };
    let text = queue::details(item, now_ms());
    Ok(Answer::new(item.clone(), text))
}
