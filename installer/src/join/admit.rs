//! Whether a machine that asks may join, and what it gets.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{Answer, Request, Tokens};
use crate::bundle::SigningKey;
use crate::config::Config;
use crate::crew::Crew;
use crate::findings::{Finding, Question, Verdict, judge};
use crate::plan::Role;
use crate::site::{Added, Member, members};

/// Why it may not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Refused(String),
    #[error("the server cannot answer")]
    Failed(#[source] anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Admits a machine: its token counts, its place is noted, its keys are signed.
pub(super) fn admit(
    crew: &Crew,
    key: &SigningKey,
    request: &Request,
    peer: IpAddr,
    now: Timestamp,
) -> Result<(IpAddr, Answer), Error> {
    let address = address(request, peer).map_err(Error::Refused)?;
    place(&crew.config, request.role, address).map_err(Error::Refused)?;
    fit(crew, request, address, now).map_err(Error::Refused)?;
    let mut tokens = Tokens::load(&crew.site)?;
    let own = request.requests.get("node").map(String::as_str).unwrap_or_default();
    let admitted = tokens.admit(&request.token, request.role, own, now);
    admitted.map_err(|error| Error::Refused(error.to_string()))?;
    tokens.save(&crew.site)?;
    let mut changed = crew.site.members()?;
    changed.removed.remove(&address);
    changed.added.insert(address, Added { role: request.role, joined: true });
    crew.site.write_json("members.json", &changed)?;
    let all = members(&crew.config, &changed);
    let member = all.into_iter().find(|member| member.address == address);
    let member: Member =
        member.ok_or_else(|| Error::Refused(format!("{address} is not of this cluster")))?;
    let wanted = crew.key_names(request.role);
    let mut requests = request.requests.clone();
    requests.retain(|name, _| wanted.contains(&name.as_str()));
    let order = crew.order(&member, &request.facts, &requests)?;
    let order = serde_json::to_string(&order).map_err(anyhow::Error::from)?;
    let signature = key.sign(order.as_bytes());
    Ok((address, Answer { order, signature }))
}

fn address(request: &Request, peer: IpAddr) -> Result<IpAddr, String> {
    let address = request.address.unwrap_or(peer);
    if request.facts.addresses.contains(&address) {
        return Ok(address);
    }
    Err(format!(
        "{address} is no address of this machine; give the one by which the others know it after the token"
    ))
}

/// Roles come from the configuration; an agent may be new there.
fn place(config: &Config, role: Role, address: IpAddr) -> Result<(), String> {
    let Config { master_list, agent_list, public_agent_list, .. } = config;
    let lists = [
        (Role::Master, master_list),
        (Role::Agent, agent_list),
        (Role::PublicAgent, public_agent_list),
    ];
    let listed = lists.iter().find(|(_, list)| list.contains(&address)).map(|(role, _)| *role);
    match listed {
        Some(listed) if listed == role => Ok(()),
        Some(listed) => {
            Err(format!("{address} is configured as {}; join it in that role", listed.name()))
        }
        None if role == Role::Master => Err(format!(
            "{address} is not in master_list; the number of masters cannot be changed by joining"
        )),
        None => Ok(()),
    }
}

fn fit(crew: &Crew, request: &Request, address: IpAddr, now: Timestamp) -> Result<(), String> {
    let question = Question {
        role: request.role,
        address,
        cluster_id: &crew.cluster.id,
        arch: std::env::consts::ARCH,
        // Late by the way that the request took.
        skew_ms: request.facts.clock_ms.saturating_sub(now.as_millisecond()),
        etcd: crew.is_etcd(),
    };
    let wrong: Vec<String> = judge(&request.facts, question)
        .into_iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .map(|Finding { check, detail, remedy, .. }| format!("{check}: {detail}; {remedy}"))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
