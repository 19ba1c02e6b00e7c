//! What one agent has and what of it is free.
#![deny(clippy::disallowed_methods)]

use karman_model::resource::Resources;

use super::{Appetite, Machine};

#[derive(Clone, Debug)]
pub(super) struct Pool {
    machine: Machine,
    available: Resources,
    has_gpus: bool,
    pub(super) active: bool,
}

impl Pool {
    pub(super) fn new(machine: Machine) -> Self {
        let has_gpus = machine.total.scalar("gpus").is_positive();
        Self { available: machine.total.clone(), machine, has_gpus, active: true }
    }

    pub(super) fn update(&mut self, machine: Machine) {
        let more = machine.total.saturating_sub(&self.machine.total);
        let less = self.machine.total.saturating_sub(&machine.total);
        self.available = self.available.saturating_sub(&less) + more;
        self.has_gpus = machine.total.scalar("gpus").is_positive();
        self.machine = machine;
    }

    /// Of what is in use.
    pub(super) fn convert(&mut self, from: &Resources, to: &Resources) {
        self.machine.total = self.machine.total.saturating_sub(from) + to;
    }

    pub(super) const fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) const fn total(&self) -> &Resources {
        &self.machine.total
    }

    pub(super) const fn available(&self) -> &Resources {
        &self.available
    }

    pub(super) fn is_offerable(&self) -> bool {
        self.active && !self.available.is_empty()
    }

    pub(super) fn take(&mut self, resources: &Resources) {
        self.available = self.available.saturating_sub(resources);
    }

    pub(super) fn give(&mut self, resources: &Resources) {
        self.available += resources;
    }

    /// What of it may be offered to a framework in `role`.
    pub(super) fn usable(&self, role: &str, appetite: Appetite) -> Resources {
        // Machines with accelerators are kept for those who know what to do
        // with them, or everybody else would fill them up.
        if self.has_gpus && !appetite.gpu {
            return Resources::EMPTY;
        }
        self.available.filter(|kind| {
            kind.is_usable_by(role)
                && (appetite.revocable || !kind.revocable)
                && (appetite.shared || !kind.shared)
                && (appetite.refined || !kind.is_refined())
        })
    }
}
