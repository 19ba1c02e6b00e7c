//! What operators have decided and what must be known of agents that are no
//! longer there. Shared with readers.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_allocator::Role;
use karman_model::id::AgentId;
use karman_model::time::Timestamp;

use super::inverse::InverseOffers;
use super::maintenance::Maintenance;
use super::quota::Quota;
use super::settings::Settings;
use super::weights;

#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub settings: Arc<Settings>,
    /// The weight of every role that does not have the weight 1.
    pub weights: Arc<BTreeMap<Role, f64>>,
    /// The quota of every role that has one.
    pub quotas: Arc<BTreeMap<Role, Quota>>,
    pub maintenance: Arc<Maintenance>,
    /// Agents that were removed for ever, and when.
    pub gone: Arc<BTreeMap<AgentId, Timestamp>>,
    /// What frameworks were asked and what they answered.
    pub inverse: Arc<InverseOffers>,
}

impl Registry {
    pub fn weight(&self, role: &str) -> f64 {
        self.weights.get(role).copied().unwrap_or(weights::DEFAULT)
    }
}
