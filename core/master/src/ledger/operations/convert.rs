//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME on offered
//! resources. The master is the authority for what an agent has: they are done
//! once they are stored.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_api::mesos::v1;
use karman_api::mesos::v1::OperationState;
use karman_api::mesos::v1::offer::operation;
use karman_model::id::AgentId;
use karman_model::resource::{Conversion, Resources};
use karman_model::role;
use karman_model::time::Timestamp;

use super::super::quota::{amount, lineage};
use super::super::{Effect, Key, Ledger};
use super::{Purse, RESERVED_BYTES_MAX};
use crate::validate::operation::{Site, Who, plan, to_wire};

impl Ledger {
    pub(super) fn convert(
        &mut self,
        now: Timestamp,
        purse: &mut Purse,
        info: v1::offer::Operation,
    ) {
        if let Err(problem) = self.check_feedback(purse, &info) {
            return self.operation_error(&purse.framework, Some(&purse.agent), &info, &problem);
        }
        let conversion = match self.plan(purse, &info) {
            Ok(conversion) => conversion,
            Err(problem) => {
                return self.operation_error(&purse.framework, Some(&purse.agent), &info, &problem);
            }
        };
        if conversion.consumed.has_shared() {
            self.rescind_shared(&purse.agent, &conversion.consumed);
        }
        purse.left = conversion.apply(&purse.left).unwrap_or_default();
        let Conversion { consumed, converted } = &conversion;
        self.allocator.convert(&purse.agent, &purse.framework, &purse.role, consumed, converted);
        let converted = conversion.converted.unallocated();
        self.put_conversion(&purse.agent, &conversion.unallocated());
        purse.changed = true;
        if info.r#type() == operation::Type::Destroy {
            // The agent empties what it is no longer told of: a volume that is
            // made again under the same name must not find the old files.
            self.tell_resources(&purse.agent);
            purse.changed = false;
        }
        let (framework, agent) = (purse.framework.clone(), purse.agent.clone());
        self.report(now, framework, agent, info, OperationState::OperationFinished, &converted);
    }

    /// Others may have been offered the same shared volume, which is no more.
    fn rescind_shared(&mut self, id: &AgentId, consumed: &Resources) {
        let gone = consumed.shared().unallocated();
        let offers = self.agents.get(id).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            let holds = self
                .offers
                .get(&offer)
                .is_some_and(|offer| !offer.resources.unallocated().common(&gone).is_empty());
            if holds {
                self.rescind(&offer, None);
            }
        }
    }

    /// What becomes what, on the account of the role, if it may and there is
    /// enough.
    fn plan(&self, purse: &Purse, info: &v1::offer::Operation) -> Result<Conversion, String> {
        let gone = || "the agent or the framework is gone".to_owned();
        let agent = self.agents.get(&purse.agent).ok_or_else(gone)?;
        let owner = self.frameworks.get(&purse.framework).ok_or_else(gone)?;
        let who = Who::Framework {
            role: &purse.role,
            principal: owner.info.principal.as_deref(),
            refinement: owner.capabilities.refinement,
            shared: owner.capabilities.shared,
        };
        let used = agent.used.unallocated();
        let conversion = plan(info, who, Site { total: &agent.total, used: &used })
            .map_err(|problem| format!("Invalid {} operation: {problem}", name(info)))?;
        self.check_conversion(&purse.agent, &conversion)
            .map_err(|problem| format!("Invalid {} operation: {problem}", name(info)))?;
        self.check_limits(&conversion, Some((&*purse.role, &purse.left)))
            .map_err(|problem| format!("Invalid {} operation: {problem}", name(info)))?;
        let conversion = conversion.allocated_to(&purse.role);
        if conversion.apply(&purse.left).is_none() {
            return Err(format!(
                "Invalid {} operation: {} is needed, {} is offered",
                name(info),
                conversion.consumed,
                purse.left
            ));
        }
        Ok(conversion)
    }

    /// Whether the agent's record stays small enough to be stored, and quota is
    /// obeyed.
    pub(super) fn check_conversion(
        &self,
        agent: &AgentId,
        conversion: &Conversion,
    ) -> Result<(), String> {
        let Some(agent) = self.agents.get(agent) else { return Ok(()) };
        let Some(total) = conversion.apply(&agent.total) else {
            return Err(format!("{} is not there", conversion.consumed));
        };
        let bytes = serde_json::to_vec(&to_wire(&total)).map_or(usize::MAX, |it| it.len());
        // What makes it smaller is always possible.
        if bytes > RESERVED_BYTES_MAX && total.iter().len() > agent.total.iter().len() {
            return Err(format!(
                "the resources of the agent would take {bytes} bytes to store, at most {RESERVED_BYTES_MAX} are possible"
            ));
        }
        Ok(())
    }

    /// A reservation counts as consumed, used or not: no role may get more this
    /// way than its limit, or that of a role above it.
    /// `in_hand`: what is being spent is neither offered nor consumed yet.
    pub(super) fn check_limits(
        &self,
        conversion: &Conversion,
        in_hand: Option<(&str, &Resources)>,
    ) -> Result<(), String> {
        let gaining = conversion.converted.reserved_roles();
        let gaining: BTreeSet<&str> = gaining.into_iter().flat_map(lineage).collect();
        for (role, quota) in gaining.iter().filter_map(|it| self.registry.quotas.get_key_value(*it))
        {
            let own = |resources: &Resources| {
                resources.filter(|kind| {
                    kind.reserved_to().is_some_and(|owner| role::may_use(owner, role))
                })
            };
            let (before, after) = (own(&conversion.consumed), own(&conversion.converted));
            let more = |name: &str| after.scalar(name) - before.scalar(name);
            if !quota.limits.keys().any(|name| more(name).is_positive()) {
                continue;
            }
            let consumed = self.consumed(role);
            let in_hand = in_hand.filter(|(owner, _)| role::may_use(owner, role));
            let unspent = in_hand.map(|(_, left)| counted(left)).unwrap_or_default();
            for (name, limit) in &quota.limits {
                let (more, has) = (more(name), amount(&consumed, name) - unspent.scalar(name));
                if more.is_positive() && has + more > *limit {
                    return Err(format!(
                        "{more} more {name} would be reserved for role '{role}', which consumes {has} and is limited to {limit}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The agent has other resources from now on.
    pub(super) fn put_conversion(&mut self, id: &AgentId, conversion: &Conversion) {
        for role in conversion.converted.reserved_roles() {
            self.consumes_more(role);
        }
        let Some(agent) = self.agent_mut(id) else { return };
        if let Some(total) = conversion.apply(&agent.total) {
            agent.total = total;
        }
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Agent(id.clone())));
    }
}

/// What quota counts besides reservations.
fn counted(resources: &Resources) -> Resources {
    resources.filter(|kind| kind.reservations.is_empty() && !kind.revocable)
}

pub(super) fn name(info: &v1::offer::Operation) -> &'static str {
    info.r#type().as_str_name()
}
