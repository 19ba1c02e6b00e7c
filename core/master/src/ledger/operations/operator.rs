//! Operations from outside: on what an agent has free, taking back offers where
//! that is needed.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_model::id::{AgentId, OfferId};

use super::super::{Ledger, Refusal};
use super::convert::name;
use crate::validate::operation::{self, Site, Who};

impl Ledger {
    pub(in crate::ledger) fn operate_from_outside(
        &mut self,
        id: &AgentId,
        principal: Option<&str>,
        info: &v1::offer::Operation,
    ) -> Result<(), Refusal> {
        let invalid = |problem: &dyn std::fmt::Display| {
            Refusal::Invalid(format!("Invalid {} operation: {problem}", name(info)))
        };
        let Some(agent) = self.agents.get(id) else {
            return Err(Refusal::Invalid("No agent found with specified ID".to_owned()));
        };
        if !agent.is_registered() {
            // It could not be told in time that a volume is another one now.
            return Err(Refusal::Conflict(format!("The agent {id} is not connected")));
        }
        let used = agent.used.unallocated();
        let site = Site { total: &agent.total, used: &used };
        let conversion =
            operation::plan(info, Who::Operator { principal }, site).map_err(|problem| {
                match problem {
                    operation::Error::InUse(_) => {
                        Refusal::Conflict(format!("Invalid {} operation: {problem}", name(info)))
                    }
                    problem => invalid(&problem),
                }
            })?;
        let free = agent.total.saturating_sub(&used.exclusive());
        if !free.contains(&conversion.consumed) {
            return Err(Refusal::Conflict(format!(
                "{} needs {}, the agent has {free} that no task uses",
                name(info),
                conversion.consumed
            )));
        }
        self.check_conversion(id, &conversion).map_err(|problem| invalid(&problem))?;
        self.check_limits(&conversion, None).map_err(|problem| {
            Refusal::Conflict(format!("Invalid {} operation: {problem}", name(info)))
        })?;
        // Those offers that hold something of it, until enough is free.
        let offers: Vec<OfferId> = agent.offers.iter().cloned().collect();
        for offer in offers {
            if self.is_free(id, &conversion.consumed) {
                break;
            }
            let holds = self.offers.get(&offer).is_some_and(|offer| {
                !offer.resources.unallocated().common(&conversion.consumed).is_empty()
            });
            if holds {
                self.rescind(&offer, None);
            }
        }
        self.put_conversion(id, &conversion);
        self.allocate_anew(id);
        self.tell_resources(id);
        Ok(())
    }

    /// Whether nobody uses it or is offered it.
    fn is_free(&self, id: &AgentId, wanted: &karman_model::resource::Resources) -> bool {
        let Some(agent) = self.agents.get(id) else { return false };
        let spent = (&*agent.used.exclusive() + &agent.offered).unallocated();
        agent.total.saturating_sub(&spent).contains(wanted)
    }

    /// Tells the allocator what the agent has now.
    fn allocate_anew(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.get(id) {
            self.allocator.update_agent(id, agent.machine());
        }
    }
}
