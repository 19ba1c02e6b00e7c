//! One framework as the master knows it.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use karman_allocator::{Appetite, Constraints, Demand, Minimums, Role};
use karman_api::mesos::v1;
use karman_api::mesos::v1::framework_info::capability::Type;
use karman_model::id::{FrameworkId, OfferId, TaskId};
use karman_model::quantity::Quantity;
use karman_model::resource::{Resources, Tally};
use karman_model::role;
use karman_model::shared_map::SharedMap;
use karman_model::time::Timestamp;

use super::{Completed, Offer, StreamId, Task, Tasks};

/// The longest time that a framework may be away, in seconds; longer ones mean
/// for ever.
const FAILOVER_SECONDS_MAX: f64 = 1.0e10;

/// Whether the framework listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Connected(StreamId),
    /// Removed at the deadline unless it subscribes again.
    Disconnected {
        deadline: Timestamp,
    },
    /// Known from the store or from agents; has not subscribed to this master.
    Recovered {
        deadline: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub revocable: bool,
    pub task_killing: bool,
    pub gpu: bool,
    pub shared: bool,
    pub partition_aware: bool,
    pub multi_role: bool,
    pub refinement: bool,
    pub region_aware: bool,
}

#[derive(Clone, Debug)]
pub struct Framework {
    pub id: FrameworkId,
    pub info: Arc<v1::FrameworkInfo>,
    pub roles: BTreeSet<Role>,
    pub capabilities: Capabilities,
    /// Its offer constraints, compiled.
    pub rules: Constraints,
    pub link: Link,
    pub registered: Timestamp,
    pub reregistered: Option<Timestamp>,
    pub unregistered: Option<Timestamp>,
    pub tasks: Tasks,
    /// On agents that cannot be reached; they may come back.
    pub unreachable: Tasks,
    pub completed: Completed,
    /// What its executors hold.
    pub(super) employed: Tally,
    pub offers: SharedMap<OfferId, Arc<Offer>>,
    /// On which agents it takes offers, by role.
    pub constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
}

impl Capabilities {
    pub fn of(info: &v1::FrameworkInfo) -> Self {
        let has =
            |wanted: Type| info.capabilities.iter().any(|capability| capability.r#type() == wanted);
        Self {
            revocable: has(Type::RevocableResources),
            task_killing: has(Type::TaskKillingState),
            gpu: has(Type::GpuResources),
            shared: has(Type::SharedResources),
            partition_aware: has(Type::PartitionAware),
            multi_role: has(Type::MultiRole),
            refinement: has(Type::ReservationRefinement),
            region_aware: has(Type::RegionAware),
        }
    }

    pub const fn appetite(self) -> Appetite {
        Appetite {
            revocable: self.revocable,
            gpu: self.gpu,
            shared: self.shared,
            refined: self.refinement,
            region_aware: self.region_aware,
        }
    }
}

/// The roles that a framework asks for; the old field counts without the
/// capability.
#[expect(deprecated, reason = "frameworks without MULTI_ROLE say their role there")]
pub(super) fn roles_of(info: &v1::FrameworkInfo) -> BTreeSet<Role> {
    if Capabilities::of(info).multi_role {
        info.roles.iter().map(|role| role.as_str().into()).collect()
    } else {
        BTreeSet::from([info.role.as_deref().unwrap_or(role::ANY).into()])
    }
}

impl Framework {
    pub fn new(id: FrameworkId, info: v1::FrameworkInfo, link: Link, now: Timestamp) -> Self {
        Self {
            id,
            roles: roles_of(&info),
            capabilities: Capabilities::of(&info),
            info: Arc::new(info),
            rules: Constraints::default(),
            link,
            registered: now,
            reregistered: None,
            unregistered: None,
            tasks: Tasks::default(),
            unreachable: Tasks::default(),
            completed: Completed::default(),
            employed: Tally::default(),
            offers: SharedMap::new(),
            constraints: None,
        }
    }

    pub const fn stream(&self) -> Option<&StreamId> {
        match &self.link {
            Link::Connected(stream) => Some(stream),
            Link::Disconnected { .. } | Link::Recovered { .. } => None,
        }
    }

    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected(_))
    }

    pub const fn deadline(&self) -> Option<Timestamp> {
        match self.link {
            Link::Connected(_) => None,
            Link::Disconnected { deadline } | Link::Recovered { deadline } => Some(deadline),
        }
    }

    /// How long it may be away before its tasks are killed.
    pub fn failover_timeout(&self) -> Duration {
        let seconds = self.info.failover_timeout.unwrap_or(0.0);
        if seconds.is_finite() && seconds < FAILOVER_SECONDS_MAX {
            Duration::from_secs_f64(seconds.max(0.0))
        } else {
            Duration::MAX
        }
    }

    /// The task, wherever it is kept, unless it is over.
    pub fn task(&self, task: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(task).or_else(|| self.unreachable.get(task))
    }

    /// Changes the task, wherever it is kept, unless it is over.
    pub fn change_task<R>(
        &mut self,
        task: &TaskId,
        change: impl FnOnce(&mut Task) -> R,
    ) -> Option<R> {
        let tasks =
            if self.tasks.contains_key(task) { &mut self.tasks } else { &mut self.unreachable };
        tasks.change(task, change)
    }

    /// Moves a task to those that are over, of which so many are remembered.
    pub fn complete(&mut self, task: &TaskId, max: usize) {
        if let Some(task) = self.tasks.remove(task).or_else(|| self.unreachable.remove(task)) {
            self.completed.push(task, max);
        }
    }

    /// Of tasks that are not terminal, and of their executors.
    pub fn used(&self) -> Resources {
        self.tasks.used() + self.employed.total()
    }

    pub fn offered(&self) -> Resources {
        self.offers.values().map(|offer| &offer.resources).sum()
    }

    /// What the allocator is to know of it.
    pub fn demand(&self, suppressed: BTreeSet<Role>) -> Demand {
        Demand {
            roles: self.roles.clone(),
            suppressed,
            appetite: self.capabilities.appetite(),
            minimums: self.minimums(),
            constraints: self.rules.clone(),
            active: self.is_connected(),
        }
    }

    /// The least that is worth an offer, by role.
    fn minimums(&self) -> Minimums {
        let mut minimums = Minimums::new();
        for (role, filters) in &self.info.offer_filters {
            let Some(least) = &filters.min_allocatable_resources else { continue };
            let alternatives = least.quantities.iter().map(|alternative| {
                let amount = |(name, scalar): (&String, &v1::value::Scalar)| {
                    (name.clone(), Quantity::from_f64(scalar.value).unwrap_or_default())
                };
                alternative.quantities.iter().map(amount).collect()
            });
            minimums.insert(role.as_str().into(), alternatives.collect());
        }
        minimums
    }
}
