//! A watch on some keys: when it goes on, and when it must list again.
//!
//! Streams of etcd break, move to members that are behind, and meet a history
//! that was compacted or set back. Before each stream the machine asks whether
//! the revision up to which it delivered still means the same; then it follows
//! from the next one. What cannot be followed ends in [`Effect::Relist`].

use bytes::Bytes;

use super::call::Found;
use crate::Change;

/// Bytes of one answer in several pieces; more is a reader that fell behind.
const PIECES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A key that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) key: String,
    /// None where it was deleted.
    pub(crate) value: Option<Bytes>,
    pub(crate) revision: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Start,
    Checked(Checked),
    Answer(Answer),
    /// The stream ended, or was cancelled for a reason that may pass.
    Broken,
}

/// What became of the revision that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is there, and this is what the key held then.
    Known {
        found: Option<Found>,
    },
    Compacted,
    /// The cluster has not come that far: it was set back.
    Future,
    Unreachable,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) compacted: bool,
    /// More pieces of this answer follow.
    pub(crate) unfinished: bool,
    pub(crate) changed: Vec<Changed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask for `key` as of `revision`.
    Check {
        key: String,
        revision: i64,
    },
    /// Stream everything from this revision on.
    Open {
        from: i64,
    },
    Deliver {
        revision: i64,
        changes: Vec<Change>,
    },
    /// The last effect.
    Relist,
}

/// The machine of one watch.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    prefix: String,
    /// Delivered up to this revision.
    after: i64,
    /// The last key that was delivered, and what it held.
    last: Option<(String, Option<Bytes>)>,
    pieces: Vec<Changed>,
    pieces_bytes: usize,
}

impl Follow {
    pub(crate) fn new(prefix: String, after: i64) -> Self {
        Self { prefix, after, last: None, pieces: Vec::new(), pieces_bytes: 0 }
    }

    pub(crate) fn apply(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Start | Event::Broken => {
                self.pieces.clear();
                self.pieces_bytes = 0;
                vec![self.check()]
            }
            Event::Checked(Checked::Unreachable) => vec![self.check()],
            Event::Checked(Checked::Compacted | Checked::Future) => vec![Effect::Relist],
            Event::Checked(Checked::Known { found }) if self.is_same(found.as_ref()) => {
                vec![Effect::Open { from: self.after + 1 }]
            }
            Event::Checked(Checked::Known { .. }) => vec![Effect::Relist],
            Event::Answer(answer) => self.answer(answer),
        }
    }

    fn check(&self) -> Effect {
        let key = self.last.as_ref().map_or(&self.prefix, |(key, _)| key).clone();
        Effect::Check { key, revision: self.after }
    }

    /// Whether the key of the last delivery is as it was delivered.
    fn is_same(&self, found: Option<&Found>) -> bool {
        match &self.last {
            None => true,
            Some((_, value)) => {
                let there = found.map(|found| (&found.value, found.revision));
                there == value.as_ref().map(|value| (value, self.after))
            }
        }
    }

    fn answer(&mut self, answer: Answer) -> Vec<Effect> {
        let Answer { compacted, unfinished, changed } = answer;
        if compacted {
            return vec![Effect::Relist];
        }
        let size =
            |changed: &Changed| changed.key.len() + changed.value.as_ref().map_or(0, Bytes::len);
        self.pieces_bytes += changed.iter().map(size).sum::<usize>();
        self.pieces.extend(changed);
        if unfinished {
            let fell_behind = self.pieces_bytes > PIECES_BYTES_MAX;
            return if fell_behind { vec![Effect::Relist] } else { vec![] };
        }
        self.pieces_bytes = 0;
        self.deliver()
    }

    fn deliver(&mut self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = Vec::new();
        let before = self.after;
        for Changed { key, value, revision } in self.pieces.drain(..) {
            if revision <= before {
                continue;
            }
            self.after = revision;
            self.last = Some((key.clone(), value.clone()));
            let change = match value {
                Some(value) => Change::Put { key, value },
                None => Change::Delete { key },
            };
            match effects.last_mut() {
                Some(Effect::Deliver { revision: last, changes }) if *last == revision => {
                    changes.push(change);
                }
                _ => effects.push(Effect::Deliver { revision, changes: vec![change] }),
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests;
