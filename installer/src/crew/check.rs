//! Whether all machines can become nodes, before any is touched.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::json;

use super::{Crew, Node, Report, State};
use crate::findings::{Finding, Question, Verdict, judge, reached};
use crate::plan::Role;
use crate::site::Member;

/// Meets all machines that SSH leads to and judges them; those that can be
/// worked on, and what is to be said of each.
pub async fn preflight(crew: &Crew, members: Vec<Member>) -> (Vec<Node>, Report) {
    let mut report = Report::default();
    let met = Crew::each(members.clone(), |member| async move { crew.meet(&member).await }).await;
    let mut nodes = Vec::new();
    for (Member { address, role, .. }, met) in members.into_iter().zip(met) {
        match met {
            Ok(node) => nodes.push(node),
            Err(error) => report.add(address, role, State::Failed, format!("{error:#}")),
        }
    }
    for node in &nodes {
        tell(crew, node, &mut report);
    }
    let far = Crew::each(nodes.iter().collect(), |node: &Node| async move {
        node.bar.set_message("reaching the masters");
        unreachable(crew, node).await
    });
    for (node, far) in nodes.iter().zip(far.await) {
        let Member { address, role, .. } = node.member;
        let what = match far {
            Ok(far) if far.is_empty() => continue,
            Ok(far) => far
                .into_iter()
                .map(|(target, error)| {
                    format!("cannot reach {target} ({error}); open it in the firewall")
                })
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => format!("{error:#}"),
        };
        report.add(address, role, State::Failed, what);
    }
    report.sort();
    (nodes, report)
}

fn tell(crew: &Crew, node: &Node, report: &mut Report) {
    let Member { address, role, .. } = node.member;
    let findings = judge(
        &node.facts,
        Question {
            role,
            address,
            cluster_id: &crew.cluster.id,
            arch: std::env::consts::ARCH,
            skew_ms: node.skew_ms,
            etcd: crew.is_etcd(),
        },
    );
    let passed = findings.iter().filter(|finding| finding.verdict == Verdict::Pass).count();
    for Finding { check, verdict, detail, remedy } in &findings {
        node.remote.log(&format!("{verdict:?} {check}: {detail}"));
        let state = match verdict {
            Verdict::Pass => continue,
            Verdict::Warn => State::Warned,
            Verdict::Fail => State::Failed,
        };
        report.add(address, role, state, format!("{check}: {detail}; {remedy}"));
    }
    if passed == findings.len() {
        report.add(address, role, State::Done, format!("{passed} checks passed"));
    }
}

async fn unreachable(crew: &Crew, node: &Node) -> anyhow::Result<BTreeMap<SocketAddr, String>> {
    let masters = crew.members.iter().filter(|member| member.role == Role::Master);
    let others = masters.filter(|master| master.address != node.member.address);
    let targets: Vec<SocketAddr> = others
        .flat_map(|master| reached(master.address, node.member.role, crew.is_etcd()))
        .collect();
    if targets.is_empty() {
        return Ok(BTreeMap::new());
    }
    node.call("reach", &json!(targets)).await
}
