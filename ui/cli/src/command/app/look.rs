//! `karman app list`, `show` and `version list`.

use serde_json::{Value, json};

use super::{UNKNOWN, get};
use crate::failure::{Kind, Remedy as _};
use crate::format;
use crate::format::document::{list as list_at, list_document, plain, text};
use crate::output::{Answer, Outcome};
use crate::session::{Session, id_path, now_ms, segment};

pub async fn list(session: &Session, quiet: bool) -> Outcome {
    if quiet {
        let apps = list_document(&session.get_marathon("/v2/apps").await?, "/apps");
        let ids: Vec<&str> = list_at(&apps, "").iter().map(|app| text(app, "/id")).collect();
        let lines = ids.iter().map(|id| format!("{id}\n")).collect::<String>();
        return Ok(Answer::new(json!(ids), lines));
    }
    let (apps, queue) =
        tokio::try_join!(session.get_marathon("/v2/apps"), session.get_marathon("/v2/queue"))?;
    let apps = list_document(&apps, "/apps");
    let shown = format::app::apps(list_at(&apps, ""), &queue);
    Ok(Answer::new(apps, shown))
}

pub async fn show(session: &Session, id: &str, version: Option<&str>) -> Outcome {
    let app = match version {
        None => get(session, id).await?,
        Some(version) => session
            .get_marathon(&format!("/v2/apps/{}/versions/{}", id_path(id), segment(version)))
            .await
            .remedy_for(Kind::NotFound, "see the versions with: karman app version list ID")?,
    };
    // An earlier version has no tasks, only a definition.
    let shown =
        if version.is_some() { format!("{app:#}\n") } else { format::app::app(&app, now_ms()) };
    Ok(Answer::new(app, shown))
}

pub async fn versions(session: &Session, id: &str, max_count: Option<usize>) -> Outcome {
    let document = session
        .get_marathon(&format!("/v2/apps/{}/versions", id_path(id)))
        .await
        .remedy_for(Kind::NotFound, UNKNOWN)?;
    let mut versions: Vec<Value> = list_at(&document, "/versions").to_vec();
    versions.sort_by_key(|version| std::cmp::Reverse(plain(version)));
    versions.truncate(max_count.unwrap_or(usize::MAX));
    let lines = versions.iter().map(|version| format!("{}\n", plain(version))).collect::<String>();
    Ok(Answer::new(Value::Array(versions), lines))
}
