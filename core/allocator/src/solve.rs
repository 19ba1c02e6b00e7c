//! One run: who gets what of the agents that are to be looked at.
#![deny(clippy::disallowed_methods)]

use std::ops::ControlFlow;

use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use crate::bits::Bits;
use crate::carve::{self, Taker};
use crate::client::{Client, Least};
use crate::dims::Dims;
use crate::market::Market;
use crate::pool::is_common;
use crate::roles::{Charge, Room};
use crate::{Allocator, Grant, Role};

/// Into how many slices of one size a machine is cut at most.
pub const SLICES_MAX: i64 = 16;

/// So few candidates are put in order by themselves; for more of them the order
/// of all is walked.
const FEW: usize = 16;

/// What holds for the whole run.
#[derive(Debug, Default)]
struct Run {
    /// Clients for which quota leaves nothing worth an offer.
    spent: Bits,
    /// Clients to whom a guarantee is owed, or was before they got something.
    owed: Option<Bits>,
    /// Agents after this one.
    left: usize,
    grants: Vec<Grant>,
}

/// What goes on at one agent.
struct Visit {
    agent: u32,
    /// Who may still get something.
    candidates: Bits,
    parts: Vec<(u32, Resources)>,
    /// It is given away in slices; what was there at first.
    split: Option<Dims>,
    /// Quota kept somebody from something.
    denied: bool,
}

impl Allocator {
    /// Gives away all that somebody wants of what has changed.
    pub fn allocate(&mut self, now: Timestamp) -> Vec<Grant> {
        if self.paused {
            return Vec::new();
        }
        for (client, agent) in self.filters.expire(now) {
            self.pending.pairs.entry(agent).or_default().push(client);
        }
        let mut run = Run::default();
        let agents = self.agents_to_visit();
        if !agents.is_empty() {
            self.roles.refresh(&self.clients, &mut self.order);
        }
        for (at, agent) in agents.iter().enumerate() {
            run.left = agents.len() - at - 1;
            let candidates = self.candidates(*agent);
            self.visit(&mut run, *agent, candidates);
        }
        self.pending.agents.clear();
        self.pending.clients.clear();
        self.pending.pairs.clear();
        self.reopen(&mut run);
        run.grants
    }

    /// By name.
    fn agents_to_visit(&mut self) -> Vec<u32> {
        let mut list = self.pending.agents.clone();
        list.keep(&self.agents.offerable);
        self.pending.clients.keep(&self.placed);
        if !self.pending.clients.is_empty() {
            for agent in self.agents.offerable.iter() {
                let Some(pool) = self.agents.get(agent) else { continue };
                let is_wanted = match self.filters.blocked(agent, pool.available()) {
                    Some(blocked) => self.pending.clients.exceeds(blocked),
                    None => true,
                };
                if is_wanted {
                    list.insert(agent);
                }
            }
        }
        for agent in self.pending.pairs.keys().filter(|agent| self.agents.offerable.has(**agent)) {
            list.insert(*agent);
        }
        self.agents.in_order(&list)
    }

    fn candidates(&self, agent: u32) -> Bits {
        if self.pending.agents.has(agent) {
            return self.placed.clone();
        }
        let mut candidates = self.pending.clients.clone();
        for client in self.pending.pairs.get(&agent).into_iter().flatten() {
            candidates.insert(*client);
        }
        candidates
    }

    /// What quota held back before may be offered now.
    fn reopen(&mut self, run: &mut Run) {
        if !std::mem::take(&mut self.pending.room) || !self.roles.has_quota() {
            return;
        }
        let mut clients = Bits::default();
        for at in self.held_back.iter().filter(|at| self.placed.has(*at)) {
            if let Some(client) = self.client(at) {
                let room = self.roles.room(client.role, &self.agents.free);
                if client.least.is_met(&room.clamp(&self.order.total)) {
                    clients.insert(at);
                }
            }
        }
        self.withheld.keep(&self.agents.offerable);
        if clients.is_empty() || self.withheld.is_empty() {
            return;
        }
        self.roles.refresh(&self.clients, &mut self.order);
        for agent in self.agents.in_order(&self.withheld) {
            if !clients.exceeds(&run.spent) {
                break;
            }
            self.visit(run, agent, clients.clone());
        }
    }

