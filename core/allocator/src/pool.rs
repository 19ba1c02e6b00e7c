//! What one agent has and what of it is free.
#![deny(clippy::disallowed_methods)]

use karman_model::id::AgentId;
use karman_model::resource::{Resource, Resources};

use crate::dims::{Dims, Names};
use crate::machine::Machine;

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) id: AgentId,
    machine: Machine,
    pub(crate) active: bool,
    /// Stands in another region than the master.
    pub(crate) remote: bool,
    pub(crate) has_gpus: bool,
    /// Everything it has is reserved to nobody and for everybody.
    pub(crate) plain: bool,
    available: Resources,
    /// Volumes that are offered but never used up.
    shared: Resources,
    /// What is charged without being there: the agent has less than it had.
    debt: Resources,
    /// Everything it has.
    pub(crate) total: Dims,
    /// What of the available is for everybody.
    pub(crate) free: Dims,
}

/// Whether everybody may use it and quota counts it.
pub(crate) fn is_common(resource: &Resource) -> bool {
    resource.kind.reservations.is_empty() && !resource.kind.revocable && !resource.kind.shared
}

impl Pool {
    pub(crate) fn new(id: AgentId, machine: Machine, names: &mut Names) -> Self {
        let mut pool = Self {
            id,
            available: machine.total.exclusive().into_owned(),
            machine,
            active: true,
            remote: false,
            has_gpus: false,
            plain: true,
            shared: Resources::EMPTY,
            debt: Resources::EMPTY,
            total: Dims::default(),
            free: Dims::default(),
        };
        pool.classify(names);
        pool.measure(names);
        pool
    }

    /// What is charged stays charged.
    pub(crate) fn update(&mut self, machine: Machine, names: &mut Names) {
        let more = machine.total.saturating_sub(&self.machine.total).exclusive().into_owned();
        let less = self.machine.total.saturating_sub(&machine.total).exclusive().into_owned();
        self.machine = machine;
        self.classify(names);
        self.take(&less, names);
        self.give(more, names);
    }

    /// What is charged becomes something else.
    pub(crate) fn convert(&mut self, from: &Resources, to: &Resources, names: &mut Names) {
        self.machine.total = self.machine.total.saturating_sub(from) + to;
        self.classify(names);
    }

    fn classify(&mut self, names: &mut Names) {
        let total = &self.machine.total;
        names.intern_all(total);
        self.total = names.sum(total, |_| true);
        self.has_gpus = total.scalar("gpus").is_positive();
        self.shared = total.shared();
        self.plain = total.iter().all(|it| is_common(it) && !it.kind.is_indivisible());
    }

    pub(crate) const fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) const fn available(&self) -> &Resources {
        &self.available
    }

    pub(crate) const fn shared(&self) -> &Resources {
        &self.shared
    }

    pub(crate) fn is_offerable(&self) -> bool {
        self.active && !self.available.is_empty()
    }

    /// Nothing of what is available is left; it was taken wholly.
    pub(crate) fn take_all(&mut self) -> Resources {
        self.free = Dims::default();
        std::mem::take(&mut self.available)
    }

    pub(crate) fn take(&mut self, resources: &Resources, names: &Names) {
        let exclusive;
        let resources = if self.plain {
            resources
        } else {
            exclusive = resources.exclusive().into_owned();
            &exclusive
        };
        if !self.available.contains(resources) {
            self.debt += &resources.saturating_sub(&self.available);
        }
        self.available.take(resources);
        self.measure(names);
    }

    pub(crate) fn give(&mut self, resources: Resources, names: &Names) {
        let mut resources = if self.plain { resources } else { resources.exclusive().into_owned() };
        if !self.debt.is_empty() {
            let rest = resources.saturating_sub(&self.debt);
            self.debt.take(&resources);
            resources = rest;
        }
        if self.available.is_empty() {
            self.available = resources;
        } else {
            self.available += &resources;
        }
        self.measure(names);
    }

    fn measure(&mut self, names: &Names) {
        self.free = names.sum(&self.available, is_common);
    }
}
