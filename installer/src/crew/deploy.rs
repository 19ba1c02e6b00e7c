//! Making machines the nodes of a cluster.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;

use super::{Crew, Node, Report, State, preflight};
use crate::node::Applied;
use crate::plan::Role;
use crate::site::Member;

/// Deploys to the members, masters first.
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
    // Who never served comes first and all at once: a store needs most of its
    // members. Who serves is changed only while all others do.
    let serves = |node: &&Node| node.facts.installed.as_ref().is_some_and(|found| found.served);
    let (serving, new): (Vec<&Node>, Vec<&Node>) = masters.iter().partition(serves);
    let done = Crew::each(new.clone(), |node| apply(crew, node)).await;
    let mut good = done.iter().all(Result::is_ok);
    for (node, applied) in new.into_iter().zip(done) {
        note(node, applied, &mut report);
    }
    for node in serving {
        if good {
            let applied = apply(crew, node).await;
            good = applied.is_ok();
            note(node, applied, &mut report);
        } else {
            let Member { address, role, .. } = node.member;
            report.add(address, role, State::Skipped, "left alone: a master before it failed");
        }
    }
    let led = masters.iter().all(|node| !report.failed(node.member.address));
    if led {
        let ready: Vec<&Node> =
            agents.iter().filter(|node| !checked.failed(node.member.address)).collect();
        let done = Crew::each(ready.clone(), |node| apply(crew, node)).await;
        for (node, applied) in ready.into_iter().zip(done) {
            note(node, applied, &mut report);
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

fn note(node: &Node, applied: anyhow::Result<Applied>, report: &mut Report) {
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
