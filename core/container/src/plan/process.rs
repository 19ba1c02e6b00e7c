//! What a process does between its birth and its first instruction. Pure.

use std::path::PathBuf;

use super::Step;
use crate::spec::{Capabilities, Root, Seccomp, Spec, User};

/// Every step needs rights that a later one takes away.
pub(super) fn steps(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![Step::Session, Step::Find(spec.user.clone())];
    steps.extend(spec.process.terminal.map(Step::Terminal));
    steps.extend(spec.rlimits.iter().copied().map(Step::Limit));
    let path: PathBuf = spec.process.directory.clone();
    steps.push(Step::Directory { path, make: matches!(spec.root, Root::Image { .. }) });
    let granted = match &spec.capabilities {
        Capabilities::Unchanged => None,
        Capabilities::Set { effective, bounding } => {
            steps.push(Step::Bound(bounding.clone()));
            effective.clone()
        }
    };
    let filter = (spec.seccomp != Seccomp::Unconfined).then(|| Step::Filter(spec.seccomp.clone()));
    // Only those who may do everything, or can gain nothing, may set a filter.
    if !spec.no_new_privileges {
        steps.extend(filter.clone());
    }
    if spec.user != User::Own {
        steps.push(Step::Become { keep: granted.is_some() });
    }
    steps.extend(granted.map(Step::Grant));
    if spec.no_new_privileges {
        steps.push(Step::NoNewPrivileges);
        steps.extend(filter);
    }
    // A change of user forgets it.
    steps.push(Step::Bind);
    steps.push(Step::Execute(spec.process.program.clone()));
    steps
}
