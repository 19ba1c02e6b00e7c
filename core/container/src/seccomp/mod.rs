//! Which system calls a container may make: profiles, and the filters that the
//! kernel takes. Pure.
#![deny(clippy::disallowed_methods)]

mod profile;
mod standard;
mod table;

pub use profile::{Action, Argument, Error as ParseError, Filter, Operator, Profile, Rule};

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::spec::{Capability, Seccomp};

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// Arguments of a call.
const ARGUMENTS: u8 = 6;

/// Why no filter can be made of a profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the profile looks at argument {index} of a call, which has {ARGUMENTS}")]
    Argument { index: u8 },
    #[error("the profile cannot be a filter: {reason}")]
    Filter { reason: String },
}

/// The filters of a process that can have these rights, in the order in which
/// they are set. The strictest of them decides about a call.
pub fn filters(seccomp: &Seccomp, rights: &BTreeSet<Capability>) -> Result<Vec<BpfProgram>, Error> {
    let standard;
    let profile = match seccomp {
        Seccomp::Unconfined => return Ok(Vec::new()),
        Seccomp::Default => {
            standard = standard::profile(rights);
            &standard
        }
        Seccomp::Profile(profile) => profile,
    };
    let mut programs = compile(profile, rights)?;
    programs.push(unknown_calls());
    Ok(programs)
}

/// What a call may do that matches, and the calls.
type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// One filter says what the profile allows; each other action has a filter of
/// its own, which the first lets pass.
fn compile(profile: &Profile, rights: &BTreeSet<Capability>) -> Result<Vec<BpfProgram>, Error> {
    let default = action(profile.default_action, profile.default_errno_ret);
    let mut by_action: Vec<(SeccompAction, Calls)> = Vec::new();
    for rule in profile.syscalls.iter().filter(|rule| applies(rule, rights)) {
        let wanted = action(rule.action, rule.errno_ret);
        if wanted == default {
            continue;
        }
        let index = by_action.iter().position(|(known, _)| *known == wanted);
        let index = index.unwrap_or_else(|| {
            by_action.push((wanted, Calls::new()));
            by_action.len() - 1
        });
        let Some((_, calls)) = by_action.get_mut(index) else { continue };
        add(calls, rule)?;
    }
    let mut passed = Calls::new();
    for (_, calls) in &by_action {
        for (number, rules) in calls {
            merge(&mut passed, *number, rules.clone());
        }
    }
    let mut programs = Vec::new();
    if default != SeccompAction::Allow {
        programs.push(program(passed, default, SeccompAction::Allow)?);
    }
    for (wanted, calls) in by_action {
        if wanted != SeccompAction::Allow {
            programs.push(program(calls, SeccompAction::Allow, wanted)?);
        }
    }
    Ok(programs)
}

/// An empty list is every call of that number, whatever its arguments.
fn merge(calls: &mut Calls, number: i64, rules: Vec<SeccompRule>) {
    match calls.entry(number) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(rules);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            if rules.is_empty() {
                entry.get_mut().clear();
            } else if !entry.get().is_empty() {
                entry.get_mut().extend(rules);
            }
        }
    }
}

fn add(calls: &mut Calls, rule: &Rule) -> Result<(), Error> {
    let rules = conditions(&rule.args)?;
    // Calls of other processors are no concern here.
    for number in rule.all_names().filter_map(table::number) {
        merge(calls, number, rules.clone());
    }
    Ok(())
}

/// Conditions hold together, but for several on one argument: any of them.
fn conditions(arguments: &[Argument]) -> Result<Vec<SeccompRule>, Error> {
    let indices: BTreeSet<u8> = arguments.iter().map(|argument| argument.index).collect();
    let each = arguments.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let rule = |conditions| SeccompRule::new(conditions).map_err(|error| failed(&error));
    match arguments.len() {
        0 => Ok(Vec::new()),
        length if length == indices.len() => Ok(vec![rule(each)?]),
        _ => each.into_iter().map(|condition| rule(vec![condition])).collect(),
    }
}

fn condition(argument: &Argument) -> Result<SeccompCondition, Error> {
    let Argument { index, value, value_two, op } = argument;
    if *index >= ARGUMENTS {
        return Err(Error::Argument { index: *index });
    }
    let (operator, value) = match op {
        Operator::NotEqual => (SeccompCmpOp::Ne, *value),
        Operator::Less => (SeccompCmpOp::Lt, *value),
        Operator::LessOrEqual => (SeccompCmpOp::Le, *value),
        Operator::Equal => (SeccompCmpOp::Eq, *value),
        Operator::GreaterOrEqual => (SeccompCmpOp::Ge, *value),
        Operator::Greater => (SeccompCmpOp::Gt, *value),
        Operator::MaskedEqual => (SeccompCmpOp::MaskedEq(*value), *value_two),
    };
    SeccompCondition::new(*index, SeccompCmpArgLen::Qword, operator, value)
        .map_err(|error| failed(&error))
}

/// Whether a rule is for a process with these rights, on this processor. All
/// kernels that run containers are newer than any that a profile asks for.
fn applies(rule: &Rule, rights: &BTreeSet<Capability>) -> bool {
    let has = |name: &String| {
        Capability::named(name).is_ok_and(|capability| rights.contains(&capability))
    };
    let here = |arch: &String| HERE.contains(&arch.as_str());
    let (wanted, unwanted) = (&rule.includes, &rule.excludes);
    wanted.caps.iter().all(has)
        && (wanted.arches.is_empty() || wanted.arches.iter().any(here))
        && !unwanted.caps.iter().any(has)
        && !unwanted.arches.iter().any(here)
        && unwanted.min_kernel.is_none()
}

/// The names of this processor in profiles.
#[cfg(target_arch = "x86_64")]
const HERE: [&str; 2] = ["amd64", "x86_64"];
#[cfg(target_arch = "aarch64")]
const HERE: [&str; 2] = ["arm64", "aarch64"];

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

fn action(action: Action, errno: Option<u32>) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Errno => SeccompAction::Errno(errno.unwrap_or(EPERM)),
        Action::KillThread => SeccompAction::KillThread,
        Action::KillProcess => SeccompAction::KillProcess,
        Action::Trap => SeccompAction::Trap,
        Action::Trace => SeccompAction::Trace(errno.unwrap_or(EPERM)),
        Action::Log => SeccompAction::Log,
    }
}

fn program(
    calls: Calls,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, Error> {
    let filter = SeccompFilter::new(calls, otherwise, matched, ARCH);
    filter.and_then(TryInto::try_into).map_err(|error| failed(&error))
}

fn failed(error: &seccompiler::BackendError) -> Error {
    Error::Filter { reason: error.to_string() }
}

/// A call that is newer than this program is one that the kernel does not have:
/// libraries then use an older one, where a refusal would end them.
fn unknown_calls() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let instruction = |code, jt, k| seccompiler::sock_filter { code, jt, jf: 0, k };
    vec![
        instruction(LOAD_NUMBER, 0, 0),
        instruction(JUMP_IF_GREATER, 1, u32::try_from(table::NEWEST).unwrap_or(u32::MAX)),
        instruction(RETURN, 0, ALLOW),
        instruction(RETURN, 0, ERRNO | ENOSYS),
    ]
}

#[cfg(test)]
mod tests;
