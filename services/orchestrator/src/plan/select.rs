//! Which instances have to go first.
#![deny(clippy::disallowed_methods)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use karman_api::marathon::v2::app::KillSelection;

use super::rollout::Member;

/// `count` of the candidates: those sentenced, then those in places that hold
/// too many, then the least useful, then by age.
pub fn victims(candidates: &[&Member], count: usize, selection: KillSelection) -> Vec<String> {
    let mut left: Vec<&Member> = candidates.to_vec();
    left.sort_by_key(|member| (member.phase, by_age(member, selection), member.id.clone()));
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let crowded = crowded(&left);
        let rank = |member: &&Member| {
            let is_crowded = member.place.as_ref().is_some_and(|place| crowded.contains(place));
            (!member.sentenced, !is_crowded)
        };
        let Some(best) = (0..left.len()).min_by_key(|i| left.get(*i).map(rank)) else { break };
        chosen.push(left.remove(best).id.clone());
    }
    chosen
}

fn by_age(member: &Member, selection: KillSelection) -> (Reverse<u64>, u64) {
    let at = member.started.as_ms();
    match selection {
        KillSelection::YoungestFirst => (Reverse(at), 0),
        KillSelection::OldestFirst => (Reverse(0), at),
    }
}

/// The places with the most members, where not all places have as many.
fn crowded(members: &[&Member]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for place in members.iter().filter_map(|member| member.place.as_deref()) {
        *counts.entry(place).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or_default();
    if counts.values().all(|count| *count == most) {
        return BTreeSet::new();
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count == most)
        .map(|(place, _)| place.to_owned())
        .collect()
}
