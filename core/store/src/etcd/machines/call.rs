//! What is asked of etcd, and what it answers, free of its wire format.

use std::time::Duration;

use bytes::Bytes;

/// A lease of etcd.
pub(crate) type Lease = i64;

/// One request. Reads are linearizable: a leader is chosen by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Several keys as of one revision.
    Read(Vec<String>),
    Txn(Txn),
    Grant {
        ttl: Duration,
    },
    KeepAlive(Lease),
    /// Ends a lease, with all keys that were put under it.
    Revoke(Lease),
}

/// All of `then` if all comparisons hold; otherwise some keys are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Txn {
    pub(crate) compare: Vec<Compare>,
    pub(crate) then: Vec<Op>,
    pub(crate) otherwise: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Missing {
        key: String,
    },
    ValueIs {
        key: String,
        value: Bytes,
    },
    /// There is a value, and byte for byte it sorts before this one.
    ValueBelow {
        key: String,
        value: Bytes,
    },
    ModifiedAt {
        key: String,
        revision: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Put { key: String, value: Bytes, lease: Option<Lease> },
    Delete { key: String },
}

/// A value with the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) value: Bytes,
    pub(crate) revision: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Read {
        found: Vec<Option<Found>>,
    },
    Txn {
        applied: bool,
        revision: i64,
        /// What `otherwise` asked for, where it was not applied.
        found: Vec<Option<Found>>,
    },
    Granted {
        lease: Lease,
        ttl: Duration,
    },
    Alive {
        ttl: Duration,
    },
    Revoked,
}

/// What is known about a request once its caller stops waiting for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// Refused, so it never happens: the lease does not exist.
    LeaseGone,
    /// Refused, so it never happens: etcd is configured to take less at once.
    TooLarge {
        reason: String,
    },
    /// Refused for another reason, so it never happens.
    Refused {
        reason: String,
    },
    /// No answer. It happened, happens later, or never does.
    Unknown {
        reason: String,
    },
}
