//! Why a framework gets no offers, and what its offer constraints leave out.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use karman_allocator::{Machine, Part, Reason, Role, Standing};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::time::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::legacy::{padded, script_or_json};
use super::query::Query;
use super::{Shared, answer};
use crate::core::{Question, Request};
use crate::ledger::{Framework, View};

/// Agents that the core looks at before it serves others.
const AGENTS_AT_ONCE: usize = 500;
/// Agents that are named for each reason.
const NAMED_MAX: usize = 10;

/// `/karman/v1/explain/offers?framework_id=…&role=…&agent_id=…`; without a role
/// for all roles of the framework, without an agent for all agents.
pub(super) async fn offers(shared: &Shared, query: &Query) -> Response {
    let Some(id) = query.get("framework_id").filter(|id| !id.is_empty()) else {
        let message = "Expecting 'framework_id=value' in query; '/frameworks' shows the ids";
        return answer::text(StatusCode::BAD_REQUEST, message);
    };
    let view = shared.view();
    let Some(framework) = view.frameworks.get(&FrameworkId::from(id)) else {
        let message = format!("no framework with the id '{id}' is registered");
        return answer::text(StatusCode::NOT_FOUND, message);
    };
    let agent = query.get("agent_id").filter(|it| !it.is_empty()).map(AgentId::from);
    if let Some(agent) = agent.as_ref().filter(|agent| !view.agents.contains_key(*agent)) {
        let message = format!("no agent with the id '{agent}' is registered");
        return answer::text(StatusCode::NOT_FOUND, message);
    }
    let roles: Vec<Role> = match query.get("role").filter(|it| !it.is_empty()) {
        Some(role) => vec![role.into()],
        None => framework.roles.iter().cloned().collect(),
    };
    let _turn = match shared.renders.explanations.enter().await {
        Ok(turn) => turn,
        Err(busy) => return *busy,
    };
    let mut explained = Vec::new();
    for role in roles {
        match of_role(shared, framework, &role, agent.as_ref()).await {
            Some(of_role) => explained.push(of_role),
            None => return answer::stopping(),
        }
    }
    let info = &framework.info;
    padded(&json!({ "framework_id": id, "name": info.name, "roles": explained }), query)
}

/// Asks part by part, so that no call waits for a large cluster. `None`: the
/// core has ended.
async fn of_role(
    shared: &Shared,
    framework: &Framework,
    role: &Role,
    agent: Option<&AgentId>,
) -> Option<Value> {
    let most = if agent.is_some() { 1 } else { AGENTS_AT_ONCE };
    let mut from = agent.cloned();
    let mut summary = Summary::default();
    loop {
        let (reply, answered) = oneshot::channel();
        let (framework, of) = (framework.id.clone(), Role::clone(role));
        let question = Question::Offers { framework, role: of, from, most, reply };
        shared.core.send(Request::Question(question)).await.ok()?;
        let part = answered.await.ok()?;
        let next = part.next.clone();
        summary.add(part);
        match next.filter(|_| agent.is_none()) {
            Some(next) => from = Some(next),
            None => return Some(summary.show(role)),
        }
    }
}

/// The agents of one reason.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    named: Vec<AgentId>,
}

#[derive(Debug, Default)]
struct Summary {
    standing: Standing,
    offers: u32,
    groups: BTreeMap<Reason, Group>,
    until: Option<Timestamp>,
}

impl Summary {
    fn add(&mut self, part: Part) {
        let Part { standing, offers, agents, next: _ } = part;
        (self.standing, self.offers) = (standing, offers);
        for (agent, reason, until) in agents {
            let group = self.groups.entry(reason).or_default();
            group.count += 1;
            if group.named.len() < NAMED_MAX {
                group.named.push(agent);
            }
            self.until = [self.until, until].into_iter().flatten().min();
        }
    }

