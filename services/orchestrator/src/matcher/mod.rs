//! Puts waiting instances onto offers, and says for every offer that was not
//! used why not.
//!
//! Instances of one app are spread: of the offers that will do, the one whose
//! agent has the fewest of them is taken. Same input, same result; randomness
//! (where port numbers start) is an argument.
#![deny(clippy::disallowed_methods)]

pub mod constraint;
pub mod offer;
pub mod ports;

use std::collections::{BTreeMap, BTreeSet};

use karman_api::marathon::v2::queue::RejectReason;
use karman_model::quantity::Quantity;

use constraint::{Constraint, Site};
pub use offer::Offer;
use ports::PortNeed;

/// Instances of one app that wait; they are all alike.
#[derive(Clone, Debug)]
pub struct Need<'a> {
    pub app: &'a str,
    pub instances: Vec<&'a str>,
    pub cpus: Quantity,
    pub mem: Quantity,
    pub disk: Quantity,
    pub ports: Vec<PortNeed>,
    pub constraints: &'a [Constraint],
    /// Where the app's tasks are already.
    pub neighbours: Vec<Site>,
}

/// An instance that fits, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub app: String,
    pub instance: String,
    /// Index into the offers.
    pub offer: usize,
    pub ports: Vec<u16>,
}

/// What became of the needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solution {
    pub launches: Vec<Launch>,
    /// For each app that was looked at: why each offer was refused at the end.
    pub reports: BTreeMap<String, Report>,
}

/// Of one app: the offers that were used, and those refused with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub used: BTreeSet<usize>,
    pub refused: BTreeMap<usize, RejectReason>,
}

/// Matches as many instances as fit.
pub fn solve(offers: &[Offer], needs: &[Need<'_>], random: &mut dyn FnMut() -> u64) -> Solution {
    let mut left: Vec<Offer> = offers.to_vec();
    let mut solution = Solution::default();
    for need in needs {
        let report = place(need, &mut left, &mut solution.launches, random);
        solution.reports.insert(need.app.to_owned(), report);
    }
    solution
}

fn place(
    need: &Need<'_>,
    left: &mut [Offer],
    launches: &mut Vec<Launch>,
    random: &mut dyn FnMut() -> u64,
) -> Report {
    let mut neighbours = need.neighbours.clone();
    let mut per_agent: BTreeMap<String, usize> = BTreeMap::new();
    for site in &neighbours {
        *per_agent.entry(site.agent_id.clone()).or_default() += 1;
    }
    let mut report = Report::default();
    let mut waiting = need.instances.iter();
    // Without constraints an offer that was too small stays too small.
    let mut candidates: Vec<usize> = (0..left.len()).collect();
    let known = groups(left);
    while !waiting.as_slice().is_empty() {
        report.refused.clear();
        candidates.retain(|i| {
            let Some(offer) = left.get(*i) else { return false };
            let refusal = refusal(need, offer, &neighbours, &known);
            report.refused.extend(refusal.map(|reason| (*i, reason)));
            refusal.is_none() || !need.constraints.is_empty()
        });
        let fits = candidates.iter().copied().filter(|i| !report.refused.contains_key(i));
        let load = |i: &usize| {
            let offer = left.get(*i);
            let agent = offer.map(|offer| offer.agent_id.as_str()).unwrap_or_default();
            (
                per_agent.get(agent).copied().unwrap_or_default(),
                offer.map(|offer| std::cmp::Reverse(offer.cpus)),
                *i,
            )
        };
        let Some(best) = fits.min_by_key(load) else { break };
        let (Some(instance), Some(offer)) = (waiting.next(), left.get_mut(best)) else { break };
        let Some(ports) = ports::allocate(&offer.ports, &need.ports, random()) else { break };
        offer.take(need.cpus, need.mem, need.disk, &ports);
        let site = offer.site();
        *per_agent.entry(site.agent_id.clone()).or_default() += 1;
        neighbours.push(site);
        report.used.insert(best);
        launches.push(Launch {
            app: need.app.into(),
            instance: (*instance).into(),
            offer: best,
            ports,
        });
    }
    if waiting.as_slice().is_empty() {
        report.refused.clear();
    } else {
        // Offers that dropped out early count as refused as well.
        for (i, offer) in left.iter().enumerate() {
            report
                .refused
                .extend(refusal(need, offer, &neighbours, &known).map(|reason| (i, reason)));
        }
    }
    report
}

/// Why an offer will not do, in the order in which clients expect reasons.
fn refusal(
    need: &Need<'_>,
    offer: &Offer,
    neighbours: &[Site],
    known: &[Site],
) -> Option<RejectReason> {
    let site = offer.site_ref();
    if !need.constraints.iter().all(|constraint| constraint.admits(site, neighbours, known)) {
        return Some(RejectReason::UnfulfilledConstraint);
    }
    if offer.draining {
        return Some(RejectReason::AgentMaintenance);
    }
    if need.cpus > offer.cpus {
        return Some(RejectReason::InsufficientCpus);
    }
    if need.mem > offer.mem {
        return Some(RejectReason::InsufficientMemory);
    }
    if need.disk > offer.disk {
        return Some(RejectReason::InsufficientDisk);
    }
    (!ports::fit(&offer.ports, &need.ports)).then_some(RejectReason::InsufficientPorts)
}

fn groups(offers: &[Offer]) -> Vec<Site> {
    offers.iter().map(Offer::site).collect()
}

#[cfg(test)]
mod tests;
