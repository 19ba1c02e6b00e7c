//! What frameworks have declined, and until when they do not want it again.
//!
//! Of an agent all frameworks decline much the same: filters that refuse the
//! same are one group with a set of clients, and whether a group refuses all
//! that is free is asked once, not once for each client.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use crate::bits::Bits;

/// Of one client for one agent; the one that ends first gives way.
const PAIR_FILTERS_MAX: usize = 8;
/// Of all clients for all agents; the one that ends first gives way. At some 40
/// bytes each the memory of a master can take that.
const FILTERS_MAX: usize = 8_000_000;
/// Entries of the queue that may be out of date, before it is built anew.
const STALE_MAX: usize = 1024;

/// A client and an agent.
pub(crate) type Pair = (u32, u32);

#[derive(Clone, Debug)]
struct Group {
    refused: Resources,
    clients: Bits,
    until: BTreeMap<u32, Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct OfAgent {
    groups: Vec<Group>,
    /// Clients with a filter.
    any: Bits,
    /// Clients that refuse all that is free; not all of them, if not `fresh`.
    blocked: Bits,
    fresh: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    agents: Vec<OfAgent>,
    /// By client, the agents with its filters.
    clients: Vec<Bits>,
    /// What ends when; a pair may have no filter any longer that ends then.
    queue: BTreeMap<Timestamp, Vec<Pair>>,
    queued: usize,
    count: usize,
}

impl Filters {
    /// `free` is what the agent has to offer now.
    pub(crate) fn add(
        &mut self,
        pair: Pair,
        refused: Resources,
        until: Timestamp,
        free: &Resources,
    ) {
        let (client, agent) = pair;
        let of = at_mut(&mut self.agents, agent);
        let mut mine = Vec::new();
        for (at, group) in of.groups.iter_mut().enumerate() {
            let Some(old) = group.until.get(&client).copied() else { continue };
            // One that says no more than the new one is not needed any longer.
            if old <= until && refused.contains(&group.refused) {
                group.remove(client);
                self.count -= 1;
            } else {
                mine.push((old, at));
            }
        }
        if mine.len() >= PAIR_FILTERS_MAX
            && let Some((_, first)) = mine.iter().min()
            && let Some(group) = of.groups.get_mut(*first)
        {
            group.remove(client);
            self.count -= 1;
        }
        of.groups.retain(|group| !group.until.is_empty());
        if of.fresh && refused.contains(free) {
            of.blocked.insert(client);
        }
        let known = of.groups.iter_mut().find(|group| group.refused == refused);
        let was = match known {
            Some(group) => group.insert(client, until),
            None => {
                let mut group = Group { refused, clients: Bits::default(), until: BTreeMap::new() };
                group.insert(client, until);
                of.groups.push(group);
                None
            }
        };
        of.any.insert(client);
        at_mut(&mut self.clients, client).insert(agent);
        self.count += usize::from(was.is_none());
        self.queue.entry(until).or_default().push(pair);
        self.queued += 1;
        self.tidy();
    }

    /// Whether the client has filters for the agent.
    pub(crate) fn has(&self, pair: Pair) -> bool {
        self.agents.get(pair.1 as usize).is_some_and(|of| of.any.has(pair.0))
    }

    /// Whether the client has declined this much or more.
    pub(crate) fn refuses(&self, pair: Pair, offer: &Resources) -> bool {
        self.ending(pair, offer).is_some()
    }

    /// When it will no longer be refused.
    pub(crate) fn ending(&self, (client, agent): Pair, offer: &Resources) -> Option<Timestamp> {
        let of = self.agents.get(agent as usize).filter(|of| of.any.has(client))?;
        let refusing = of.groups.iter().filter(|group| group.clients.has(client));
        refusing
            .filter(|group| group.refused.contains(offer))
            .filter_map(|group| group.until.get(&client).copied())
            .max()
    }

    /// Clients that want nothing of what is free; others may not want it either.
    pub(crate) fn blocked(&mut self, agent: u32, free: &Resources) -> Option<&Bits> {
        let of = self.agents.get_mut(agent as usize)?;
        if of.groups.is_empty() {
            return None;
        }
        if !of.fresh {
            of.blocked.clear();
            for group in of.groups.iter().filter(|group| group.refused.contains(free)) {
                of.blocked.add_all(&group.clients);
            }
            of.fresh = true;
        }
        Some(&of.blocked)
    }

    /// More or something else is free than before.
    pub(crate) fn stir(&mut self, agent: u32) {
        if let Some(of) = self.agents.get_mut(agent as usize) {
            of.fresh = false;
        }
    }

    /// Forgets what the client has declined.
    pub(crate) fn clear(&mut self, client: u32) {
        let agents = self.clients.get_mut(client as usize).map(std::mem::take).unwrap_or_default();
        for agent in agents.iter() {
            let Some(of) = self.agents.get_mut(agent as usize) else { continue };
            for group in &mut of.groups {
                self.count -= usize::from(group.remove(client).is_some());
            }
            of.groups.retain(|group| !group.until.is_empty());
            of.any.remove(client);
            of.fresh = false;
        }
        self.tidy();
    }

