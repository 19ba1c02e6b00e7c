//! The first process of a container: makes it, then only holds it. It inherits
//! the orphans inside and lets the kernel forget their ends.

use std::io;

use nix::unistd::pause;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_name,
    set_no_new_privs,
};

use super::enter::{join_groups, silence};
use super::mounts::Tree;
use super::report::{self, Reporter};
use super::{Error, Outside, death_with_parent, end, flags, kernel};
use crate::plan::{Kind, Plan, Step};

/// Returns its number when the container is there.
pub(super) fn start(plan: &Plan, outside: &Outside) -> Result<u32, Error> {
    let (reporter, listener) = report::pair().map_err(Error::Process)?;
    // A group that is not joined yet would be the root of what is seen of them.
    let made = plan.makes.iter().copied().filter(|kind| *kind != Kind::Cgroup);
    let made = u64::try_from(flags(made)).unwrap_or_default();
    let number = kernel::fork(made, || run(plan, outside, &reporter)).map_err(Error::Process)?;
    drop(reporter);
    listener.ready().map_err(|reason| {
        end(number);
        Error::Failed { reason }
    })?;
    Ok(number)
}

fn run(plan: &Plan, outside: &Outside, reporter: &Reporter) -> i32 {
    if let Err(error) = begin(outside, reporter) {
        reporter.say(&format!("cannot begin the container: {error}"));
        return 1;
    }
    if let Err(reason) = make(plan, outside) {
        reporter.say(&reason);
        return 1;
    }
    if let Err(error) = give_up_rights() {
        reporter.say(&format!("cannot give up the rights of the first process: {error}"));
        return 1;
    }
    reporter.say_ready();
    kernel::close_all();
    loop {
        pause();
    }
}

fn begin(outside: &Outside, reporter: &Reporter) -> io::Result<()> {
    death_with_parent()?;
    if reporter.is_alone() {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // Whoever waits for the end of the shim's output must not wait for this.
    silence()?;
    kernel::forget_the_dead();
    set_name(c"karman-init")?;
    join_groups(outside)
}

fn make(plan: &Plan, outside: &Outside) -> Result<(), String> {
    join(plan, outside).map_err(|error| format!("cannot enter the namespaces: {error}"))?;
    set_up(&plan.setup)
}

fn join(plan: &Plan, outside: &Outside) -> io::Result<()> {
    for (file, kinds) in &outside.joins {
        kernel::join(file, *kinds)?;
    }
    if plan.makes.contains(&Kind::Cgroup) {
        kernel::unshare(flags([Kind::Cgroup]))?;
    }
    Ok(())
}

/// Performs the steps that are those of a container.
pub(super) fn set_up(steps: &[Step]) -> Result<(), String> {
    let mut tree = Tree::default();
    for step in steps {
        set_up_one(&mut tree, step).map_err(|error| format!("cannot {step}: {error}"))?;
    }
    Ok(())
}

fn set_up_one(tree: &mut Tree, step: &Step) -> io::Result<()> {
    match step {
        Step::Hostname(name) => Ok(rustix::system::sethostname(name.as_bytes())?),
        Step::Loopback => {
            let socket = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::DGRAM,
                None,
            )?;
            kernel::bring_up(socket, c"lo")
        }
        step => match tree.perform(step)? {
            true => Ok(()),
            false => Err(io::ErrorKind::Unsupported.into()),
        },
    }
}

/// It can be seen from inside, and is not to be a way out.
fn give_up_rights() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for number in 0..u64::BITS {
        // Those that the kernel does not know are not there to be removed.
        let one = CapabilitySet::from_bits_retain(1 << number);
        if remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
