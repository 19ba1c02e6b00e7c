//! What has to be done, in which order, to run a process in a container: steps
//! so specific that performing them makes no choice. Pure.
//!
//! Sources of mounts are taken hold of while the machine can still be seen, and
//! put in place when only the container can: no link in an image, however it is
//! made, leads to a place of the machine.
#![deny(clippy::disallowed_methods)]

mod mounts;
mod process;
mod step;

pub use mounts::{ANY, allowed};
pub use step::{Filesystem, Step};

use crate::spec::{Error, Namespace, Namespaces, Network, Root, Spec};

/// The steps of the one who makes the container, and those of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose namespaces the first process joins, before it makes its own.
    pub joins: Vec<(Kind, From)>,
    /// Namespaces that are made.
    pub makes: Vec<Kind>,
    /// Empty for a process that joins a container or has none.
    pub setup: Vec<Step>,
    pub process: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Mount,
    Pid,
    Ipc,
    Uts,
    Cgroup,
    Network,
}

/// Where a namespace is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Process(crate::process::Identity),
    File(std::path::PathBuf),
}

pub fn plan(spec: &Spec) -> Result<Plan, Error> {
    crate::spec::check(spec)?;
    let (joins, makes) = namespaces(&spec.namespaces);
    let setup = if spec.namespaces.mount == Namespace::Own {
        setup(spec)
    } else {
        spec.hostname.iter().cloned().map(Step::Hostname).collect()
    };
    Ok(Plan { joins, makes, setup, process: process::steps(spec) })
}

fn namespaces(wanted: &Namespaces) -> (Vec<(Kind, From)>, Vec<Kind>) {
    let each = [
        (Kind::Mount, wanted.mount),
        (Kind::Pid, wanted.pid),
        (Kind::Ipc, wanted.ipc),
        (Kind::Uts, wanted.uts),
        (Kind::Cgroup, wanted.cgroup),
    ];
    let (mut joins, mut makes) = (Vec::new(), Vec::new());
    for (kind, namespace) in each {
        match namespace {
            Namespace::Own => makes.push(kind),
            Namespace::Shared => {}
            Namespace::Join(init) => joins.push((kind, From::Process(init))),
        }
    }
    match &wanted.network {
        Network::Host => {}
        Network::Own => makes.push(Kind::Network),
        Network::Join(path) => joins.push((Kind::Network, From::File(path.clone()))),
        Network::Of(init) => joins.push((Kind::Network, From::Process(*init))),
    }
    (joins, makes)
}

fn setup(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![Step::Detach];
    steps.extend(spec.hostname.iter().cloned().map(Step::Hostname));
    if spec.namespaces.network == Network::Own {
        steps.push(Step::Loopback);
    }
    let mounts = mounts::all(spec);
    steps.extend(mounts::take(&mounts));
    if let Root::Image { lower, upper, work, read_only: _ } = &spec.root {
        steps.push(Step::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
            work: work.clone(),
        });
        steps.push(Step::Pivot);
    }
    steps.extend(mounts::hidden(spec).cloned().map(Step::Hide));
    steps.extend(mounts::put(spec, &mounts));
    steps.extend(mounts::protect(spec));
    steps
}

#[cfg(test)]
mod tests;
