//! Waiting for deployments.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::failure::{Failure, Kind};
use crate::format::document::{list, text};
use crate::format::{app, deployment, queue, time};
use crate::output::progress;
use crate::session::{Session, id_path};

/// Deployments are polled: first quickly, because most are short.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// Return once it is done
    #[arg(long)]
    pub wait: bool,
    /// With --wait: give up after this time
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time::parse_duration)]
    pub timeout: Duration,
}

/// Returns when a deployment is no longer running.
pub async fn until_gone(session: &Session, id: &str, limit: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = PAUSE_MIN;
    let mut shown = String::new();
    loop {
        let running = session.get_marathon("/v2/deployments").await?;
        let Some(found) = list(&running, "").iter().find(|running| text(running, "/id") == id)
        else {
            return Ok(());
        };
        let line = deployment::line(found);
        if line != shown {
            progress(&line);
            shown = line;
        }
        if started.elapsed() >= limit {
            return Err(Failure::new(
                Kind::TimedOut,
                format!("deployment {id} is not done after {} ({shown})", shown_duration(limit)),
            ));
        }
        tokio::time::sleep(pause.min(limit.saturating_sub(started.elapsed()))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits for the deployments that an answer names and gives the app as it is
/// afterwards; it is `None` where the app is gone.
pub async fn for_app(
    session: &Session,
    app_id: &str,
    answer: &Value,
    limit: Duration,
) -> Result<Option<Value>, Failure> {
    for id in deployments_in(answer) {
        if let Err(failure) = until_gone(session, &id, limit).await {
            return Err(if failure.kind == Kind::TimedOut {
                why(session, app_id, failure).await
            } else {
                failure
            });
        }
    }
    match session.get_marathon(&format!("/v2/apps/{}", id_path(app_id))).await {
        Ok(document) => Ok(Some(document["app"].clone())),
        Err(failure) if failure.kind == Kind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Like [`for_app`], and fails where the app did not reach its goal.
pub async fn for_running(
    session: &Session,
    app_id: &str,
    answer: &Value,
    limit: Duration,
) -> Result<Value, Failure> {
    let Some(found) = for_app(session, app_id, answer, limit).await? else {
        return Err(Failure::new(
            Kind::Failed,
            format!("{app_id} was removed while it was deployed"),
        )
        .remedy("see what runs: karman deployment list"));
    };
    if app::reached_goal(&found) {
        return Ok(found);
    }
    let failure = Failure::new(
        Kind::Failed,
        format!("the deployment of {app_id} ended before its goal: {}", app::state(&found)),
    );
    Err(why(session, app_id, failure).await)
}

/// Fails where a deployment that is gone did not end at its goal: it may have
/// been stopped, undone or replaced by another one.
pub async fn for_goals(session: &Session, deployment: &Value) -> Result<(), Failure> {
    let removed = deployment::removed(deployment);
    for app_id in list(deployment, "/affectedApps").iter().filter_map(Value::as_str) {
        let path = format!("/v2/apps/{}", id_path(app_id));
        let app = match session.get_marathon(&path).await {
            Ok(document) => Some(document["app"].clone()),
            Err(failure) if failure.kind == Kind::NotFound => None,
            Err(failure) => return Err(failure),
        };
        let problem = match app {
            None if removed.contains(&app_id) => continue,
            None => format!("{app_id} was removed"),
            Some(_) if removed.contains(&app_id) => format!("{app_id} is still there"),
            Some(app) if text(&app, "/version") != text(deployment, "/version") => {
                format!("{app_id} was changed again or changed back")
            }
            Some(app) if app::outdated(&app) > 0 => {
                format!("{app_id} still has {} of its old instances", app::outdated(&app))
            }
            Some(app) if app::reached_goal(&app) => continue,
            Some(app) => format!("{app_id} has {}", app::state(&app)),
        };
        let id = text(deployment, "/id");
        let message = format!("deployment {id} ended, but not at its goal: {problem}");
        let failure = Failure::new(Kind::Failed, message);
        return Err(failure.remedy(format!("see: karman app show {app_id}")));
    }
    Ok(())
}

/// The deployments that an answer of Marathon started.
pub fn deployments_in(answer: &Value) -> Vec<String> {
    match text(answer, "/deploymentId") {
        "" => app::deployment_ids(answer),
        id => vec![id.to_owned()],
    }
}

/// Adds what is known about the cause, so that nobody has to search for it.
async fn why(session: &Session, app_id: &str, failure: Failure) -> Failure {
    let mut details = Vec::new();
    if let Ok(waiting) = session.get_marathon("/v2/queue").await
        && let Some(item) = queue::item(&waiting, app_id)
    {
        details.push(format!("pending: {}", queue::reason(item)));
    }
    if let Ok(document) = session.get_marathon(&format!("/v2/apps/{}", id_path(app_id))).await
        && let Some(last) = app::last_failure(&document["app"], crate::session::now_ms())
    {
        details.push(format!("last failure: {last}"));
    }
    failure.remedy(format!("see: karman marathon debug summary {app_id}")).details(details)
}

fn shown_duration(limit: Duration) -> String {
    time::duration(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX))
}
