//! What a call must have before anybody looks at its framework; each failure is
//! answered with 400.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::FrameworkId;
use karman_api::mesos::v1::scheduler::{Call, call::Type};

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Expecting 'type' to be present")]
    NoType,
    #[error("Expecting '{0}' to be present")]
    Missing(&'static str),
    #[error("Not a valid UUID")]
    Uuid,
    #[error("'framework_id' differs from 'subscribe.framework_info.id'")]
    FrameworkIds,
    #[error("Expecting 'agent_id' to be present")]
    NoAgent,
}

/// The length of a UUID in bytes.
const UUID_BYTES: usize = 16;

pub fn check(call: &Call) -> Result<(), Error> {
    let need =
        |there: bool, field: &'static str| if there { Ok(()) } else { Err(Error::Missing(field)) };
    let kind = call.r#type();
    if call.r#type.is_none() {
        return Err(Error::NoType);
    }
    if kind == Type::Subscribe {
        return subscribe(call);
    }
    need(call.framework_id.is_some(), "framework_id")?;
    match kind {
        Type::Subscribe | Type::Unknown | Type::Teardown | Type::Revive | Type::Suppress => Ok(()),
        Type::Accept => need(call.accept.is_some(), "accept"),
        Type::Decline => need(call.decline.is_some(), "decline"),
        Type::AcceptInverseOffers => {
            need(call.accept_inverse_offers.is_some(), "accept_inverse_offers")
        }
        Type::DeclineInverseOffers => {
            need(call.decline_inverse_offers.is_some(), "decline_inverse_offers")
        }
        Type::Kill => need(call.kill.is_some(), "kill"),
        Type::Shutdown => need(call.shutdown.is_some(), "shutdown"),
        Type::Acknowledge => {
            let acknowledge = call.acknowledge.as_ref().ok_or(Error::Missing("acknowledge"))?;
            if acknowledge.uuid.len() == UUID_BYTES { Ok(()) } else { Err(Error::Uuid) }
        }
        Type::AcknowledgeOperationStatus => {
            let field = "acknowledge_operation_status";
            let acknowledge =
                call.acknowledge_operation_status.as_ref().ok_or(Error::Missing(field))?;
            if acknowledge.uuid.len() != UUID_BYTES {
                return Err(Error::Uuid);
            }
            if acknowledge.agent_id.is_some() { Ok(()) } else { Err(Error::NoAgent) }
        }
        Type::Reconcile => need(call.reconcile.is_some(), "reconcile"),
        Type::ReconcileOperations => {
            need(call.reconcile_operations.is_some(), "reconcile_operations")
        }
        Type::Message => need(call.message.is_some(), "message"),
        Type::Request => need(call.request.is_some(), "request"),
        Type::UpdateFramework => {
            let update =
                call.update_framework.as_ref().ok_or(Error::Missing("update_framework"))?;
            same_id(call.framework_id.as_ref(), update.framework_info.id.as_ref())
        }
    }
}

fn subscribe(call: &Call) -> Result<(), Error> {
    let subscribe = call.subscribe.as_ref().ok_or(Error::Missing("subscribe"))?;
    same_id(call.framework_id.as_ref(), subscribe.framework_info.id.as_ref())
}

/// An empty id is as good as none, as some clients send it.
fn same_id(outer: Option<&FrameworkId>, inner: Option<&FrameworkId>) -> Result<(), Error> {
    let outer = outer.filter(|id| !id.value.is_empty());
    let inner = inner.filter(|id| !id.value.is_empty());
    if outer == inner { Ok(()) } else { Err(Error::FrameworkIds) }
}
