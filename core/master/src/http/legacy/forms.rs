//! Changes by form, older than the operator API.

use axum::http::StatusCode;
use axum::response::Response;
use karman_api::codec::from_json;
use karman_api::mesos::v1;

use super::super::change::{self, carry_out, operate};
use super::super::query::Query;
use super::super::{Asked, Shared, answer};
use crate::ledger::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Form {
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
    Teardown,
}

pub(in crate::http) async fn handle(shared: &Shared, form: Form, asked: &Asked) -> Response {
    let fields = Query::parse(&asked.body);
    if let Err(response) = shared.throttle.pass(asked.principal.as_deref()).await {
        return *response;
    }
    if form == Form::Teardown {
        return match field(&fields, "frameworkId") {
            Ok(id) => {
                let command = Command::Teardown { framework: id.into() };
                carry_out(shared, command, StatusCode::OK).await
            }
            Err(problem) => answer::text(StatusCode::BAD_REQUEST, problem),
        };
    }
    let what = match form {
        Form::Reserve | Form::Unreserve | Form::Teardown => "resources",
        Form::CreateVolumes | Form::DestroyVolumes => "volumes",
    };
    let (agent, resources) = match read(&fields, what) {
        Ok(read) => read,
        Err(problem) => return answer::text(StatusCode::BAD_REQUEST, problem),
    };
    let operation = match form {
        Form::Reserve => change::reserve(Vec::new(), resources),
        Form::Unreserve | Form::Teardown => change::unreserve(resources),
        Form::CreateVolumes => change::create(resources),
        Form::DestroyVolumes => change::destroy(resources),
    };
    operate(shared, &agent, &asked.principal, operation).await
}

fn field<'a>(fields: &'a Query, name: &str) -> Result<&'a str, String> {
    fields
        .get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("Missing '{name}' query parameter in the request body"))
}

fn read(fields: &Query, what: &str) -> Result<(v1::AgentId, Vec<v1::Resource>), String> {
    let agent = v1::AgentId { value: field(fields, "slaveId")?.to_owned() };
    let resources = from_json(field(fields, what)?.as_bytes())
        .map_err(|error| format!("Error in parsing '{what}' query parameter: {error}"))?;
    Ok((agent, resources))
}
