//! Whether a client takes something of an agent.
#![deny(clippy::disallowed_methods)]

use crate::carve::{self, Taker};
use crate::client::Client;
use crate::dims::{Dims, Names};
use crate::filters::{Filters, Pair};
use crate::pool::Pool;
use crate::roles::Roles;

/// What the answer depends on, besides the client and the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Market<'a> {
    pub(crate) names: &'a Names,
    pub(crate) roles: &'a Roles,
    pub(crate) filters: &'a Filters,
    /// What is left for everybody on all agents together, and all that they have.
    pub(crate) free: &'a Dims,
    pub(crate) total: &'a Dims,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) takes: bool,
    /// Quota kept it from something.
    pub(crate) denied: bool,
    /// Quota leaves it nothing worth an offer, whatever the agent.
    pub(crate) spent: bool,
}

impl Market<'_> {
    pub(crate) fn ask(self, pair: Pair, client: &mut Client, pool: &Pool) -> Answer {
        let role = &self.roles.node(client.role).name;
        let mut answer = Answer::default();
        if !client.admits(role, pair.1, pool.machine()) {
            return answer;
        }
        let taker = Taker { role, appetite: client.appetite };
        let sum;
        let usable = if pool.plain {
            &pool.free
        } else {
            sum = taker.usable(pool, self.names);
            &sum
        };
        if !client.least.is_met(usable) {
            return answer;
        }
        let room = self.roles.has_quota().then(|| self.roles.room(client.role, self.free));
        let tight = room.filter(|room| !room.fits(&pool.free));
        if let Some(room) = &tight {
            answer.denied = true;
            answer.spent = !client.least.is_met(&room.clamp(self.total));
            let mut amounts = usable.clone();
            amounts.sub(&pool.free);
            amounts.add(&room.clamp(&pool.free));
            if !client.least.is_met(&amounts) {
                return answer;
            }
        }
        answer.takes = !self.filters.has(pair) || {
            if pool.plain && tight.is_none() {
                !self.filters.refuses(pair, pool.available())
            } else {
                let offer = carve::whole(pool, taker, tight, self.names);
                !self.filters.refuses(pair, &offer)
            }
        };
        answer
    }
}
