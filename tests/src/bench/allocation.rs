//! The allocator as a function: everything free and everybody hungry, then one
//! change at a time. The shape is that of Mesos' own benchmark: one role, equal
//! agents, every framework wants all it can get.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use karman_allocator::{Allocator, Demand, Grant, Machine};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use crate::row::{Row, ms, percentile};

const AGENTS: &[usize] = &[1_000, 10_000, 20_000, 50_000];
const FRAMEWORKS: &[usize] = &[1, 50, 1_000, 2_000, 6_000];
const RESOURCES: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";
const ROLE: &str = "*";
const RUNS: usize = 3;
/// Changes that are timed one by one.
const CHANGES: usize = 200;
/// The size that has a target and a published figure.
const PROMISED: (usize, usize) = (20_000, 2_000);
const FULL_TARGET_MS: f64 = 100.0;
const CHANGE_TARGET_MS: f64 = 1.0;
const PEER: &str = "Mesos 1.8, published";
/// Seconds of Mesos 1.8 by agents and frameworks.
const PUBLISHED: &[(usize, usize, f64)] = &[(10_000, 1_000, 1.1), (20_000, 2_000, 3.8)];

pub(crate) fn run() -> Result<()> {
    for agents in AGENTS {
        for frameworks in FRAMEWORKS {
            cell(*agents, *frameworks)?;
        }
    }
    Ok(())
}

fn cell(agents: usize, frameworks: usize) -> Result<()> {
    let mut full = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..RUNS {
        let (first, mut later) = measure(agents, frameworks)?;
        full.push(first);
        changes.append(&mut later);
    }
    let name = |kind: &str| {
        format!("allocate_{kind}_{}_agents_{}_frameworks_ms", k(agents), k(frameworks))
    };
    let published = PUBLISHED.iter().find(|(a, f, _)| (*a, *f) == (agents, frameworks));
    let is_promised = (agents, frameworks) == PROMISED;
    for (kind, value, target) in [
        ("full", ms(percentile(&mut full, 50)), FULL_TARGET_MS),
        ("incremental", ms(percentile(&mut changes, 50)), CHANGE_TARGET_MS),
        ("incremental_p99", ms(percentile(&mut changes, 99)), CHANGE_TARGET_MS),
    ] {
        let row = Row::new(name(kind), value, "ms");
        let row = match published {
            Some((.., seconds)) => row.peer(PEER, seconds * 1_000.0),
            None => row,
        };
        if is_promised { row.target(target).print() } else { row.print() }
    }
    Ok(())
}

fn k(number: usize) -> String {
    if number.is_multiple_of(1_000) { format!("{}k", number / 1_000) } else { number.to_string() }
}

/// The first cycle, and each of the changes after it: by turns an agent's
/// resources come back, and a framework changes its mind.
fn measure(agents: usize, frameworks: usize) -> Result<(Duration, Vec<Duration>)> {
    let mut allocator = Allocator::default();
    let total = Resources::parse(RESOURCES, ROLE)?;
    for at in 0..agents {
        allocator.add_agent(&AgentId::from(format!("agent-{at:06}")), machine(&total, at));
    }
    for at in 0..frameworks {
        allocator.put_framework(&framework(at), demand());
    }
    let begun = Instant::now();
    let mut grants = allocator.allocate(Timestamp(1));
    let full = begun.elapsed();
    ensure!(grants.len() == agents, "{} of {agents} agents are offered", grants.len());

    let mut changes = Vec::with_capacity(CHANGES);
    for turn in 0..CHANGES {
        let now = Timestamp(2 + u64::try_from(turn)?);
        if turn % 2 == 0 {
            let Grant { agent, framework, role, resources } =
                grants.get(turn * 97 % agents).context("no grant")?.clone();
            let begun = Instant::now();
            allocator.release(&agent, &framework, &role, &resources);
            let again = allocator.allocate(now);
            changes.push(begun.elapsed());
            ensure!(again.len() == 1, "a freed agent is offered at once");
            let at = turn * 97 % agents;
            if let (Some(slot), Some(grant)) = (grants.get_mut(at), again.into_iter().next()) {
                *slot = grant;
            }
        } else {
            let changed = framework(turn * 31 % frameworks);
            let begun = Instant::now();
            allocator.suppress(&changed, &BTreeSet::new());
            allocator.revive(&changed, &BTreeSet::new());
            let none = allocator.allocate(now);
            changes.push(begun.elapsed());
            ensure!(none.is_empty(), "nothing is left to offer");
        }
    }
    Ok((full, changes))
}

fn machine(total: &Resources, at: usize) -> Machine {
    Machine { total: total.clone(), hostname: format!("host-{at}"), ..Machine::default() }
}

fn framework(at: usize) -> FrameworkId {
    FrameworkId::from(format!("framework-{at:05}"))
}

fn demand() -> Demand {
    Demand { roles: BTreeSet::from([ROLE.into()]), active: true, ..Demand::default() }
}
