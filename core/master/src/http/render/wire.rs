//! Snapshots as messages of the operator API.

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::mesos::v1::master::response::{
    GetAgents, GetExecutors, GetFrameworks, GetMaster, GetOperations, GetRoles, GetState, GetTasks,
    get_agents, get_executors, get_frameworks,
};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::registry::weight_of;
use super::roles::accounts;
use crate::ledger::{Agent, Drain, Framework, Link, Presence, View};
use crate::offers;

fn time(at: Timestamp) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: at.as_nanos() }
}

fn resources(resources: &Resources) -> Vec<v1::Resource> {
    convert::resources_to_wire(resources, Format::Refined)
}

pub(in crate::http) fn master(view: &View) -> GetMaster {
    let started = view.identity.started.as_secs_f64();
    GetMaster {
        master_info: Some(view.identity.info.clone()),
        start_time: Some(started),
        elected_time: Some(started),
    }
}

pub(in crate::http) fn state(view: &View) -> GetState {
    GetState {
        get_tasks: Some(tasks(view)),
        get_executors: Some(executors(view)),
        get_frameworks: Some(frameworks(view)),
        get_agents: Some(agents(view)),
    }
}

pub(in crate::http) fn agents(view: &View) -> GetAgents {
    let mut all = GetAgents::default();
    for known in view.agents.values() {
        match known.presence {
            Presence::Registered | Presence::Disconnected => all.agents.push(agent(known)),
            Presence::Recovered => all.recovered_agents.push((*known.info).clone()),
            Presence::Unreachable { .. } => {}
        }
    }
    all
}

pub(in crate::http) fn agent(agent: &Agent) -> get_agents::Agent {
    get_agents::Agent {
        agent_info: (*agent.info).clone(),
        active: agent.is_active(),
        deactivated: Some(agent.standing.deactivated),
        version: agent.version.clone(),
        pid: Some(agent.pid()),
        registered_time: Some(time(agent.registered)),
        reregistered_time: agent.reregistered.map(time),
        total_resources: resources(&agent.total),
        allocated_resources: resources(&agent.used),
        offered_resources: resources(&agent.offered),
        capabilities: agent.capabilities.clone(),
        resource_providers: Vec::new(),
        drain_info: agent.standing.drain.map(Drain::to_wire),
        estimated_drain_start_time: agent.standing.drain.map(|drain| time(drain.since)),
    }
}

pub(in crate::http) fn frameworks(view: &View) -> GetFrameworks {
    let wire = |it: &std::sync::Arc<Framework>| framework(view, it);
    GetFrameworks {
        frameworks: view.frameworks.values().map(wire).collect(),
        completed_frameworks: view.completed.iter().map(wire).collect(),
        ..GetFrameworks::default()
    }
}

pub(in crate::http) fn framework(view: &View, framework: &Framework) -> get_frameworks::Framework {
    let offers = framework.offers.values().filter_map(|offer| {
        let agent = view.agents.get(&offer.agent)?;
        Some(offers::to_wire(offer, framework.capabilities, agent, &[]))
    });
    get_frameworks::Framework {
        framework_info: (*framework.info).clone(),
        active: framework.is_connected(),
        connected: framework.is_connected(),
        recovered: matches!(framework.link, Link::Recovered { .. }),
        registered_time: Some(time(framework.registered)),
        reregistered_time: framework.reregistered.map(time),
        unregistered_time: framework.unregistered.map(time),
        offers: offers.collect(),
        inverse_offers: inverse_offers(view, framework),
        allocated_resources: resources(&framework.used()),
        offered_resources: resources(&framework.offered()),
        offer_constraints: framework.constraints.as_deref().cloned(),
    }
}

fn inverse_offers(view: &View, framework: &Framework) -> Vec<v1::InverseOffer> {
    let offers = view.registry.inverse.offers.values();
    let own = offers.filter(|offer| offer.framework == framework.id);
    own.map(|offer| v1::InverseOffer {
        id: (&offer.id).into(),
        url: None,
        framework_id: (&offer.framework).into(),
        agent_id: Some((&offer.agent).into()),
        unavailability: offer.unavailability,
        resources: Vec::new(),
    })
    .collect()
}

pub(in crate::http) fn executors(view: &View) -> GetExecutors {
    let executors = view.agents.values().flat_map(|agent| {
        agent.executors.values().map(|executor| get_executors::Executor {
            executor_info: (*executor.info).clone(),
            agent_id: (&agent.id).into(),
        })
    });
    GetExecutors { executors: executors.collect(), ..GetExecutors::default() }
}

/// Those whose last status their framework has yet to acknowledge; the others
/// are over when their call is answered.
pub(in crate::http) fn operations(view: &View) -> GetOperations {
    let operations = view.agents.values().flat_map(|agent| agent.operations.values());
    GetOperations { operations: operations.map(|operation| operation.to_wire()).collect() }
}

pub(in crate::http) fn tasks(view: &View) -> GetTasks {
    let mut all = GetTasks::default();
    for framework in view.frameworks.values() {
        all.tasks.extend(framework.tasks.values().map(|task| task.to_wire()));
        all.unreachable_tasks.extend(framework.unreachable.values().map(|task| task.to_wire()));
    }
    for framework in view.frameworks.values().chain(&view.completed) {
        all.completed_tasks.extend(framework.completed.iter().map(|task| task.to_wire()));
    }
    all
}

pub(in crate::http) fn roles(view: &View) -> GetRoles {
    let role = |(name, account): (std::sync::Arc<str>, super::roles::Account)| v1::Role {
        weight: weight_of(view, &name),
        name: name.to_string(),
        frameworks: account.frameworks.into_iter().map(|value| v1::FrameworkId { value }).collect(),
        resources: resources(&(&account.allocated + &account.offered)),
    };
    GetRoles { roles: accounts(view).into_iter().map(role).collect() }
}
