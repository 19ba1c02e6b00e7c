//! From names to addresses. Pure.
//!
//! The address is a hash of the name, so that all nodes agree without talking,
//! and old clusters give the same answer. Where two names have one hash, those
//! at home there come first: each address belongs to the smallest name whose
//! hash it is. Only then the others take, in the order of their names, the next
//! free address. So a name that nobody else hashes to keeps its address
//! whatever comes and goes.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ring::digest;

use super::Name;

/// Where named virtual IPs lie; the last address of each range is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    pub v4: (Ipv4Addr, Ipv4Addr),
    pub v6: (Ipv6Addr, Ipv6Addr),
}

impl Default for Ranges {
    /// Those of DC/OS.
    fn default() -> Self {
        let v6 = |last: u16| Ipv6Addr::new(0xfd01, 0xc, 0, 0, last, last, last, last);
        Self {
            v4: (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 255)),
            v6: (v6(0), v6(0xffff)),
        }
    }
}

impl Ranges {
    /// Addresses for names with IPv4 backends. A full range leaves some without.
    pub fn assign_v4(&self, names: &BTreeSet<Name>) -> BTreeMap<Name, Ipv4Addr> {
        let (first, last) = (self.v4.0.to_bits(), self.v4.1.to_bits());
        let size = last.saturating_sub(first);
        let home =
            |name: &Name| phash2(name.to_string().as_bytes()).checked_rem(size).map(u128::from);
        let slots = assign(names, u128::from(size), home);
        let address = |slot| {
            u32::try_from(slot)
                .map_or(self.v4.0, |slot| Ipv4Addr::from_bits(first.saturating_add(slot)))
        };
        slots.into_iter().map(|(name, slot)| (name, address(slot))).collect()
    }

    /// Addresses for names with IPv6 backends.
    pub fn assign_v6(&self, names: &BTreeSet<Name>) -> BTreeMap<Name, Ipv6Addr> {
        let (first, last) = (self.v6.0.to_bits(), self.v6.1.to_bits());
        let size = last.saturating_sub(first);
        let slots = assign(names, size, |name| sha1_rem(name.to_string().as_bytes(), size));
        let address = |slot| Ipv6Addr::from_bits(first.saturating_add(slot));
        slots.into_iter().map(|(name, slot)| (name, address(slot))).collect()
    }
}

fn assign(
    names: &BTreeSet<Name>,
    size: u128,
    home: impl Fn(&Name) -> Option<u128>,
) -> BTreeMap<Name, u128> {
    let mut taken = BTreeSet::new();
    let mut assigned = BTreeMap::new();
    let mut displaced = Vec::new();
    for name in names {
        let Some(slot) = home(name) else { continue };
        if taken.insert(slot) {
            assigned.insert(name.clone(), slot);
        } else {
            displaced.push((name, slot));
        }
    }
    for (name, slot) in displaced {
        // One more step than there are names always finds a free slot, unless
        // the range is full.
        let steps = size.min(u128::try_from(names.len()).unwrap_or(u128::MAX));
        let free = (1..=steps).map(|step| (slot + step) % size).find(|slot| taken.insert(*slot));
        if let Some(slot) = free {
            assigned.insert(name.clone(), slot);
        }
    }
    assigned
}

/// The SHA-1 of `bytes` as a number, modulo `size`.
fn sha1_rem(bytes: &[u8], size: u128) -> Option<u128> {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    // 160 bits do not fit: bit by bit the remainder always does.
    digest.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).try_fold(
        0_u128,
        |rest, bit| {
            let carry = rest.leading_zeros() == 0;
            let doubled = rest << 1 | u128::from(bit);
            // After a carry the true value is 2^128 + doubled, less than 2 * size.
            if carry { Some(doubled.wrapping_sub(size)) } else { doubled.checked_rem(size) }
        },
    )
}

/// The portable hash of Erlang for a binary: Bob Jenkins' second, with Erlang's
/// start value for binaries.
pub fn phash2(bytes: &[u8]) -> u32 {
    const GOLDEN_RATIO: u32 = 0x9e37_79b9;
    const BINARY: u32 = 0x08d1_2e65;
    const BLOCK: usize = 12;
    let word = |block: &[u8], start: usize| {
        (0..4).fold(0_u32, |word, n| {
            word | u32::from(block.get(start + n).copied().unwrap_or_default()) << (8 * n)
        })
    };
    let (mut a, mut b, mut c) = (GOLDEN_RATIO, GOLDEN_RATIO, BINARY);
    let mut blocks = bytes.chunks_exact(BLOCK);
    for block in blocks.by_ref() {
        (a, b, c) = mix(
            a.wrapping_add(word(block, 0)),
            b.wrapping_add(word(block, 4)),
            c.wrapping_add(word(block, 8)),
        );
    }
    // The lowest byte of the last word is the length.
    let rest = blocks.remainder();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let last = c.wrapping_add(length).wrapping_add(word(rest, 8) << 8);
    mix(a.wrapping_add(word(rest, 0)), b.wrapping_add(word(rest, 4)), last).2
}

fn mix(a: u32, b: u32, c: u32) -> (u32, u32, u32) {
    let step = |x: u32, y: u32, z: u32, shifted: u32| x.wrapping_sub(y).wrapping_sub(z) ^ shifted;
    let (mut a, mut b, mut c) = (a, b, c);
    for (right, left, last) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        a = step(a, b, c, c >> right);
        b = step(b, c, a, a << left);
        c = step(c, a, b, b >> last);
    }
    (a, b, c)
}
