//! Revisions that only grow, over a cluster that may be set back.
//!
//! An etcd that was restored from a backup counts its revisions from the older
//! state again. Within this process a revision must never come to mean two
//! things, so each setting back shifts those that follow above all before it.
//! Revisions are for comparing within one process, never between two.

use crate::Revision;

#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    cluster: Option<u64>,
    /// The newest revision of etcd that was seen since it was set back.
    newest: i64,
    /// What is added to revisions of etcd.
    shift: i64,
    /// How often it was set back.
    era: u64,
}

/// What was known when a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    newest: i64,
    pub(crate) era: u64,
}

/// What a linearizable answer says about the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    Onward,
    /// The cluster was set back; watches of before must list again.
    SetBack,
    /// The answer is from before a setting back that is known already.
    Outdated,
}

impl Timeline {
    pub(crate) fn sent(&self) -> Sent {
        Sent { newest: self.newest, era: self.era }
    }

    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    /// Judges an answer to a linearizable request. Whatever was known when it
    /// was sent is included in it, unless the cluster was set back.
    pub(crate) fn observe(&mut self, sent: Sent, cluster: u64, revision: i64) -> Observed {
        if sent.era != self.era {
            return Observed::Outdated;
        }
        let other = self.cluster.is_some_and(|known| known != cluster);
        self.cluster = Some(cluster);
        if other || revision < sent.newest {
            self.set_back();
            self.newest = revision;
            return Observed::SetBack;
        }
        self.newest = self.newest.max(revision);
        Observed::Onward
    }

    /// Somebody found out by other means than an answer's revision.
    pub(crate) fn set_back(&mut self) {
        self.shift += self.newest;
        self.newest = 0;
        self.era += 1;
    }

    /// The revision as callers see it.
    pub(crate) fn revision(&mut self, etcd: i64) -> Revision {
        self.newest = self.newest.max(etcd);
        Revision::try_from(self.shift + etcd).unwrap_or_default()
    }

    /// The revision of etcd; `None` when it was set back since.
    pub(crate) fn etcd(&self, revision: Revision) -> Option<i64> {
        let etcd = i64::try_from(revision).ok()? - self.shift;
        (etcd >= 0 && (etcd > 0 || self.shift == 0)).then_some(etcd)
    }
}

#[cfg(test)]
mod tests;
