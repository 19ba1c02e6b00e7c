//! An offer as far as matching needs it: what is unreserved on one agent.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_model::quantity::Quantity;
use karman_model::ranges::{Range, Ranges};

use super::constraint::Site;

/// The role whose resources are used; tasks run on what is unreserved.
pub const ROLE: &str = "*";

#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub id: String,
    pub agent_id: String,
    pub cpus: Quantity,
    pub mem: Quantity,
    pub disk: Quantity,
    pub ports: Ranges,
    /// The agent is about to go away for maintenance.
    pub draining: bool,
    site: Site,
}

impl Offer {
    pub fn from_wire(wire: &v1::Offer) -> Self {
        let fault_domain = wire.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        let site = Site {
            agent_id: wire.agent_id.value.clone(),
            host: wire.hostname.clone(),
            region: fault_domain.map(|domain| domain.region.name.clone()),
            zone: fault_domain.map(|domain| domain.zone.name.clone()),
            attributes: wire.attributes.iter().filter_map(attribute).collect(),
        };
        let mut offer = Self {
            id: wire.id.value.clone(),
            agent_id: wire.agent_id.value.clone(),
            cpus: Quantity::ZERO,
            mem: Quantity::ZERO,
            disk: Quantity::ZERO,
            ports: Ranges::EMPTY,
            draining: false,
            site,
        };
        for resource in wire.resources.iter().filter(|resource| is_usable(resource)) {
            offer.add(resource);
        }
        offer
    }

    fn add(&mut self, resource: &v1::Resource) {
        let scalar =
            resource.scalar.as_ref().and_then(|scalar| Quantity::from_f64(scalar.value).ok());
        let amount = scalar.unwrap_or_default();
        match resource.name.as_str() {
            "cpus" => self.cpus += amount,
            "mem" => self.mem += amount,
            "disk" => self.disk += amount,
            "ports" => {
                let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
                let ranges = ranges.map(|range| Range { begin: range.begin, end: range.end });
                self.ports = self.ports.union(&Ranges::new(ranges).unwrap_or_default());
            }
            _ => {}
        }
    }

    pub fn take(&mut self, cpus: Quantity, mem: Quantity, disk: Quantity, ports: &[u16]) {
        self.cpus -= cpus;
        self.mem -= mem;
        self.disk -= disk;
        for port in ports {
            self.ports = self.ports.difference(&Ranges::single(u64::from(*port)));
        }
    }

    pub fn site(&self) -> Site {
        self.site.clone()
    }

    pub const fn site_ref(&self) -> &Site {
        &self.site
    }
}

#[expect(deprecated, reason = "older masters put the role of a reservation here")]
fn is_reserved(resource: &v1::Resource) -> bool {
    !resource.reservations.is_empty()
        || resource.reservation.is_some()
        || resource.role.as_deref().is_some_and(|role| role != ROLE)
}

/// Not reserved for anybody, not on a disk of its own, not to be taken back.
fn is_usable(resource: &v1::Resource) -> bool {
    !is_reserved(resource)
        && resource.disk.is_none()
        && resource.revocable.is_none()
        && resource.shared.is_none()
}

fn attribute(wire: &v1::Attribute) -> Option<(String, String)> {
    let text = wire.text.as_ref().map(|text| text.value.clone());
    let scalar = || Some(Quantity::from_f64(wire.scalar.as_ref()?.value).ok()?.to_string());
    let set = || Some(format!("{{{}}}", wire.set.as_ref()?.item.join(",")));
    let ranges = || {
        let ranges =
            wire.ranges.as_ref()?.range.iter().map(|one| Range { begin: one.begin, end: one.end });
        Some(Ranges::new(ranges).ok()?.to_string())
    };
    Some((wire.name.clone(), text.or_else(scalar).or_else(set).or_else(ranges)?))
}