    fn visit(&mut self, run: &mut Run, agent: u32, mut candidates: Bits) {
        let Some(pool) = self.agents.get(agent).filter(|pool| pool.is_offerable()) else { return };
        let is_full = self.pending.agents.has(agent);
        candidates.keep(&self.placed);
        if pool.has_gpus {
            candidates.keep(&self.gpu);
        }
        if pool.remote {
            candidates.keep(&self.aware);
        }
        if let Some(blocked) = self.filters.blocked(agent, pool.available()) {
            candidates.drop_all(blocked);
        }
        let mut visit = Visit { agent, candidates, parts: Vec::new(), split: None, denied: false };
        if pool.plain && !run.spent.is_empty() {
            let before = visit.candidates.len();
            visit.candidates.drop_all(&run.spent);
            visit.denied = visit.candidates.len() < before;
        }
        while !visit.candidates.is_empty()
            && let Some(client) = self.pick(run, &mut visit)
        {
            self.hand_out(run, &mut visit, client);
            if !self.agents.offerable.has(agent) {
                break;
            }
        }
        if visit.split.is_some() {
            self.hand_out_rest(run, &mut visit);
        }
        if visit.denied && self.agents.offerable.has(agent) {
            self.withheld.insert(agent);
        } else if is_full {
            self.withheld.remove(agent);
        }
        self.grant(run, visit);
    }

    /// The candidate that is owed most among those that take something; those to
    /// whom a guarantee is owed come first.
    fn pick(&mut self, run: &mut Run, visit: &mut Visit) -> Option<u32> {
        if self.roles.is_anything_owed() {
            let mut owed = run.owed.get_or_insert_with(|| self.owed()).clone();
            owed.keep(&visit.candidates);
            while let Some(at) = self.first(run, visit, &owed) {
                if self.client(at).is_some_and(|client| self.roles.is_owed(client.role)) {
                    return Some(at);
                }
                // It got what it was owed in this run.
                owed.remove(at);
                run.owed.iter_mut().for_each(|all| all.remove(at));
            }
        }
        let candidates = std::mem::take(&mut visit.candidates);
        let first = self.first(run, visit, &candidates);
        visit.candidates = candidates;
        first
    }

    /// Clients in roles that have not got what they are guaranteed.
    fn owed(&self) -> Bits {
        let mut owed = Bits::default();
        for at in self.placed.iter() {
            if self.client(at).is_some_and(|client| self.roles.is_owed(client.role)) {
                owed.insert(at);
            }
        }
        owed
    }

