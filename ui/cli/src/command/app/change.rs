//! `karman app scale`, `start`, `stop`, `restart`, `kill` and `remove`.

use reqwest::Method;
use serde_json::json;

use super::super::wait::{self, Wait};
use super::{UNKNOWN, get, started, under_way, update};
use crate::failure::{Failure, Kind, Remedy as _};
use crate::format::count;
use crate::format::document::{list, list_document};
use crate::output::{Answer, Outcome};
use crate::session::{Session, absolute, id_path};

pub async fn scale(
    session: &Session,
    id: &str,
    instances: u32,
    force: bool,
    wait: &Wait,
) -> Outcome {
    // A change to an app that does not exist would create one.
    get(session, id).await?;
    let answer = update::put(session, id, json!({ "instances": instances }), force).await?;
    let what = format!("scaled to {}", count(u64::from(instances), "instance"));
    started(session, &absolute(id), &what, answer, wait).await
}

pub async fn restart(session: &Session, id: &str, force: bool, wait: &Wait) -> Outcome {
    let path = format!("/v2/apps/{}/restart", id_path(id));
    let call = Session::marathon(Method::POST, &path).flag("force", force).body(json!({}));
    let answer = session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)?;
    started(session, &absolute(id), "restarted", answer, wait).await
}

pub async fn remove(session: &Session, id: &str, force: bool, wait: &Wait) -> Outcome {
    // Servers override a lock unless they are told not to.
    let call = Session::marathon(Method::DELETE, &format!("/v2/apps/{}", id_path(id)))
        .query("force", force.to_string());
    let answer = session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)?;
    let id = absolute(id);
    if wait.wait {
        if wait::for_app(session, &id, &answer, wait.timeout).await?.is_some() {
            return Err(Failure::new(
                Kind::Failed,
                format!("{id} is still there after its removal ended"),
            )
            .remedy("see what runs: karman deployment list"));
        }
        return Ok(Answer::new(answer, format!("{id} is removed\n")));
    }
    let text = under_way(&id, "is being removed", &answer);
    Ok(Answer::new(answer, text))
}

pub async fn kill(
    session: &Session,
    id: &str,
    host: Option<&str>,
    scale: bool,
    force: bool,
) -> Outcome {
    let path = format!("/v2/apps/{}/tasks", id_path(id));
    let mut call =
        Session::marathon(Method::DELETE, &path).flag("scale", scale).flag("force", force);
    if let Some(host) = host {
        call = call.query("host", host);
    }
    let answer = session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)?;
    let id = absolute(id);
    if scale {
        let text = under_way(&id, "is scaled down", &answer);
        return Ok(Answer::new(answer, text));
    }
    let killed = list_document(&answer, "/tasks");
    let text = format!("{id}: {} killed\n", count(list(&killed, "").len() as u64, "task"));
    Ok(Answer::new(killed, text))
}
