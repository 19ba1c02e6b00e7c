//! Whether an agent may come in, and as whom.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::value;
use karman_model::id::AgentId;
use karman_model::resource::Resources;

use super::{Agent, Ledger, Presence};

/// What tells two agents without an id apart: name, address, port, boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity(String, IpAddr, Option<i32>, String);

/// Why an agent is not let in as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("its machine is down for maintenance; the operator must end that first")]
    Down,
    #[error(
        "{what} was {old} and is {new}: an agent with tasks or reservations may only gain resources and attributes; end its tasks first, or let it come back as it was"
    )]
    Changed { what: String, old: String, new: String },
}

impl Ledger {
    /// Whether agents may come from there. A master that does not say where it
    /// stands takes agents of every region for near.
    pub(super) fn check_place(&self, info: &v1::AgentInfo, ip: IpAddr) -> Result<(), Refusal> {
        if self.registry.maintenance.is_down(&info.hostname, ip) {
            return Err(Refusal::Down);
        }
        Ok(())
    }

    /// The agent that registers without an id has one already if the answer to
    /// its first registration was lost: the record that nobody ever confirmed
    /// is its own. Otherwise its resources would count twice.
    pub(super) fn twin(&self, info: &v1::AgentInfo, ip: IpAddr, boot: &str) -> Option<AgentId> {
        if boot.is_empty() {
            return None;
        }
        let id = self.unconfirmed.get(&identity(info, ip, boot))?;
        let agent = self.agents.get(id)?;
        let is_away = !matches!(agent.presence, Presence::Registered);
        // Two agents do not listen at one port, so it can only be the same.
        (agent.tasks.is_empty() && (is_away || info.port.is_some())).then(|| id.clone())
    }

    pub(super) fn expect_confirmation(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id).filter(|agent| !agent.boot.is_empty()) else {
            return;
        };
        self.unconfirmed.insert(identity(&agent.info, agent.ip, &agent.boot), id.clone());
    }

    /// The agent knows its id.
    pub(super) fn confirm(&mut self, id: &AgentId) {
        if let Some(agent) = self.agent_mut(id).filter(|agent| !agent.confirmed) {
            agent.confirmed = true;
            let agent = agent.clone();
            self.forget_twin(&agent);
        }
    }

    pub(super) fn forget_twin(&mut self, agent: &Agent) {
        let identity = identity(&agent.info, agent.ip, &agent.boot);
        if self.unconfirmed.get(&identity) == Some(&agent.id) {
            self.unconfirmed.remove(&identity);
        }
    }
}

fn identity(info: &v1::AgentInfo, ip: IpAddr, boot: &str) -> Identity {
    Identity(info.hostname.clone(), ip, info.port, boot.to_owned())
}

/// Whether all that tasks and reservations may rest on is still there.
pub(super) fn check_additive(old: &v1::AgentInfo, new: &v1::AgentInfo) -> Result<(), Refusal> {
    if old == new {
        return Ok(());
    }
    let changed = |what: &str, old: String, new: String| {
        Err(Refusal::Changed { what: what.to_owned(), old, new })
    };
    if !old.hostname.eq_ignore_ascii_case(&new.hostname) {
        return changed("hostname", old.hostname.clone(), new.hostname.clone());
    }
    if old.domain.is_some() && old.domain != new.domain {
        return changed("fault domain", domain(old), domain(new));
    }
    check_resources(&old.resources, &new.resources)?;
    for was in &old.attributes {
        let mut same = new.attributes.iter().filter(|is| is.name == was.name);
        if !same.any(|is| includes(is, was)) {
            let text = |attributes: &[v1::Attribute]| {
                let of_name: Vec<_> =
                    attributes.iter().filter(|it| it.name == was.name).cloned().collect();
                let text = convert::attributes_from_wire(&of_name).map(|it| it.to_string());
                text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "nothing".to_owned())
            };
            let what = format!("the attribute '{}'", was.name);
            return changed(&what, text(&old.attributes), text(&new.attributes));
        }
    }
    Ok(())
}

fn check_resources(old: &[v1::Resource], new: &[v1::Resource]) -> Result<(), Refusal> {
    // The master has read both before.
    let read = |list: &[v1::Resource]| {
        convert::resources_from_wire(list).unwrap_or_default().unallocated()
    };
    let (old, new) = (read(old), read(new));
    for was in &old {
        if !new.contains(&Resources::from(was.clone())) {
            let is = new.filter(|kind| *kind == was.kind);
            let is = if is.is_empty() { "nothing".to_owned() } else { is.to_string() };
            return Err(Refusal::Changed {
                what: format!("the resource '{}'", was.kind.name),
                old: Resources::from(was.clone()).to_string(),
                new: is,
            });
        }
    }
    Ok(())
}

/// Texts and numbers stay, sets and ranges may grow.
fn includes(new: &v1::Attribute, old: &v1::Attribute) -> bool {
    if new.r#type != old.r#type {
        return false;
    }
    let set = |it: &v1::Attribute| it.set.clone().map(|value::Set { item }| item);
    match (set(old), set(new)) {
        (Some(old), Some(new)) => old.iter().all(|item| new.contains(item)),
        _no_sets => {
            let ranges = |it: &v1::Attribute| {
                let ranges = it.ranges.clone().unwrap_or_default().range;
                ranges.into_iter().map(|range| (range.begin, range.end)).collect::<Vec<_>>()
            };
            let grows = |(begin, end): &(u64, u64)| {
                ranges(new).iter().any(|(first, last)| first <= begin && end <= last)
            };
            new.text == old.text && new.scalar == old.scalar && ranges(old).iter().all(grows)
        }
    }
}

fn domain(info: &v1::AgentInfo) -> String {
    let domain = info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
    domain.map_or_else(
        || "nothing".to_owned(),
        |domain| format!("{}/{}", domain.region.name, domain.zone.name),
    )
}

#[cfg(test)]
mod tests;
