//! ACCEPT and DECLINE: offers are used up, the rest is free again.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::scheduler::call;
use karman_api::mesos::v1::task_status::Reason;
use karman_model::id::{AgentId, FrameworkId, OfferId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::Ledger;
use super::operations::Purse;

/// How long declined resources are not offered again unless the framework says.
const REFUSE_DEFAULT: Duration = Duration::from_secs(5);
/// Who refuses for no time would otherwise be offered the same for ever without
/// a pause.
const REFUSE_MIN: Duration = Duration::from_millis(250);
const REFUSE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn refusal(filters: Option<&v1::Filters>) -> Duration {
    let seconds =
        filters.and_then(|filters| filters.refuse_seconds).unwrap_or(REFUSE_DEFAULT.as_secs_f64());
    if seconds.is_nan() || seconds < 0.0 {
        return REFUSE_DEFAULT;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(REFUSE_MAX).clamp(REFUSE_MIN, REFUSE_MAX)
}

impl Ledger {
    pub(super) fn accept(&mut self, now: Timestamp, framework: &FrameworkId, accept: call::Accept) {
        let call::Accept { offer_ids, operations, filters } = accept;
        let ids: Vec<OfferId> = offer_ids.iter().map(Into::into).collect();
        let mut purse = match self.open(framework, &ids) {
            Ok(purse) => purse,
            Err(problem) => {
                return self.refuse_operations(now, framework, &ids, operations, &problem);
            }
        };
        let offered = purse.left.clone();
        for operation in operations {
            self.operate(now, &mut purse, operation);
        }
        if purse.changed {
            self.tell_resources(&purse.agent);
        }
        self.tell_launches(&mut purse);
        let Purse { framework, agent, role, left, .. } = purse;
        // What has just been made is no refusal: it is offered again at once.
        let declined = left.common(&offered);
        self.allocator.refuse(
            &agent,
            &framework,
            &role,
            &declined,
            now + refusal(filters.as_ref()),
        );
        self.allocator.release(&agent, &framework, &role, &left);
    }

    pub(super) fn decline(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        decline: &call::Decline,
    ) {
        let until = now + refusal(decline.filters.as_ref());
        for id in decline.offer_ids.iter().map(OfferId::from) {
            if self.offers.get(&id).is_some_and(|offer| offer.framework == *framework) {
                self.discard_offer(&id, Some(until));
            }
        }
    }

    /// Puts the offers together, if they belong together.
    fn open(&mut self, framework: &FrameworkId, ids: &[OfferId]) -> Result<Purse, String> {
        let Some(first) = ids.first() else { return Err("No offers specified".to_owned()) };
        if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
            return Err("Duplicate offer in offer list".to_owned());
        }
        let mut sum = Resources::EMPTY;
        let mut place: Option<(AgentId, Role)> = None;
        for id in ids {
            let offer =
                self.offers.get(id).ok_or_else(|| format!("Offer {id} is no longer valid"))?;
            if offer.framework != *framework {
                return Err(format!("Offer {id} belongs to another framework"));
            }
            let here = (offer.agent.clone(), Arc::clone(&offer.role));
            if place.get_or_insert_with(|| here.clone()) != &here {
                return Err(format!("Offers {first} and {id} are of different agents or roles"));
            }
            sum += &offer.resources;
        }
        for id in ids {
            self.take_offer(id);
        }
        let (agent, role) = place.ok_or_else(|| "No offers specified".to_owned())?;
        Ok(Purse::new(framework.clone(), agent, role, sum))
    }

    /// The offers are void: everything that was to be done with them fails.
    fn refuse_operations(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        ids: &[OfferId],
        operations: Vec<v1::offer::Operation>,
        problem: &str,
    ) {
        for id in ids {
            if self.offers.get(id).is_some_and(|offer| offer.framework == *framework) {
                self.discard_offer(id, None);
            }
        }
        for operation in operations {
            for task in tasks_of(&operation) {
                self.task_dropped(now, framework, task, Reason::InvalidOffers, problem);
            }
            self.operation_error(framework, None, &operation, problem);
        }
    }

    pub(super) fn count_end(&mut self, state: TaskState) {
        *self.counters.tasks.entry(state.as_str_name()).or_default() += 1;
    }
}

fn tasks_of(operation: &v1::offer::Operation) -> impl Iterator<Item = &v1::TaskInfo> {
    let launch = operation.launch.iter().flat_map(|launch| &launch.task_infos);
    launch.chain(operation.launch_group.iter().flat_map(|group| &group.task_group.tasks))
}