    /// The first of `candidates` in fair order that takes something.
    fn first(&mut self, run: &mut Run, visit: &mut Visit, candidates: &Bits) -> Option<u32> {
        let few = candidates.len() <= FEW;
        let listed = if few { self.in_fair_order(candidates.iter()) } else { Vec::new() };
        let Self { names, agents, clients, roles, filters, order, held_back, .. } = self;
        let pool = agents.get(visit.agent)?;
        let market = Market { names, roles, filters, free: &agents.free, total: &order.total };
        let mut takes = |at: u32| {
            let Some(Some(client)) = clients.get_mut(at as usize) else { return false };
            let answer = market.ask((at, visit.agent), client, pool);
            if answer.denied {
                visit.denied = true;
                held_back.insert(at);
            }
            if answer.spent {
                run.spent.insert(at);
            }
            answer.takes
        };
        if few {
            return listed.into_iter().find(|at| takes(*at));
        }
        let mut found = None;
        roles.walk(&mut |at| {
            if candidates.has(at) && takes(at) {
                found = Some(at);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        found
    }

    fn in_fair_order(&self, clients: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut list: Vec<u32> = clients.collect();
        if list.len() > 1 {
            let role = |at: &u32| self.client(*at).map(|client| client.role);
            list.sort_by_cached_key(|at| Some(self.roles.standing(*at, role(at)?)));
        }
        list
    }

    /// Everything, or a slice if others wait.
    fn hand_out(&mut self, run: &mut Run, visit: &mut Visit, at: u32) {
        if visit.split.is_none() && self.is_scarce(run, visit, at) {
            visit.split = self.agents.get(visit.agent).map(|pool| pool.free.clone());
        }
        let is_plain = self.agents.get(visit.agent).is_some_and(|pool| pool.plain);
        if visit.split.is_none() && is_plain && !self.roles.has_quota() {
            return self.give_all(visit, at);
        }
        // Who has declined as much as a slice may still want all that there is.
        let slice = visit.split.clone().and_then(|first| self.slice(visit.agent, at, &first));
        let slice = slice.filter(|it| !self.filters.refuses((at, visit.agent), it));
        let part = slice.unwrap_or_else(|| self.whole(visit.agent, at));
        if part.is_empty() {
            visit.candidates.remove(at);
        } else {
            self.give(visit, at, part);
        }
    }

    /// Whether the machine should be cut: the client has said how much it needs,
    /// another candidate has no offer at all, and more such clients wait than
    /// there are agents to come.
    fn is_scarce(&mut self, run: &mut Run, visit: &mut Visit, at: u32) -> bool {
        let sized = |client: &Client| matches!(client.least, Least::Sizes(_));
        if !self.client(at).is_some_and(sized) {
            return false;
        }
        let mut waiting = self.placed.clone();
        waiting.drop_all(&self.holding);
        waiting.remove(at);
        if waiting.len() <= run.left {
            return false;
        }
        waiting.keep(&visit.candidates);
        self.first(run, visit, &waiting).is_some()
    }

    fn slice(&self, agent: u32, at: u32, first: &Dims) -> Option<Resources> {
        let (pool, client) = (self.agents.get(agent)?, self.client(at)?);
        let taker = self.taker(client);
        let usable = taker.usable(pool, &self.names);
        let size = client.least.size(&usable)?;
        let times = |amounts: &Dims| size.iter().map(|(at, one)| amounts.get(at) / one).min();
        let times = (times(first)? / SLICES_MAX).clamp(1, times(&usable)?.max(1));
        let mut wanted = Dims::default();
        size.iter().for_each(|(at, one)| wanted.set(at, one.saturating_mul(times)));
        let slice = carve::slice(pool, taker, &wanted, self.room(client), &self.names);
        let is_enough = client.least.is_met(&self.names.sum(&slice, |_| true));
        is_enough.then_some(slice)
    }

    fn whole(&self, agent: u32, at: u32) -> Resources {
        match (self.agents.get(agent), self.client(at)) {
            (Some(pool), Some(client)) => {
                carve::whole(pool, self.taker(client), self.room(client), &self.names)
            }
            (None, _) | (_, None) => Resources::EMPTY,
        }
    }

    fn taker<'a>(&'a self, client: &Client) -> Taker<'a> {
        Taker { role: &self.roles.node(client.role).name, appetite: client.appetite }
    }

    fn room(&self, client: &Client) -> Option<Room> {
        self.roles.has_quota().then(|| self.roles.room(client.role, &self.agents.free))
    }

    /// Of an agent that is for everybody, as a whole.
    fn give_all(&mut self, visit: &mut Visit, at: u32) {
        let taken = self.agents.change(visit.agent, |pool| {
            let charge = Charge { all: pool.free.clone(), common: pool.free.clone() };
            (charge, pool.take_all())
        });
        if let Some((charge, part)) = taken {
            self.book(visit, at, part, &charge);
        }
    }

    fn give(&mut self, visit: &mut Visit, at: u32, part: Resources) {
        let names = &self.names;
        let charge =
            Charge { all: names.sum(&part, |_| true), common: names.sum(&part, is_common) };
        self.agents.change(visit.agent, |pool| pool.take(&part, names));
        self.book(visit, at, part, &charge);
    }

    /// Puts what was taken out of the pool on the client's account.
    fn book(&mut self, visit: &mut Visit, at: u32, part: Resources, charge: &Charge) {
        let Some(Some(client)) = self.clients.get_mut(at as usize) else { return };
        client.allocated.add(&charge.all);
        client.grants += 1;
        self.roles.charge(client.role, charge);
        self.roles.offer(client.role, &charge.common);
        self.roles.moved(at, client, &self.order);
        match visit.parts.iter_mut().find(|(owner, _)| *owner == at) {
            Some((_, mine)) => *mine += &part,
            None => visit.parts.push((at, part)),
        }
    }

    /// What nobody takes a slice of goes to those who have one.
    fn hand_out_rest(&mut self, run: &Run, visit: &mut Visit) {
        for at in self.in_fair_order(visit.parts.iter().map(|(at, _)| *at)) {
            let rest = self.whole(visit.agent, at);
            if !rest.is_empty() && !run.spent.has(at) {
                self.give(visit, at, rest);
            }
        }
    }

    /// What was given becomes grants, with the shared volumes of the agent.
    fn grant(&mut self, run: &mut Run, visit: Visit) {
        let Visit { agent, parts, .. } = visit;
        let mut shared = match self.agents.get(agent) {
            Some(pool) if !parts.is_empty() => pool.shared().clone(),
            Some(_) | None => return,
        };
        for (at, mut part) in parts {
            let Some(client) = self.client(at) else { continue };
            let taker = self.taker(client);
            if !shared.is_empty() {
                let volumes = shared.filter(|kind| taker.may_use(kind));
                shared = shared.saturating_sub(&volumes);
                part += &volumes;
            }
            let role = Role::clone(&self.roles.node(client.role).name);
            let (framework, resources) = (client.framework.clone(), part.into_allocated_to(&role));
            let Some(id) = self.agents.get(agent).map(|pool| pool.id.clone()) else { continue };
            run.grants.push(Grant { agent: id, framework, role, resources });
            if let Some(client) = self.client_mut(at) {
                client.offers += 1;
                self.holding.insert(at);
            }
        }
    }
}
