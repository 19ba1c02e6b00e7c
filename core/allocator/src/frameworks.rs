//! Frameworks and their clients: one for each role.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_model::id::FrameworkId;

use crate::client::{self, Client, Least};
use crate::demand::Demand;
use crate::roles::Charge;
use crate::{Allocator, Role};

impl Allocator {
    /// Adds a framework or replaces what is known of it; its accounts and filters
    /// stay.
    pub fn put_framework(&mut self, framework: &FrameworkId, demand: Demand) {
        let known = self.frameworks.entry(framework.clone()).or_default();
        (known.known, known.demand) = (true, demand.clone());
        for role in &demand.roles {
            self.client_of(framework, role);
        }
        let Some(known) = self.frameworks.get(framework) else { return };
        for (role, at) in known.clients.clone() {
            if let Some(Some(client)) = self.clients.get_mut(at as usize) {
                client.describe(&demand, &role, &self.names, &self.crumbs);
                self.gpu.put(at, demand.appetite.gpu);
                self.aware.put(at, demand.appetite.region_aware);
            }
            self.place(&role, at, true);
        }
    }

    pub fn remove_framework(&mut self, framework: &FrameworkId) {
        let Some(known) = self.frameworks.get_mut(framework) else { return };
        (known.known, known.demand) = (false, Demand::default());
        for (role, at) in known.clients.clone() {
            self.place(&role, at, false);
        }
        if self.frameworks.get(framework).is_some_and(|it| it.clients.is_empty()) {
            self.frameworks.remove(framework);
        }
    }

    /// An inactive framework is offered nothing, and its filters are forgotten.
    pub fn set_framework_active(&mut self, framework: &FrameworkId, active: bool) {
        let Some(known) = self.frameworks.get_mut(framework) else { return };
        known.demand.active = active;
        for (role, at) in known.clients.clone() {
            if !active {
                self.filters.clear(at);
            }
            self.place(&role, at, true);
        }
    }

    /// No offers for `roles` (all, if empty) until they are revived.
    pub fn suppress(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        for (role, at) in self.clients_in(framework, roles) {
            if let Some(known) = self.frameworks.get_mut(framework) {
                known.demand.suppressed.insert(Role::clone(&role));
            }
            self.place(&role, at, false);
        }
    }

    /// Ends suppression and filters of `roles` (all, if empty).
    pub fn revive(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        for (role, at) in self.clients_in(framework, roles) {
            if let Some(known) = self.frameworks.get_mut(framework) {
                known.demand.suppressed.remove(&role);
            }
            self.filters.clear(at);
            self.place(&role, at, true);
        }
    }

    /// Of the roles that the framework has.
    fn clients_in(&self, framework: &FrameworkId, roles: &BTreeSet<Role>) -> Vec<(Role, u32)> {
        let Some(known) = self.frameworks.get(framework) else { return Vec::new() };
        let is_meant = |role: &Role| {
            known.demand.roles.contains(role) && (roles.is_empty() || roles.contains(role))
        };
        let clients = known.clients.iter().filter(|(role, _)| is_meant(role));
        clients.map(|(role, at)| (Role::clone(role), *at)).collect()
    }

    /// Puts the client where it belongs: among those that want offers or not.
    /// `eager`: it may want more than before.
    fn place(&mut self, role: &Role, at: u32, eager: bool) {
        let Some(Some(client)) = self.clients.get(at as usize) else { return };
        let demand = self.frameworks.get(&client.framework).map(|it| &it.demand);
        let belongs = demand.is_some_and(|demand| demand.roles.contains(role));
        let wants = belongs
            && demand.is_some_and(|demand| demand.active && !demand.suppressed.contains(role));
        self.roles.place(at, client, wants, &mut self.order);
        self.placed.put(at, wants);
        self.pending.clients.put(at, wants && (eager || self.pending.clients.has(at)));
        if !belongs {
            self.filters.clear(at);
            self.forget_if_idle(at);
        }
    }

    pub(crate) fn client_mut(&mut self, at: u32) -> Option<&mut Client> {
        self.clients.get_mut(at as usize)?.as_mut()
    }

    pub(crate) fn client(&self, at: u32) -> Option<&Client> {
        self.clients.get(at as usize)?.as_ref()
    }

    pub(crate) fn known_client(&self, framework: &FrameworkId, role: &str) -> Option<u32> {
        self.frameworks.get(framework)?.clients.get(role).copied()
    }

    /// Made if there is none.
    pub(crate) fn client_of(&mut self, framework: &FrameworkId, role: &Role) -> u32 {
        if let Some(at) = self.known_client(framework, role) {
            return at;
        }
        let client = Client::new(framework.clone(), self.roles.hold(role));
        let at = self.spare_clients.pop().unwrap_or_else(|| {
            self.clients.push(None);
            u32::try_from(self.clients.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.clients.get_mut(at as usize) {
            *place = Some(client);
        }
        let known = self.frameworks.entry(framework.clone()).or_default();
        known.clients.insert(Role::clone(role), at);
        at
    }

    /// A client that has nothing and is in none of its framework's roles.
    pub(crate) fn forget_if_idle(&mut self, at: u32) {
        let Some(client) = self.client(at).filter(|client| client.is_idle()) else { return };
        let role = Role::clone(&self.roles.node(client.role).name);
        let (framework, number) = (client.framework.clone(), client.role);
        let Some(known) = self.frameworks.get_mut(&framework) else { return };
        if known.demand.roles.contains(&role) {
            return;
        }
        known.clients.remove(&role);
        if known.clients.is_empty() && !known.known {
            self.frameworks.remove(&framework);
        }
        if let Some(place) = self.clients.get_mut(at as usize) {
            *place = None;
        }
        for bits in [&mut self.gpu, &mut self.aware, &mut self.holding, &mut self.held_back] {
            bits.remove(at);
        }
        self.spare_clients.push(at);
        self.roles.let_go(number);
    }

    pub(crate) fn put_on_account(&mut self, at: u32, charge: &Charge) {
        let Some(Some(client)) = self.clients.get_mut(at as usize) else { return };
        client.allocated.add(&charge.all);
        client.grants += 1;
        self.roles.charge(client.role, charge);
        self.order.touch(at, client.role);
    }

    pub(crate) fn take_off_account(&mut self, at: u32, charge: &Charge) {
        let Some(Some(client)) = self.clients.get_mut(at as usize) else { return };
        client.allocated.sub(&charge.all);
        self.roles.release(client.role, charge);
        self.order.touch(at, client.role);
    }

    /// After new names became known, or what is a crumb has changed.
    pub(crate) fn reread_sizes(&mut self) {
        self.crumbs = client::sizes(&self.least, &self.names).into();
        for client in self.clients.iter_mut().flatten() {
            let Some(known) = self.frameworks.get(&client.framework) else { continue };
            let declared = known.demand.minimums.get(&self.roles.node(client.role).name);
            client.least = Least::read(declared, &self.names, &self.crumbs);
        }
    }
}
