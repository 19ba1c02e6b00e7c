//! Host ports out of the ranges of an offer.
#![deny(clippy::disallowed_methods)]

use karman_model::ranges::Ranges;

/// A port that a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortNeed {
    Any,
    Exactly(u16),
}

/// Whether the ranges hold what is needed.
pub fn fit(offered: &Ranges, needs: &[PortNeed]) -> bool {
    let enough = u64::try_from(needs.len()).is_ok_and(|needed| needed <= offered.count());
    enough
        && needs.iter().all(|need| match need {
            PortNeed::Any => true,
            PortNeed::Exactly(port) => offered.has(u64::from(*port)),
        })
}

/// The ports for the needs, in their order. Free choices start at a random
/// place, so that a port just given back is not given out again at once.
pub fn allocate(offered: &Ranges, needs: &[PortNeed], random: u64) -> Option<Vec<u16>> {
    if !fit(offered, needs) {
        return None;
    }
    let mut left = offered.clone();
    for need in needs {
        if let PortNeed::Exactly(port) = need {
            left = left.difference(&Ranges::single(u64::from(*port)));
        }
    }
    let count = left.count();
    let start = random.checked_rem(count).unwrap_or_default();
    let mut free = (0..count).filter_map(|i| nth(&left, (start + i) % count));
    needs
        .iter()
        .map(|need| match need {
            PortNeed::Exactly(port) => Some(*port),
            PortNeed::Any => free.next(),
        })
        .collect()
}

fn nth(ranges: &Ranges, mut n: u64) -> Option<u16> {
    for range in ranges.iter() {
        let length = range.end - range.begin + 1;
        if n < length {
            return u16::try_from(range.begin + n).ok();
        }
        n -= length;
    }
    None
}
