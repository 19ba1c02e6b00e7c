//! How a cluster does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Crew, Node, Report, State};
use crate::node::Health;
use crate::plan::Role;
use crate::site::Member;

/// A cluster that was just deployed elects a leader and finds its agents.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_secs(1);

/// One look at every machine.
pub async fn status(crew: &Crew) -> Report {
    let members = crew.reachable();
    let met = Crew::each(members.clone(), |member| async move { crew.meet(&member).await }).await;
    let mut report = Report::default();
    let mut nodes = Vec::new();
    for (Member { address, role, .. }, met) in members.into_iter().zip(met) {
        match met {
            Ok(node) => nodes.push(node),
            Err(error) => report.add(address, role, State::Failed, format!("{error:#}")),
        }
    }
    look(crew, &nodes, &mut report).await;
    Crew::each(nodes, |node: Node| node.remote.close()).await;
    report.sort();
    report
}

/// Looks until everything is well, or the cluster had its time to settle.
pub async fn postflight(crew: &Crew) -> Report {
    let begin = Instant::now();
    loop {
        let report = status(crew).await;
        if report.is_good() || begin.elapsed() > SETTLE_LIMIT {
            return report;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn look(crew: &Crew, nodes: &[Node], report: &mut Report) {
    let looks = Crew::each(nodes.iter().collect(), |node: &Node| async move {
        node.call::<Health>("health", &json!(null)).await
    });
    let mut leaders = BTreeSet::new();
    let mut agents = BTreeSet::new();
    let mut asked = false;
    for (node, health) in nodes.iter().zip(looks.await) {
        let Member { address, role, .. } = node.member;
        match health {
            Ok(health) => {
                asked |= health.leader.is_some();
                leaders.extend(health.leader.clone());
                let connected = health.agents.iter().filter(|(_, active)| **active);
                agents.extend(connected.map(|(address, _)| address.clone()));
                let (state, what) = sentence(&health, &crew.release());
                report.add(address, role, state, what);
            }
            Err(error) => report.add(address, role, State::Failed, format!("{error:#}")),
        }
    }
    for Member { address, role, joined, .. } in &crew.members {
        if *role != Role::Master && asked && !agents.contains(&address.to_string()) {
            report.add(*address, *role, State::Failed, "its agent is not connected to the masters");
        } else if *joined {
            report.add(*address, *role, State::Done, "connected (joined by itself)");
        }
    }
    if leaders.len() > 1 {
        let names: Vec<String> = leaders.into_iter().collect();
        let what = format!("the masters do not agree who leads: {}", names.join(", "));
        if let Some(master) = crew.members.first() {
            report.add(master.address, master.role, State::Failed, what);
        }
    }
}

fn sentence(health: &Health, release: &str) -> (State, String) {
    let Health { installed, units, checks, leader, .. } = health;
    let Some(installed) = installed else {
        return (State::Failed, "not installed".to_owned());
    };
    let mut wrong: Vec<String> = units
        .iter()
        .filter(|unit| !unit.active)
        .map(|unit| format!("{} is {}, {} restarts", unit.name, unit.state, unit.restarts))
        .collect();
    let failed = checks.iter().filter_map(|(check, error)| Some((check, error.as_ref()?)));
    wrong.extend(failed.map(|(check, error)| format!("not true: {check}: {error}")));
    let mut text = format!("release {}, {} services", installed.release, units.len());
    if let Some(leader) = leader {
        text.push_str(&format!(", led by {leader}"));
    }
    if !wrong.is_empty() {
        return (State::Failed, wrong.join("; "));
    }
    if installed.release != release {
        text.push_str(&format!("; deploy would make it {release}"));
        return (State::Warned, text);
    }
    (State::Done, text)
}