    fn show(self, role: &Role) -> Value {
        let Self { standing, offers, groups, until } = self;
        let mut groups: Vec<(Reason, Group)> = groups.into_iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        let group = |(reason, group): (Reason, Group)| {
            json!({
                "reason": code(&reason),
                "message": reason.to_string(),
                "count": group.count,
                "agent_ids": group.named.iter().map(AgentId::as_str).collect::<Vec<_>>(),
            })
        };
        json!({
            "role": &**role,
            "standing": standing_code(standing),
            "message": standing.to_string(),
            "outstanding_offers": offers,
            "agents": groups.into_iter().map(group).collect::<Vec<_>>(),
            "filters_end_from": until.map(Timestamp::as_secs_f64),
        })
    }
}

const fn standing_code(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "WAITING",
        Standing::Unknown => "UNKNOWN_FRAMEWORK",
        Standing::NotInRole => "NOT_IN_ROLE",
        Standing::Inactive => "INACTIVE",
        Standing::Suppressed => "SUPPRESSED",
        Standing::Paused => "AWAITING_AGENTS",
    }
}

const fn code(reason: &Reason) -> &'static str {
    match reason {
        Reason::AgentInactive => "AGENT_INACTIVE",
        Reason::Region => "OTHER_REGION",
        Reason::Accelerators => "GPUS",
        Reason::Constraints => "OFFER_CONSTRAINTS",
        Reason::InUse => "IN_USE",
        Reason::TooLittle(_) => "TOO_LITTLE",
        Reason::Limit(_) => "QUOTA_LIMIT",
        Reason::Headroom => "QUOTA_GUARANTEES",
        Reason::Declined => "DECLINED",
        Reason::Next => "NEXT",
    }
}

/// `/allocator/offer_constraints_debug`, as Mesos has it.
pub(super) async fn constraints(shared: &Shared, query: &Query) -> Response {
    let (reply, answered) = oneshot::channel();
    let question = Question::Suppressed { reply };
    if shared.core.send(Request::Question(question)).await.is_err() {
        return answer::stopping();
    }
    let Ok(suppressed) = answered.await else { return answer::stopping() };
    let (view, callback) = (shared.view(), query.get("jsonp").map(str::to_owned));
    let written = shared.renders.write(move || {
        let none = BTreeSet::new();
        let frameworks = || view.frameworks.values();
        let machines =
            if frameworks().all(|it| it.rules.is_empty()) { Vec::new() } else { machines(&view) };
        let shown = |it: &Arc<Framework>| {
            let suppressed = suppressed.get(&it.id).unwrap_or(&none);
            let shown = json!({
                "suppressed_roles": suppressed.iter().map(|role| &**role).collect::<Vec<_>>(),
                "excluded_by_attribute_constraints": excluded(it, &machines),
            });
            (it.id.to_string(), shown)
        };
        let all: Map<String, Value> = frameworks().map(shown).collect();
        Ok::<_, Infallible>(json!({ "frameworks": all }).to_string().into())
    });
    match written.await {
        Ok(Ok(json)) => script_or_json(json, callback.as_deref()),
        Ok(Err(never)) => match never {},
        Err(busy) => *busy,
    }
}

fn machines(view: &View) -> Vec<(&AgentId, Machine)> {
    let agents = view.agents.values().filter(|agent| agent.is_registered());
    agents.map(|agent| (&agent.id, agent.machine())).collect()
}

/// By role of the framework, the agents that its constraints leave out.
fn excluded<'a>(
    framework: &'a Framework,
    machines: &'a [(&AgentId, Machine)],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let rules = &framework.rules;
    let of = |role: &'a Role| {
        let agents = machines.iter().filter(|(_, machine)| !rules.admit(role, machine));
        let agents = agents.map(|(agent, _)| agent.as_str());
        (&**role, if rules.apply_to(role) { agents.collect() } else { Vec::new() })
    };
    framework.roles.iter().map(of).collect()
}
