//! What a master must not do from one moment to the next.

use std::collections::BTreeMap;

use karman_master::ledger::{Command, Event, Ledger};
use karman_model::quantity::Quantity;
use karman_model::time::Timestamp;

use super::master::Request;

/// Why a role may have come to consume more than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The limit is another one, or an agent has brought tasks and reservations.
    Excused,
    /// Nothing that could excuse it.
    Other,
}

impl Cause {
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::Register { .. } | Request::Happened(Event::Register { .. }) => Self::Excused,
            Request::Command { command } => match &**command {
                Command::UpdateQuota { .. } => Self::Excused,
                _others => Self::Other,
            },
            Request::Subscribe { .. } | Request::Call { .. } | Request::Happened(_) => Self::Other,
        }
    }
}

/// What was so a moment ago.
#[derive(Debug, Default)]
pub(super) struct Laws {
    /// By role and name: what is consumed where that is more than the limit.
    beyond: BTreeMap<(String, String), Quantity>,
    unreachable: u64,
    last_removal: Option<Timestamp>,
}

impl Laws {
    /// Nobody gets more once he has as much as he may; see
    /// [`Ledger::check`](karman_master::ledger::Ledger::check) for what is offered.
    pub(super) fn check_limits(&mut self, ledger: &Ledger, cause: Cause) {
        let before = std::mem::take(&mut self.beyond);
        for config in ledger.stored_quotas() {
            if config.limits.is_empty() {
                continue;
            }
            let consumed = ledger.consumed(&config.role);
            for (name, limit) in config.limits {
                let limit = Quantity::from_f64(limit.value).unwrap();
                let has = consumed.get(&name).copied().unwrap_or_default();
                if has <= limit {
                    continue;
                }
                let key = (config.role.clone(), name);
                let had = before.get(&key).copied().unwrap_or_default();
                assert!(
                    cause == Cause::Excused || has <= had,
                    "{} consumes {has} {} and may consume {limit}",
                    key.0,
                    key.1
                );
                self.beyond.insert(key, has);
            }
        }
    }

    /// Agents are given up one after the other; whether one was after another.
    pub(super) fn check_removals(&mut self, ledger: &Ledger, now: Timestamp) -> bool {
        let view = ledger.view();
        let Some(rate) = view.registry.settings.agent_removal_rate else { return false };
        let lost = view.counters.agents_unreachable;
        let more = lost - std::mem::replace(&mut self.unreachable, lost);
        if more == 0 {
            return false;
        }
        assert_eq!(more, 1, "agents are given up one by one");
        if let Some(last) = self.last_removal.replace(now) {
            assert!(now.since(last) >= rate.interval(), "agents are given up too fast");
            return true;
        }
        false
    }
}
