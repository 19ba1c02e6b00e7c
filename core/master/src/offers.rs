//! Offers as frameworks see them. What a framework does not understand is not
//! written: old schedulers refuse whole offers because of it.
#![deny(clippy::disallowed_methods)]

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::mesos::v1::resource::AllocationInfo;

use crate::ledger::{Agent, Capabilities, Offer};

/// The offer in the format of a framework with these capabilities.
pub fn to_wire(
    offer: &Offer,
    capabilities: Capabilities,
    agent: &Agent,
    executors: &[v1::ExecutorId],
) -> v1::Offer {
    let format = if capabilities.refinement { Format::Refined } else { Format::Legacy };
    let resources = if capabilities.multi_role {
        convert::resources_to_wire(&offer.resources, format)
    } else {
        convert::resources_to_wire(&offer.resources.unallocated(), format)
    };
    let allocation_info =
        capabilities.multi_role.then(|| AllocationInfo { role: Some(offer.role.to_string()) });
    v1::Offer {
        id: (&offer.id).into(),
        framework_id: (&offer.framework).into(),
        agent_id: (&offer.agent).into(),
        hostname: agent.info.hostname.clone(),
        url: Some(url(agent)),
        domain: agent.info.domain.clone(),
        resources,
        attributes: agent.info.attributes.clone(),
        executor_ids: executors.to_vec(),
        unavailability: agent.unavailability(),
        allocation_info,
    }
}

pub(crate) fn url(agent: &Agent) -> v1::Url {
    v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(agent.ip.to_string()),
            port: agent.port().into(),
        },
        path: Some("/slave(1)".to_owned()),
        query: Vec::new(),
        fragment: None,
    }
}

#[cfg(test)]
mod tests;
