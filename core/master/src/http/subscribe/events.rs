//! What happened between two snapshots, as events. Only what was touched is
//! looked at.

use karman_api::mesos::v1;
use karman_api::mesos::v1::master::{Event, event};
use karman_model::id::{AgentId, FrameworkId, TaskId};

use super::super::render::wire;
use crate::ledger::{Agent, Framework, Presence, Task, Touched, View};

/// In an order in which nothing is spoken of before it is there: agents and
/// frameworks that came, tasks, frameworks and agents that went.
pub(super) fn between(known: &View, now: &View, touched: &Touched) -> Vec<Event> {
    let mut events = Vec::new();
    let mut gone = Vec::new();
    for id in &touched.agents {
        match (present(known, id), present(now, id)) {
            (None, Some(agent)) => events.push(agent_added(agent)),
            (Some(_), None) => gone.push(agent_removed(id)),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
    let mut removed = Vec::new();
    for id in &touched.frameworks {
        match (known.frameworks.get(id), now.frameworks.get(id)) {
            (None, Some(framework)) => events.push(framework_added(now, framework)),
            (Some(old), Some(new)) if is_changed(old, new) => {
                events.push(framework_updated(now, new));
            }
            (Some(old), None) => removed.push(framework_removed(old)),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
    for (framework, task) in &touched.tasks {
        let Some(new) = task_of(now, framework, task) else { continue };
        match task_of(known, framework, task) {
            Some(old) if is_one_life(old, new) => updates(old, new, &mut events),
            Some(_) | None => events.push(task_added(new)),
        }
    }
    events.append(&mut removed);
    events.append(&mut gone);
    events
}

fn present<'a>(view: &'a View, id: &AgentId) -> Option<&'a Agent> {
    let agent = view.agents.get(id)?;
    matches!(agent.presence, Presence::Registered | Presence::Disconnected).then_some(agent)
}

/// Also a task that is over.
fn task_of<'a>(view: &'a View, framework: &FrameworkId, id: &TaskId) -> Option<&'a Task> {
    let owner = view
        .frameworks
        .get(framework)
        .or_else(|| view.completed.iter().rev().find(|it| it.id == *framework))?;
    let known = owner.task(id);
    known.or_else(|| owner.completed.iter().filter(|task| task.id == *id).last()).map(AsRef::as_ref)
}

/// An id may be used again once its task is over.
fn is_one_life(old: &Task, new: &Task) -> bool {
    old.agent == new.agent && (!old.is_terminal() || new.is_terminal())
}

/// What a reader of `/frameworks` would see, without its tasks.
fn is_changed(old: &Framework, new: &Framework) -> bool {
    old.info != new.info
        || old.link != new.link
        || old.reregistered != new.reregistered
        || old.constraints != new.constraints
}

/// A status that a reader does not know yet: a new state, or news of a check.
fn is_news(before: Option<&v1::TaskStatus>, status: &v1::TaskStatus) -> bool {
    before.is_none_or(|before| {
        before.state != status.state
            || before.healthy != status.healthy
            || before.check_status != status.check_status
    })
}

fn updates(old: &Task, new: &Task, events: &mut Vec<Event>) {
    let (old, new) = (old.to_wire(), new.to_wire());
    let mut before = old.statuses.last();
    let is_known = |status: &v1::TaskStatus| {
        before
            .is_some_and(|known| known.state == status.state && known.timestamp == status.timestamp)
    };
    // Statuses are kept by time; a later one of the same state takes the place
    // of the earlier.
    let first_new = new.statuses.iter().position(is_known).map_or_else(
        || {
            let since = before.and_then(|known| known.timestamp).unwrap_or(f64::NEG_INFINITY);
            new.statuses.iter().position(|it| it.timestamp.unwrap_or(f64::MAX) > since)
        },
        |known| Some(known + 1),
    );
    let mut state = old.state;
    for status in new.statuses.iter().skip(first_new.unwrap_or(usize::MAX)) {
        if is_news(before, status) {
            state = status.state;
            events.push(task_updated(&new, status.clone(), state));
        }
        before = Some(status);
    }
    // The master may know better than the last status.
    if state != new.state {
        let status = v1::TaskStatus {
            task_id: new.task_id.clone(),
            state: new.state,
            agent_id: Some(new.agent_id.clone()),
            source: Some(v1::task_status::Source::Master.into()),
            ..Default::default()
        };
        events.push(task_updated(&new, status, new.state));
    }
}

fn event(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

fn task_added(task: &Task) -> Event {
    let task_added = Some(event::TaskAdded { task: task.to_wire() });
    Event { task_added, ..event(event::Type::TaskAdded) }
}

fn task_updated(task: &v1::Task, status: v1::TaskStatus, state: i32) -> Event {
    let framework_id = task.framework_id.clone();
    let task_updated = Some(event::TaskUpdated { framework_id, status, state });
    Event { task_updated, ..event(event::Type::TaskUpdated) }
}

fn agent_added(agent: &Agent) -> Event {
    let agent_added = Some(event::AgentAdded { agent: wire::agent(agent) });
    Event { agent_added, ..event(event::Type::AgentAdded) }
}

fn agent_removed(id: &AgentId) -> Event {
    let agent_removed = Some(event::AgentRemoved { agent_id: id.into() });
    Event { agent_removed, ..event(event::Type::AgentRemoved) }
}

fn framework_added(view: &View, framework: &Framework) -> Event {
    let framework = wire::framework(view, framework);
    let framework_added = Some(event::FrameworkAdded { framework });
    Event { framework_added, ..event(event::Type::FrameworkAdded) }
}

fn framework_updated(view: &View, framework: &Framework) -> Event {
    let framework = wire::framework(view, framework);
    let framework_updated = Some(event::FrameworkUpdated { framework });
    Event { framework_updated, ..event(event::Type::FrameworkUpdated) }
}

fn framework_removed(framework: &Framework) -> Event {
    let framework_info = (*framework.info).clone();
    let framework_removed = Some(event::FrameworkRemoved { framework_info });
    Event { framework_removed, ..event(event::Type::FrameworkRemoved) }
}
