//! Why a framework is offered nothing.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use crate::carve::{self, Taker};
use crate::client::{Client, Least};
use crate::dims::Dims;
use crate::pool::Pool;
use crate::{Allocator, Role};

/// What a framework can expect in one of its roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    pub standing: Standing,
    /// Offers that it has not answered.
    pub offers: u32,
    /// How many agents are not offered for which reason, most of them first.
    pub agents: Vec<(Reason, usize)>,
    /// When the first of its filters on something that is free ends.
    pub until: Option<Timestamp>,
}

/// A part of an [`Explanation`]: some agents, each by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub standing: Standing,
    pub offers: u32,
    /// Why each is not offered, and when a filter on it ends.
    pub agents: Vec<(AgentId, Reason, Option<Timestamp>)>,
    /// Where the next part starts, unless this is the last one.
    pub next: Option<AgentId>,
}

/// What holds for all agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Offers are made as soon as there is something.
    #[default]
    Waiting,
    Unknown,
    NotInRole,
    /// It does not listen.
    Inactive,
    Suppressed,
    /// The master waits for agents to come back.
    Paused,
}

/// Why an agent is not offered; the first one that applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    AgentInactive,
    /// Only for frameworks with `REGION_AWARE`.
    Region,
    /// Only for frameworks with `GPU_RESOURCES`.
    Accelerators,
    Constraints,
    /// All that the role may use is used or offered.
    InUse,
    /// There is something, but not enough of these.
    TooLittle(Vec<String>),
    /// The limit of this role leaves no room.
    Limit(Role),
    /// What is free is guaranteed to others.
    Headroom,
    Declined,
    /// The next run of the allocator offers it.
    Next,
}

impl Allocator {
    /// Why the framework has no more offers in the role. Looks at every agent.
    pub fn explain(&self, framework: &FrameworkId, role: &Role) -> Explanation {
        let Part { standing, offers, agents, next: _ } =
            self.explain_some(framework, role, None, usize::MAX);
        let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
        let until = agents.iter().filter_map(|(_, _, until)| *until).min();
        for (_, reason, _) in agents {
            *counts.entry(reason).or_default() += 1;
        }
        let mut agents: Vec<(Reason, usize)> = counts.into_iter().collect();
        agents.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Explanation { standing, offers, agents, until }
    }

    /// The same for up to `most` agents by name, beginning with `from`: a large
    /// cluster is explained part by part, and nobody waits for the whole.
    pub fn explain_some(
        &self,
        framework: &FrameworkId,
        role: &Role,
        from: Option<&AgentId>,
        most: usize,
    ) -> Part {
        let standing = self.standing(framework, role);
        let mut part = Part { standing, ..Part::default() };
        let at = self.known_client(framework, role).filter(|_| standing != Standing::Unknown);
        let Some((at, client)) = at.and_then(|at| Some((at, self.client(at)?))) else {
            return part;
        };
        part.offers = client.offers;
        for (agent, pool) in self.agents.starting(from) {
            if part.agents.len() >= most {
                part.next = Some(pool.id.clone());
                break;
            }
            let (reason, until) = self.reason((at, agent), client, role, pool);
            part.agents.push((pool.id.clone(), reason, until));
        }
        part
    }

    /// The roles in which each framework wants no offers.
    pub fn suppressed(&self) -> BTreeMap<FrameworkId, BTreeSet<Role>> {
        let known = self.frameworks.iter().filter(|(_, it)| !it.demand.suppressed.is_empty());
        known.map(|(id, it)| (id.clone(), it.demand.suppressed.clone())).collect()
    }

    fn standing(&self, framework: &FrameworkId, role: &Role) -> Standing {
        let Some(known) = self.frameworks.get(framework).filter(|known| known.known) else {
            return Standing::Unknown;
        };
        if !known.demand.roles.contains(role) {
            Standing::NotInRole
        } else if !known.demand.active {
            Standing::Inactive
        } else if known.demand.suppressed.contains(role) {
            Standing::Suppressed
        } else if self.paused {
            Standing::Paused
        } else {
            Standing::Waiting
        }
    }

    fn reason(
        &self,
        pair: (u32, u32),
        client: &Client,
        role: &Role,
        pool: &Pool,
    ) -> (Reason, Option<Timestamp>) {
        if !pool.active {
            return (Reason::AgentInactive, None);
        }
        if pool.remote && !client.appetite.region_aware {
            return (Reason::Region, None);
        }
        if pool.has_gpus && !client.appetite.gpu {
            return (Reason::Accelerators, None);
        }
        if !client.wanted.as_ref().is_none_or(|wanted| wanted.admits(role, pool.machine())) {
            return (Reason::Constraints, None);
        }
        let taker = Taker { role, appetite: client.appetite };
        let usable = taker.usable(pool, &self.names);
        if usable.is_zero() {
            return (Reason::InUse, None);
        }
        if !client.least.is_met(&usable) {
            return (Reason::TooLittle(self.lacking(&client.least, &usable)), None);
        }
        let room = self.roles.has_quota().then(|| self.roles.room(client.role, &self.agents.free));
        let offer = carve::whole(pool, taker, room, &self.names);
        if !client.least.is_met(&self.names.sum(&offer, |_| true)) {
            return (self.quota_in_the_way(client, &usable), None);
        }
        self.declined(pair, &offer)
    }

    fn declined(&self, pair: (u32, u32), offer: &Resources) -> (Reason, Option<Timestamp>) {
        match self.filters.ending(pair, offer) {
            Some(until) => (Reason::Declined, Some(until)),
            None => (Reason::Next, None),
        }
    }

    fn quota_in_the_way(&self, client: &Client, usable: &Dims) -> Reason {
        let limiting = self.roles.limiting(client.role, usable);
        limiting.map_or(Reason::Headroom, |role| {
            Reason::Limit(Role::clone(&self.roles.node(role).name))
        })
    }

    /// Of the declared size that lacks least.
    fn lacking(&self, least: &Least, usable: &Dims) -> Vec<String> {
        let name = |at: usize| self.names.name(at).map(ToString::to_string);
        let lacking = |size: &Dims| -> Vec<String> {
            let short = size.iter().filter(|(at, amount)| usable.get(*at) < *amount);
            short.filter_map(|(at, _)| name(at)).collect()
        };
        match least {
            Least::Anything => Vec::new(),
            Least::Crumbs(sizes) => sizes.iter().flat_map(lacking).collect(),
            Least::Sizes(sizes) => {
                sizes.iter().map(lacking).min_by_key(Vec::len).unwrap_or_default()
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentInactive => f.write_str("agent is away or deactivated"),
            Self::Region => f.write_str("in another region, framework is not REGION_AWARE"),
            Self::Accelerators => f.write_str("has GPUs, framework has no GPU_RESOURCES"),
            Self::Constraints => f.write_str("offer constraints"),
            Self::InUse => f.write_str("everything is used or offered"),
            Self::TooLittle(names) if names.is_empty() => f.write_str("not enough resources"),
            Self::TooLittle(names) => write!(f, "not enough {}", names.join(" and ")),
            Self::Limit(role) => write!(f, "limit of role '{role}'"),
            Self::Headroom => f.write_str("guaranteed to other roles"),
            Self::Declined => f.write_str("declined"),
            Self::Next => f.write_str("about to be offered"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for offers",
            Self::Unknown => "unknown framework",
            Self::NotInRole => "framework is not in the role",
            Self::Inactive => "framework is not connected",
            Self::Suppressed => "suppressed",
            Self::Paused => "waiting for agents to come back",
        })
    }
}
