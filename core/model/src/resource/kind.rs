//! What makes one resource interchangeable with another.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use crate::id::ProviderId;
use crate::role;

/// Everything about a resource but how much there is of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    pub name: Arc<str>,
    /// From the outermost role to the most refined one; empty: unreserved.
    pub reservations: Vec<Reservation>,
    pub disk: Option<Box<Disk>>,
    /// May be taken back at any time.
    pub revocable: bool,
    /// May be used by several tasks at once.
    pub shared: bool,
    pub provider: Option<ProviderId>,
    /// The role that it is offered or allocated to; `None` on the agent's own
    /// account.
    pub allocated_to: Option<Arc<str>>,
}

/// One level of reservation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation {
    pub kind: ReservationType,
    pub role: Arc<str>,
    pub principal: Option<Arc<str>>,
    pub labels: Vec<Label>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservationType {
    /// By the agent's own configuration.
    Static,
    /// By an operation, and undone by another.
    Dynamic,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    pub key: String,
    pub value: Option<String>,
}

/// Where disk space comes from and whether it outlives tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Disk {
    pub persistence: Option<Persistence>,
    pub volume: Option<Volume>,
    pub source: Option<Source>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    pub id: String,
    pub principal: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume {
    pub container_path: String,
    pub host_path: Option<String>,
    pub mode: VolumeMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeMode {
    ReadWrite,
    ReadOnly,
}

/// A disk other than the one of the work folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    pub kind: SourceType,
    pub root: Option<String>,
    pub vendor: Option<String>,
    pub id: Option<String>,
    pub metadata: Vec<Label>,
    pub profile: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceType {
    Path,
    Mount,
    Block,
    Raw,
}

impl Kind {
    /// Unreserved, of the agent itself, not allocated.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            reservations: Vec::new(),
            disk: None,
            revocable: false,
            shared: false,
            provider: None,
            allocated_to: None,
        }
    }

    /// The role that it is reserved to, if it is.
    pub fn reserved_to(&self) -> Option<&str> {
        self.reservations.last().map(|reservation| &*reservation.role)
    }

    /// Whether it may be offered to `role`.
    pub fn is_usable_by(&self, role: &str) -> bool {
        self.reserved_to().is_none_or(|owner| role::may_use(role, owner))
    }

    /// Whether it has been reserved more than once, which the old wire format
    /// cannot say.
    pub fn is_refined(&self) -> bool {
        self.reservations.len() > 1
    }

    pub fn is_persistent_volume(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.persistence.is_some())
    }
}
