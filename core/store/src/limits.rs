//! What a commit may contain, the same for every engine. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use crate::{Change, Error};

/// The largest value in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// The longest key or name in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest text about a leader that everybody can read.
pub const HOLDER_BYTES_MAX: usize = 4096;
/// The most changes in one transaction.
pub const CHANGES_MAX: usize = 4096;
/// The most bytes of keys and values in one transaction. It keeps a queue of
/// waiting commits within memory, a batch within one short write, and a request
/// within the 10 MiB that etcd recommends as the most it is configured to take.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Splits changes, in their order, into transactions within the limits. One
/// change that is too large by itself stays so and is refused.
pub fn parts(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut parts: Vec<Vec<Change>> = Vec::new();
    let mut bytes = 0;
    for change in changes {
        let size = bytes_of(&change);
        match parts.last_mut() {
            Some(part) if part.len() < CHANGES_MAX && bytes + size <= COMMIT_BYTES_MAX => {
                bytes += size;
                part.push(change);
            }
            _ => {
                bytes = size;
                parts.push(vec![change]);
            }
        }
    }
    parts
}

fn bytes_of(change: &Change) -> usize {
    change.key().len()
        + match change {
            Change::Put { value, .. } => value.len(),
            Change::Delete { .. } => 0,
        }
}

/// The changes of a commit within the limits, at most one for each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) changes: Vec<Change>,
    pub(crate) bytes: usize,
}

/// Checks the limits; of several changes of one key keeps the last, in the
/// place where it stands.
pub(crate) fn check(changes: Vec<Change>) -> Result<Checked, Error> {
    let mut bytes = 0;
    if changes.len() > CHANGES_MAX {
        return refuse(format!(
            "{} changes at once, at most {CHANGES_MAX} are possible",
            changes.len()
        ));
    }
    for change in &changes {
        let key = change.key();
        if !key.starts_with('/') || key.len() > KEY_BYTES_MAX {
            return refuse(format!(
                "a key starts with '/' and has at most {KEY_BYTES_MAX} bytes, not '{key:.80}'"
            ));
        }
        let value_bytes = match change {
            Change::Put { value, .. } => value.len(),
            Change::Delete { .. } => 0,
        };
        if value_bytes > VALUE_BYTES_MAX {
            return refuse(format!(
                "'{key}' has {value_bytes} bytes, at most {VALUE_BYTES_MAX} are possible"
            ));
        }
        bytes += key.len() + value_bytes;
    }
    if bytes > COMMIT_BYTES_MAX {
        return refuse(format!("{bytes} bytes at once, at most {COMMIT_BYTES_MAX} are possible"));
    }
    Ok(Checked { changes: latest(changes), bytes })
}

/// Of several changes of one key the last, in the place where it stands.
pub(crate) fn latest(changes: Vec<Change>) -> Vec<Change> {
    let last: BTreeMap<String, usize> = changes
        .iter()
        .enumerate()
        .map(|(position, change)| (change.key().to_owned(), position))
        .collect();
    if last.len() == changes.len() {
        return changes;
    }
    let kept = changes
        .into_iter()
        .enumerate()
        .filter(|(position, change)| last.get(change.key()) == Some(position));
    kept.map(|(_, change)| change).collect()
}

/// Checks a name that is campaigned for.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > KEY_BYTES_MAX {
        return refuse(format!("a name of leadership has 1 to {KEY_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Checks what a campaigner says about itself.
pub(crate) fn check_holder(holder: &str) -> Result<(), Error> {
    if holder.is_empty() || holder.len() > HOLDER_BYTES_MAX {
        return refuse(format!("the text about a leader has 1 to {HOLDER_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn refuse<T>(reason: String) -> Result<T, Error> {
    Err(Error::Refused { reason })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn put(n: usize, bytes: usize) -> Change {
        Change::Put { key: format!("/{n}"), value: Bytes::from(vec![0; bytes]) }
    }

    #[test]
    fn parts_are_within_the_limits_and_keep_the_order() {
        assert_eq!(parts(Vec::new()), Vec::<Vec<Change>>::new());
        let large: Vec<Change> = (0..40).map(|n| put(n, VALUE_BYTES_MAX)).collect();
        let many: Vec<Change> = (0..2 * CHANGES_MAX + 1).map(|n| put(n, 0)).collect();
        for (changes, expected) in [(large, 6), (many, 3)] {
            let split = parts(changes.clone());
            assert_eq!(split.len(), expected);
            assert!(split.iter().all(|part| check(part.clone()).is_ok()));
            assert_eq!(split.concat(), changes);
        }
    }
}