    pub(crate) fn forget_agent(&mut self, agent: u32) {
        let Some(of) = self.agents.get_mut(agent as usize).map(std::mem::take) else { return };
        for client in of.any.iter() {
            if let Some(agents) = self.clients.get_mut(client as usize) {
                agents.remove(agent);
            }
        }
        self.count -= of.groups.iter().map(|group| group.until.len()).sum::<usize>();
        self.tidy();
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|(until, _)| *until)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Drops what has run out and says who may want what again.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Pair> {
        let mut pairs = Vec::new();
        while self.count > FILTERS_MAX || self.next_expiry().is_some_and(|until| until <= now) {
            let Some((until, ended)) = self.queue.pop_first() else { break };
            self.queued -= ended.len();
            pairs.extend(ended.into_iter().filter(|pair| self.end(*pair, until)));
        }
        pairs
    }

    /// Whether there was a filter that ends now.
    fn end(&mut self, (client, agent): Pair, now: Timestamp) -> bool {
        let Some(of) = self.agents.get_mut(agent as usize).filter(|of| of.any.has(client)) else {
            return false;
        };
        let mut ended = 0;
        for group in &mut of.groups {
            if group.until.get(&client).is_some_and(|until| *until <= now) {
                group.remove(client);
                ended += 1;
            }
        }
        if ended == 0 {
            return false;
        }
        self.count -= ended;
        of.groups.retain(|group| !group.until.is_empty());
        of.fresh = false;
        let more = of.groups.iter().any(|group| group.clients.has(client));
        of.any.put(client, more);
        if let Some(agents) = self.clients.get_mut(client as usize) {
            agents.put(agent, more);
        }
        true
    }

    /// The agents of which the client has declined something.
    pub(crate) fn of_client(&self, client: u32) -> usize {
        self.clients.get(client as usize).map_or(0, Bits::len)
    }

    /// Who declines for a year, again and again, leaves no year of entries.
    fn tidy(&mut self) {
        if self.queued <= 2 * self.count + STALE_MAX {
            return;
        }
        self.queue.clear();
        for (of, agent) in self.agents.iter().zip(0u32..) {
            for (client, until) in of.groups.iter().flat_map(|group| &group.until) {
                self.queue.entry(*until).or_default().push((*client, agent));
            }
        }
        self.queued = self.count;
    }
}

impl Group {
    fn insert(&mut self, client: u32, until: Timestamp) -> Option<Timestamp> {
        self.clients.insert(client);
        let old = self.until.insert(client, until);
        if let Some(old) = old.filter(|old| *old > until) {
            self.until.insert(client, old);
        }
        old
    }

    fn remove(&mut self, client: u32) -> Option<Timestamp> {
        self.clients.remove(client);
        self.until.remove(&client)
    }
}

fn at_mut<T: Default>(list: &mut Vec<T>, at: u32) -> &mut T {
    let at = at as usize;
    if list.len() <= at {
        list.resize_with(at + 1, T::default);
    }
    list.get_mut(at).expect("the list was made long enough")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(count: u32) -> Resources {
        Resources::parse(&format!("cpus:{count}"), "*").unwrap()
    }

    fn add(filters: &mut Filters, client: u32, count: u32, until: u64) {
        filters.add((client, 0), cpus(count), Timestamp(until), &Resources::EMPTY);
    }

    #[test]
    fn the_queue_does_not_outgrow_the_filters() {
        let mut filters = Filters::default();
        for year in 1..10_000 {
            add(&mut filters, 1, 1, year);
            assert!(filters.queued <= 2 * filters.len() + STALE_MAX);
        }
        assert_eq!(filters.len(), 1);
        assert_eq!(filters.expire(Timestamp(9_998)), []);
        assert_eq!(filters.expire(Timestamp(9_999)), [(1, 0)]);
        assert_eq!((filters.len(), filters.queued), (0, 0));
    }

    #[test]
    fn filters_of_a_pair_are_bounded() {
        let mut filters = Filters::default();
        for count in (1..=20).rev() {
            add(&mut filters, 1, count, 100 - u64::from(count));
        }
        assert_eq!(filters.len(), PAIR_FILTERS_MAX);
        assert!(filters.refuses((1, 0), &cpus(1)));
        assert!(!filters.refuses((1, 0), &cpus(20)));
        filters.clear(1);
        assert_eq!(filters.len(), 0);
        assert!(!filters.has((1, 0)));
    }

    #[test]
    fn who_refuses_everything_is_known_at_once() {
        let mut filters = Filters::default();
        add(&mut filters, 1, 4, 10);
        add(&mut filters, 2, 4, 20);
        add(&mut filters, 3, 2, 20);
        let blocked = |filters: &mut Filters, count| {
            filters.stir(0);
            filters.blocked(0, &cpus(count)).map(|bits| bits.iter().collect::<Vec<_>>())
        };
        assert_eq!(blocked(&mut filters, 4), Some(vec![1, 2]));
        assert_eq!(blocked(&mut filters, 2), Some(vec![1, 2, 3]));
        assert_eq!(filters.ending((2, 0), &cpus(3)), Some(Timestamp(20)));
        assert_eq!(filters.expire(Timestamp(10)), [(1, 0)]);
        assert_eq!(blocked(&mut filters, 4), Some(vec![2]));
        filters.forget_agent(0);
        assert_eq!((filters.len(), blocked(&mut filters, 4)), (0, None));
    }
}
