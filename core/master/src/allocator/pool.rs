//! What one agent has and what of it is free.
#![deny(clippy::disallowed_methods)]

use karman_model::resource::Resources;

use super::Appetite;

#[derive(Clone, Debug)]
pub(super) struct Pool {
    total: Resources,
    available: Resources,
    has_gpus: bool,
    pub(super) active: bool,
}

impl Pool {
    pub(super) fn new(total: Resources) -> Self {
        let has_gpus = total.scalar("gpus").is_positive();
        Self { available: total.clone(), total, has_gpus, active: true }
    }

    pub(super) const fn total(&self) -> &Resources {
        &self.total
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
