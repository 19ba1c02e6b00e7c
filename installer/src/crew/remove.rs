//! Taking machines out of a cluster.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Crew, Node, Report, State};
use crate::node::{Applied, Drained};
use crate::plan::Role;
use crate::site::Member;

/// Takes Karman from all machines, agents first: they still have masters then.
pub async fn uninstall(crew: &Crew) -> Report {
    let mut report = Report::default();
    for masters in [false, true] {
        let members = crew.reachable().into_iter();
        let members: Vec<Member> =
            members.filter(|member| (member.role == Role::Master) == masters).collect();
        let work = |member: Member| async move {
            let node = crew.meet(&member).await?;
            remove(crew, node).await
        };
        let done = Crew::each(members.clone(), work).await;
        for (Member { address, role, .. }, removed) in members.into_iter().zip(done) {
            match removed {
                Ok(Applied { steps: 0 }) => {
                    report.add(address, role, State::Done, "nothing was there");
                }
                Ok(_) => report.add(address, role, State::Done, "as it was before"),
                Err(error) => report.add(address, role, State::Failed, format!("{error:#}")),
            }
        }
    }
    for Member { address, role, .. } in crew.members.iter().filter(|member| member.joined) {
        let what = "joined by itself: run `karman-installer node remove` there";
        report.add(*address, *role, State::Skipped, what);
    }
    report.sort();
    report
}

async fn remove(crew: &Crew, node: Node) -> anyhow::Result<Applied> {
    if let Some(installed) = &node.facts.installed
        && installed.cluster_id != crew.cluster.id
    {
        bail!("belongs to the cluster '{}', which is not this one", installed.cluster_name);
    }
    let removed = node.call("remove", &json!(null)).await;
    node.bar.finish_with_message("removed");
    node.remote.close().await;
    removed
}

/// Empties an agent, makes the masters give it up, and takes Karman from it.
/// `gone` is for a machine that will never answer again.
pub async fn remove_node(crew: &Crew, address: IpAddr, gone: bool) -> anyhow::Result<String> {
    let member = crew.members.iter().find(|member| member.address == address);
    let member = member.with_context(|| format!("{address} is no machine of this cluster"))?;
    if member.role == Role::Master {
        bail!("{address} is a master; the number of masters cannot be changed in this version");
    }
    let drained = drain(crew, address).await?;
    let mut said = match &drained {
        Drained { agent_id: None, .. } => "the masters did not know it".to_owned(),
        Drained { agent_id: Some(id), empty: true } => format!("agent {id} is empty and given up"),
        Drained { agent_id: Some(id), empty: false } => {
            format!("agent {id} is given up with tasks that did not end in time")
        }
    };
    if gone || member.joined {
        said.push_str("; the machine itself was not touched");
    } else {
        let node = crew.meet(member).await.context(
            "the masters gave it up, and the machine cannot be reached; repeat when it is back, or with --gone if it never will be",
        )?;
        remove(crew, node).await?;
        said.push_str("; the machine is as it was before");
    }
    let mut members = crew.site.members()?;
    members.added.remove(&address);
    members.removed.insert(address);
    crew.site.write_json("members.json", &members)?;
    Ok(said)
}

/// Asks each master in turn until one answers.
async fn drain(crew: &Crew, address: IpAddr) -> anyhow::Result<Drained> {
    let mut problems = Vec::new();
    for master in crew.members.iter().filter(|member| member.role == Role::Master) {
        let ask = async {
            let node = crew.meet(master).await?;
            let drained = node.call("drain", &json!({ "address": address })).await;
            node.remote.close().await;
            drained
        };
        match ask.await {
            Ok(drained) => return Ok(drained),
            Err(error) => problems.push(format!("{}: {error:#}", master.address)),
        }
    }
    bail!("no master can be asked to empty {address}: {}", problems.join("; "))
}
