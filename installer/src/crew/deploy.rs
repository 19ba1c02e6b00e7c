//! Making machines the nodes of a cluster.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;

use super::{Crew, Node, Report, State, preflight};
use crate::node::Applied;
use crate::plan::Role;
use crate::site::Member;

/// Deploys to the members: masters first, all at once where they are new, for
/// their store serves once most of them do; one after the other where they
/// serve already.
pub async fn deploy(crew: &Crew, members: Vec<Member>) -> Report {
    let (nodes, checked) = preflight(crew, members.clone()).await;
    let mut report = Report::default();
    let (masters, agents): (Vec<Node>, Vec<Node>) =
        nodes.into_iter().partition(|node| node.member.role == Role::Master);
    let is_master = |member: &&Member| member.role == Role::Master;
    if members.iter().filter(is_master).any(|master| checked.failed(master.address)) {
        for node in masters.iter().chain(&agents) {
            let Member { address, role, .. } = node.member;
            if !checked.failed(address) {
                let what = "left alone: all masters must be fit first";
                report.add(address, role, State::Skipped, what);
            }
        }
        report.merge_failures(checked);
        report.sort();
        close(masters.into_iter().chain(agents)).await;
        return report;
    }
    let new = masters.iter().all(|node| node.facts.installed.is_none());
    let mut done = Vec::new();
    if new {
        done = Crew::each(masters.iter().collect(), |node| apply(crew, node)).await;
    } else {
        for node in &masters {
            let applied = apply(crew, node).await;
            let failed = applied.is_err();
            done.push(applied);
            if failed {
                break;
            }
        }
    }
    note(&masters, done, &mut report);
    let led = masters.iter().all(|node| !report.failed(node.member.address));
    if led {
        let ready: Vec<&Node> =
            agents.iter().filter(|node| !checked.failed(node.member.address)).collect();
        let done = Crew::each(ready.clone(), |node| apply(crew, node)).await;
        for (node, applied) in ready.into_iter().zip(done) {
            note_one(node, applied, &mut report);
        }
    }
    for node in &agents {
        if !led {
            let Member { address, role, .. } = node.member;
            report.add(address, role, State::Skipped, "left alone: the masters are not ready");
        }
    }
    report.merge_failures(checked);
    report.sort();
    close(masters.into_iter().chain(agents)).await;
    report
}

async fn close(nodes: impl Iterator<Item = Node>) {
    Crew::each(nodes.collect(), |node: Node| node.remote.close()).await;
}

fn note(nodes: &[Node], done: Vec<anyhow::Result<Applied>>, report: &mut Report) {
    let rest = nodes.len() - done.len();
    for (node, applied) in nodes.iter().zip(done) {
        note_one(node, applied, report);
    }
    for node in nodes.iter().rev().take(rest) {
        let Member { address, role, .. } = node.member;
        report.add(address, role, State::Skipped, "left alone: a master before it failed");
    }
}

fn note_one(node: &Node, applied: anyhow::Result<Applied>, report: &mut Report) {
    let Member { address, role, .. } = node.member;
    match applied {
        Ok(Applied { steps: 0 }) => report.add(address, role, State::Done, "nothing to do"),
        Ok(Applied { steps }) => report.add(address, role, State::Done, format!("{steps} steps")),
        Err(error) => report.add(address, role, State::Failed, format!("{error:#}")),
    }
}

async fn apply(crew: &Crew, node: &Node) -> anyhow::Result<Applied> {
    let applied = async {
        let names = crew.key_names(node.member.role);
        let requests: BTreeMap<String, String> = node.call("keys", &json!(names)).await?;
        let order = crew.order(&node.member, &node.facts, &requests)?;
        let order = serde_json::to_value(&order).context("an order is JSON")?;
        node.call("apply", &order).await
    };
    let applied = applied.await;
    match &applied {
        Ok(_) => node.bar.finish_with_message("ready"),
        Err(error) => node.bar.abandon_with_message(format!("failed: {error:#}")),
    }
    applied
}
