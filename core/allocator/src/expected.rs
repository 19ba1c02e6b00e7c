//! Agents that are known and not there yet: nothing of them can be offered, but
//! what they have is part of the cluster, and what is reserved on them counts for
//! who has it.
#![deny(clippy::disallowed_methods)]

use karman_model::id::AgentId;
use karman_model::resource::Resources;

use crate::Allocator;
use crate::dims::Dims;

#[derive(Clone, Debug)]
pub(crate) struct Expected {
    capacity: Dims,
    reserved: Resources,
}

impl Allocator {
    /// Until it is added or removed.
    pub fn expect_agent(&mut self, agent: &AgentId, total: &Resources) {
        if self.has_agent(agent) {
            return;
        }
        self.expect_no_longer(agent);
        self.names.intern_all(total);
        let capacity = self.countable(total);
        let reserved = total.filter(|kind| kind.reserved_to().is_some());
        self.capacity.add(&capacity);
        self.reserve(&reserved);
        self.expected.insert(agent.clone(), Expected { capacity, reserved });
    }

    pub(crate) fn expect_no_longer(&mut self, agent: &AgentId) {
        if let Some(Expected { capacity, reserved }) = self.expected.remove(agent) {
            self.capacity.sub(&capacity);
            self.unreserve(&reserved);
        }
    }

    /// What quota can be about: what can be taken back counts for nobody.
    pub(crate) fn countable(&self, total: &Resources) -> Dims {
        self.names.sum(total, |resource| !resource.kind.revocable)
    }
}
