//! `karman app update`.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::wait::Wait;
use super::{UNKNOWN, get, started};
use crate::failure::{Failure, Kind, Remedy as _};
use crate::format::app::{changes as changes_of, editable};
use crate::input;
use crate::output::Outcome;
use crate::session::{Session, absolute, id_path};

pub const EXAMPLES: &str = "\
Examples:
  karman app update web instances=3 cmd='python3 -m http.server $PORT0'
  karman app update web env.LEVEL=debug labels.team=web
  karman app show web --json > web.json; edit it; karman app update web --file web.json";

pub async fn run(
    session: &Session,
    id: &str,
    changes: &[String],
    file: Option<&str>,
    force: bool,
    wait: &Wait,
) -> Outcome {
    let update = if changes.is_empty() {
        editable(input::document(file, "change").await?)
    } else {
        // Also fetched where no change needs it: an update must not create.
        let current = get(session, id).await?;
        changes_of(&current, changes).map_err(|error| {
            Failure::usage(error.to_string())
                .remedy("write for example: karman app update ID instances=3")
        })?
    };
    if !update.is_object() {
        return Err(Failure::usage("a change is a JSON object")
            .remedy("write for example: {\"instances\": 3}"));
    }
    let answer = put(session, id, update, force).await?;
    started(session, &absolute(id), "changed", answer, wait).await
}

/// Changes the members of an app that `update` names.
pub async fn put(
    session: &Session,
    id: &str,
    mut update: Value,
    force: bool,
) -> Result<Value, Failure> {
    update["id"] = json!(absolute(id));
    let call = Session::marathon(Method::PUT, &format!("/v2/apps/{}", id_path(id)))
        .flag("force", force)
        .body(update);
    session.client.json(call).await.remedy_for(Kind::NotFound, UNKNOWN)
}
