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

    /// Whether it can only be had as a whole: a volume is one folder and a mount
    /// is one disk.
    pub fn is_indivisible(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            disk.persistence.is_some()
                || disk.source.as_ref().is_some_and(|source| match source.kind {
                    SourceType::Path => false,
                    SourceType::Mount | SourceType::Block | SourceType::Raw => true,
                })
        })
    }

    /// The same before it was made a persistent volume.
    #[must_use]
    pub fn without_volume(&self) -> Self {
        let source = self.disk.as_ref().and_then(|disk| disk.source.clone());
        let disk = source
            .map(|source| Box::new(Disk { persistence: None, volume: None, source: Some(source) }));
        Self { disk, shared: false, ..self.clone() }
    }

    /// The same before the last reservation.
    #[must_use]
    pub fn without_last_reservation(&self) -> Self {
        let mut kind = self.clone();
        kind.reservations.pop();
        kind
    }

    /// What it was in the agent's own configuration: no operation has touched it.
    #[must_use]
    pub fn origin(&self) -> Self {
        let mut kind = self.without_volume();
        kind.reservations.retain(|level| level.kind == ReservationType::Static);
        kind.allocated_to = None;
        kind
    }

    /// Whether both are the same but for how they are used: a task may mount a
    /// volume elsewhere and in another mode than it was created with.
    pub fn is_same_but_use(&self, other: &Self) -> bool {
        fn identity(disk: Option<&Disk>) -> (Option<&str>, Option<&Source>) {
            let id = disk.and_then(|disk| disk.persistence.as_ref()).map(|it| it.id.as_str());
            (id, disk.and_then(|disk| disk.source.as_ref()))
        }
        let Self { name, reservations, disk, revocable, shared, provider, allocated_to } = self;
        *name == other.name
            && *reservations == other.reservations
            && identity(disk.as_deref()) == identity(other.disk.as_deref())
            && *revocable == other.revocable
            && *shared == other.shared
            && *provider == other.provider
            && *allocated_to == other.allocated_to
    }

    /// The id of the persistent volume that it is.
    pub fn volume_id(&self) -> Option<&str> {
        Some(&self.disk.as_ref()?.persistence.as_ref()?.id)
    }
}
