//! Whether the agent has what a task wants to use. Pure.
//!
//! Two questions: is there enough, whoever it is reserved to; and is what was
//! reserved or made a volume by an operation really here. The second guards
//! against a launch that overtakes, or outlives, the operation.
#![deny(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::Reason;
use karman_model::resource::Resources;

use super::{Download, Machine, Refusal, Stock};
use crate::volumes;

/// A persistent volume in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Relative to the sandbox.
    pub at: PathBuf,
    pub volume: PathBuf,
    /// Whether it is given to the user of the task.
    pub own: bool,
    pub read_only: bool,
}

/// What of the resources can run out, whoever it is reserved to and whatever
/// was made of it. A shared volume does not: it is there for all.
pub fn countable(resources: &Resources) -> Resources {
    resources.exclusive().origin().unreserved_view()
}

pub(super) fn check(
    task_id: &str,
    wanted: &Resources,
    stock: &Stock<'_>,
    partition_aware: bool,
) -> Result<(), Refusal> {
    let by_operation = wanted.filter(|kind| *kind != kind.origin()).aligned_with(stock.held);
    if !stock.held.contains(&by_operation) {
        let state = if partition_aware { TaskState::TaskDropped } else { TaskState::TaskLost };
        return Err(Refusal {
            state,
            reason: Reason::ResourcesUnknown,
            message: format!(
                "Task '{task_id}' uses reservations or volumes that this agent does not have: \
                 {by_operation}"
            ),
        });
    }
    let counted = countable(wanted);
    if stock.free.contains(&counted) {
        return Ok(());
    }
    let missing = counted.saturating_sub(stock.free);
    Err(Refusal::failed(format!(
        "Task uses more resources than are free on this agent, by {missing}"
    )))
}

pub(super) fn links(wanted: &Resources, machine: &Machine<'_>) -> Result<Vec<Link>, Refusal> {
    let uses =
        volumes::uses(wanted).map_err(|error| Refusal::invalid(capital(&error.to_string())))?;
    let mut links = Vec::new();
    for volumes::Use { volume, container_path, read_only, shared } in uses {
        if read_only && !machine.root {
            return Err(Refusal::failed(format!(
                "Persistent volume '{}' can be made read-only by an agent that runs as root",
                volume.id
            )));
        }
        let own = !shared || !machine.in_use.contains(&volume);
        let volume = volume.path(machine.work_dir);
        links.push(Link { at: container_path, volume, own, read_only });
    }
    for (number, link) in links.iter().enumerate() {
        let nested = |other: &Link| overlap(&link.at, &other.at);
        if links.iter().skip(number + 1).any(nested) {
            return Err(Refusal::invalid(format!(
                "Two persistent volumes have the container path '{}'",
                link.at.display()
            )));
        }
    }
    Ok(links)
}

/// What is fetched must not end up in a volume: what lies there may lead
/// anywhere.
pub(super) fn check_apart(downloads: &[Download], links: &[Link]) -> Result<(), Refusal> {
    let into =
        |download: &&Download| links.iter().any(|link| overlap(&link.at, Path::new(&download.to)));
    match downloads.iter().find(into) {
        Some(download) => Err(Refusal::invalid(format!(
            "Cannot fetch '{}' into a persistent volume ('{}')",
            download.from, download.to
        ))),
        None => Ok(()),
    }
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
