//! All agents by their numbers.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Bound;

use karman_model::id::AgentId;

use crate::bits::Bits;
use crate::dims::Dims;
use crate::pool::Pool;

/// A map that is only looked things up in.
pub(crate) type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Up to this part of all agents is put in order by itself; more of them are
/// picked from the list of all, which is in order already.
const FEW: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    pools: Vec<Option<Pool>>,
    numbers: Lookup<AgentId, u32>,
    by_name: BTreeMap<AgentId, u32>,
    spare: Vec<u32>,
    /// Active and with something left.
    pub(crate) offerable: Bits,
    /// Of all active agents together, what is left for everybody.
    pub(crate) free: Dims,
}

impl Agents {
    pub(crate) fn number(&self, agent: &AgentId) -> Option<u32> {
        self.numbers.get(agent).copied()
    }

    pub(crate) fn get(&self, agent: u32) -> Option<&Pool> {
        self.pools.get(agent as usize)?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Pool)> {
        self.by_name.values().filter_map(|agent| Some((*agent, self.get(*agent)?)))
    }

    /// By name, from that one or the one that would come after it.
    pub(crate) fn starting(&self, from: Option<&AgentId>) -> impl Iterator<Item = (u32, &Pool)> {
        let start = from.map_or(Bound::Unbounded, Bound::Included);
        let rest = self.by_name.range::<AgentId, _>((start, Bound::Unbounded));
        rest.filter_map(|(_, agent)| Some((*agent, self.get(*agent)?)))
    }

    pub(crate) fn insert(&mut self, pool: Pool) -> u32 {
        let id = pool.id.clone();
        let agent = self.spare.pop().unwrap_or_else(|| {
            self.pools.push(None);
            u32::try_from(self.pools.len() - 1).unwrap_or(u32::MAX)
        });
        self.free.add(&pool.free);
        self.offerable.put(agent, pool.is_offerable());
        if let Some(place) = self.pools.get_mut(agent as usize) {
            *place = Some(pool);
        }
        self.numbers.insert(id.clone(), agent);
        self.by_name.insert(id, agent);
        agent
    }

    pub(crate) fn remove(&mut self, id: &AgentId) -> Option<(u32, Pool)> {
        let agent = self.numbers.remove(id)?;
        self.by_name.remove(id);
        self.offerable.remove(agent);
        self.spare.push(agent);
        let pool = self.pools.get_mut(agent as usize)?.take()?;
        if pool.active {
            self.free.sub(&pool.free);
        }
        Some((agent, pool))
    }

    /// Changes an agent and what is known of all of them.
    pub(crate) fn change<T>(
        &mut self,
        agent: u32,
        change: impl FnOnce(&mut Pool) -> T,
    ) -> Option<T> {
        let pool = self.pools.get_mut(agent as usize)?.as_mut()?;
        if pool.active {
            self.free.sub(&pool.free);
        }
        let result = change(pool);
        if pool.active {
            self.free.add(&pool.free);
        }
        self.offerable.put(agent, pool.is_offerable());
        Some(result)
    }

    /// By name.
    pub(crate) fn in_order(&self, agents: &Bits) -> Vec<u32> {
        let count = agents.len();
        if count > self.by_name.len() / FEW {
            return self.by_name.values().copied().filter(|agent| agents.has(*agent)).collect();
        }
        let mut list: Vec<u32> = agents.iter().filter(|agent| self.get(*agent).is_some()).collect();
        list.sort_unstable_by_key(|agent| self.get(*agent).map(|pool| &pool.id));
        list
    }
}
