//! The two values that leadership rests on, as text that a person can read with
//! `etcdctl get`.

use bytes::Bytes;

use super::call::{Compare, Op, Txn};

/// The durable fence of a name. Every transaction of its leader compares it with
/// what that leader wrote last, and writes the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Grows with every leader.
    pub(crate) token: u64,
    /// Grows with every transaction of one leader.
    pub(crate) sequence: u64,
    /// Drawn by chance for each leader: when a cluster is set back to an older
    /// state, tokens may be used twice, but never with the same nonce.
    pub(crate) nonce: u128,
}

impl Record {
    /// Numbers have all their digits, so that records sort by token, then by
    /// sequence.
    pub(crate) fn encode(&self) -> Bytes {
        let Self { token, sequence, nonce } = self;
        format!("{token:020} {sequence:020} {nonce:032x}").into()
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.split(' ');
        let record = Self {
            token: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
            nonce: u128::from_str_radix(words.next()?, 16).ok()?,
        };
        (record.encode() == value).then_some(record)
    }

    /// Sorts after every record of a smaller token and before this one.
    pub(crate) fn above_smaller_tokens(&self) -> Bytes {
        format!("{:020}", self.token).into()
    }

    /// Whether both were written by the same leader.
    pub(crate) fn same_leader(&self, other: &Self) -> bool {
        self.token == other.token && self.nonce == other.nonce
    }
}

/// Who says that it leads. It vanishes with its lease, and then others may try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) token: u64,
    pub(crate) holder: String,
}

impl Claim {
    pub(crate) fn encode(&self) -> Bytes {
        format!("{} {}", self.token, self.holder).into()
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (token, holder) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { token: token.parse().ok()?, holder: holder.to_owned() })
    }

    /// Takes this claim away before its lease does, if it is still there.
    pub(crate) fn expire(&self, key: String) -> Txn {
        let compare = vec![Compare::ValueIs { key: key.clone(), value: self.encode() }];
        Txn { compare, then: vec![Op::Delete { key }], otherwise: vec![] }
    }
}

#[cfg(test)]
mod tests;
