//! Changes that operators want: through the core, which answers when they are
//! durable.

use axum::http::StatusCode;
use axum::response::Response;
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::{Operation, operation};
use tokio::sync::oneshot;

use super::auth::Principal;
use super::{Shared, answer};
use crate::core::Request;
use crate::ledger::{Command, Refusal};

/// Has the ledger carry it out, and answers `done` or why not.
pub(super) async fn carry_out(shared: &Shared, command: Command, done: StatusCode) -> Response {
    let (reply, answered) = oneshot::channel();
    let request = Request::Command { command: Box::new(command), reply };
    if shared.core.send(request).await.is_err() {
        return answer::stopping();
    }
    match answered.await {
        Ok(Ok(())) => answer::empty(done),
        Ok(Err(refusal)) => refused(&refusal),
        Err(_stopped) => answer::stopping(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        Refusal::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
    };
    answer::text(status, refusal.to_string())
}

/// An operation of an operator on what an agent has.
pub(super) async fn operate(
    shared: &Shared,
    agent: &v1::AgentId,
    principal: &Principal,
    operation: Operation,
) -> Response {
    let command = Command::Operate {
        agent: agent.into(),
        principal: principal.as_deref().map(str::to_owned),
        operation: Box::new(operation),
    };
    carry_out(shared, command, StatusCode::ACCEPTED).await
}

pub(super) fn reserve(source: Vec<v1::Resource>, resources: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Reserve.into()),
        reserve: Some(operation::Reserve { source, resources }),
        ..Operation::default()
    }
}

pub(super) fn unreserve(resources: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Unreserve.into()),
        unreserve: Some(operation::Unreserve { resources }),
        ..Operation::default()
    }
}

pub(super) fn create(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Create.into()),
        create: Some(operation::Create { volumes }),
        ..Operation::default()
    }
}

pub(super) fn destroy(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Destroy.into()),
        destroy: Some(operation::Destroy { volumes }),
        ..Operation::default()
    }
}

pub(super) fn grow(volume: v1::Resource, addition: v1::Resource) -> Operation {
    Operation {
        r#type: Some(operation::Type::GrowVolume.into()),
        grow_volume: Some(operation::GrowVolume { volume, addition }),
        ..Operation::default()
    }
}

pub(super) fn shrink(volume: v1::Resource, subtract: v1::value::Scalar) -> Operation {
    Operation {
        r#type: Some(operation::Type::ShrinkVolume.into()),
        shrink_volume: Some(operation::ShrinkVolume { volume, subtract }),
        ..Operation::default()
    }
}
