//! `karman app add`.

use reqwest::Method;
use serde_json::Value;

use super::super::wait::Wait;
use crate::failure::{Failure, Kind};
use crate::format::app::editable;
use crate::format::document::text;
use crate::input;
use crate::output::Outcome;
use crate::session::{Session, absolute};

pub async fn run(session: &Session, source: Option<&str>, wait: &Wait) -> Outcome {
    let definition = editable(input::document(source, "add").await?);
    check(&definition)?;
    let answer = session
        .client
        .json(Session::marathon(Method::POST, "/v2/apps").body(definition.clone()))
        .await
        .map_err(|failure| already_there(failure, text(&definition, "/id")))?;
    let id = match text(&answer, "/id") {
        "" => absolute(text(&definition, "/id")),
        id => id.to_owned(),
    };
    super::started(session, &id, "added", answer, wait).await
}

/// Says what the server could only answer with an unhelpful error.
fn check(definition: &Value) -> Result<(), Failure> {
    match definition {
        Value::Object(members)
            if members.contains_key("apps") || members.contains_key("groups") =>
        {
            Err(Failure::usage("this is a group, not an app").remedy("add its apps one by one"))
        }
        Value::Object(_) => Ok(()),
        Value::Array(_) => {
            Err(Failure::usage("this is a list, not an app").remedy("add its apps one by one"))
        }
        _ => Err(Failure::usage("an app is a JSON object").remedy("see examples/web.json")),
    }
}

fn already_there(failure: Failure, id: &str) -> Failure {
    if failure.kind == Kind::Failed && failure.message.contains("already exists") {
        return failure.remedy(format!("change it with: karman app update {}", absolute(id)));
    }
    failure.remedy_for(Kind::NotFound, "check that the URL is that of a Karman gateway")
}
