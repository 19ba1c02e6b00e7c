//! The calls that the orchestrator makes.
#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use karman_api::mesos::v1::offer::{Operation, operation};
use karman_api::mesos::v1::scheduler::Call;
use karman_api::mesos::v1::scheduler::call::{
    Accept, Acknowledge, Decline, Kill, Reconcile, Revive, Suppress, Type, reconcile,
};
use karman_api::mesos::v1::{AgentId, Filters, OfferId, TaskId, TaskInfo};

use crate::matcher::offer::ROLE;

fn call(kind: Type) -> Call {
    Call { r#type: Some(kind.into()), ..Call::default() }
}

fn filters(refuse_seconds: f64) -> Option<Filters> {
    Some(Filters { refuse_seconds: Some(refuse_seconds) })
}

/// Launches all tasks of one offer at once.
pub(super) fn accept(offer: &str, tasks: Vec<TaskInfo>, refuse_seconds: f64) -> Call {
    let launch = Operation {
        r#type: Some(operation::Type::Launch.into()),
        launch: Some(operation::Launch { task_infos: tasks }),
        ..Operation::default()
    };
    Call {
        accept: Some(Accept {
            offer_ids: vec![OfferId { value: offer.into() }],
            operations: vec![launch],
            filters: filters(refuse_seconds),
        }),
        ..call(Type::Accept)
    }
}

pub(super) fn decline(offers: Vec<String>, refuse_seconds: f64) -> Call {
    let offer_ids = offers.into_iter().map(|value| OfferId { value }).collect();
    Call {
        decline: Some(Decline { offer_ids, filters: filters(refuse_seconds) }),
        ..call(Type::Decline)
    }
}

pub(super) fn kill(task_id: String, agent_id: Option<String>) -> Call {
    let kill = Kill {
        task_id: TaskId { value: task_id },
        agent_id: agent_id.map(|value| AgentId { value }),
        kill_policy: None,
    };
    Call { kill: Some(kill), ..call(Type::Kill) }
}

pub(super) fn acknowledge(agent_id: AgentId, task_id: TaskId, uuid: Bytes) -> Call {
    Call { acknowledge: Some(Acknowledge { agent_id, task_id, uuid }), ..call(Type::Acknowledge) }
}

/// Asks about the given tasks, or about all where none is given.
pub(super) fn reconcile(tasks: impl Iterator<Item = (String, Option<String>)>) -> Call {
    let task = |(task_id, agent_id): (String, Option<String>)| reconcile::Task {
        task_id: TaskId { value: task_id },
        agent_id: agent_id.map(|value| AgentId { value }),
    };
    Call {
        reconcile: Some(Reconcile { tasks: tasks.map(task).collect() }),
        ..call(Type::Reconcile)
    }
}

pub(super) fn revive() -> Call {
    Call { revive: Some(Revive { roles: vec![ROLE.into()] }), ..call(Type::Revive) }
}

pub(super) fn suppress() -> Call {
    Call { suppress: Some(Suppress { roles: vec![ROLE.into()] }), ..call(Type::Suppress) }
}
