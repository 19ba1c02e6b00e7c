//! What containers may ask the kernel for where nobody says otherwise. Pure.
//!
//! Every call that is known, but for those that act on the whole machine, that
//! have been the door to the kernel before and nobody needs, or that need a
//! right which the container must have for them to be of use.

use std::collections::BTreeSet;

use super::profile::{Action, Argument, Operator, Profile, Rule};
use super::table;
use crate::spec::Capability;

/// Nobody's business in a container, whatever its rights.
#[rustfmt::skip]
const NEVER: &[&str] = &[
    // They hand out keys that are not the container's.
    "add_key", "keyctl", "request_key",
    // Large and young parts of the kernel that are attacked first.
    "io_uring_enter", "io_uring_register", "io_uring_setup", "userfaultfd",
    // Gone, or never there.
    "_sysctl", "afs_syscall", "epoll_ctl_old", "epoll_wait_old", "getpmsg", "lookup_dcookie",
    "nfsservctl", "putpmsg", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver",
    // Another kernel than this one.
    "kexec_file_load", "kexec_load",
    // Of the machine's memory.
    "move_pages", "swapoff", "swapon",
];

/// These with the right that they are about.
#[rustfmt::skip]
const RIGHTS: &[(&str, &[&str])] = &[
    ("SYS_ADMIN", &[
        "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "mount",
        "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "pivot_root", "quotactl",
        "quotactl_fd", "setdomainname", "sethostname", "setns", "statmount", "umount2", "unshare",
    ]),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("SYS_NICE", &["get_mempolicy", "mbind", "migrate_pages", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYS_PACCT", &["acct"]),
    ("SYS_PTRACE", &["kcmp", "pidfd_getfd"]),
    ("SYS_RAWIO", &["ioperm", "iopl"]),
    ("SYS_TIME", &["clock_adjtime", "clock_settime", "settimeofday"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYSLOG", &["syslog"]),
];

/// More than one right opens these.
const ADMIN: &str = "SYS_ADMIN";

/// Namespaces that `clone` makes.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The execution domains of a normal program, and the one that asks.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x20000, 0x20008, 0xffff_ffff];

/// Sockets to the machine that runs this virtual one.
const AF_VSOCK: u64 = 40;

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// For a process that can have these rights.
pub(super) fn profile(rights: &BTreeSet<Capability>) -> Profile {
    let has = |name: &str| rights.iter().any(|right| right.name() == name);
    let admin = has(ADMIN);
    let opened = |call: &str| {
        RIGHTS
            .iter()
            .filter(|(_, calls)| calls.contains(&call))
            .all(|(right, _)| has(right) || admin)
    };
    let special = ["clone", "clone3", "personality", "socket"];
    let free = table::all().map(|(name, _)| name);
    let names = free
        .filter(|name| !NEVER.contains(name) && opened(name))
        .filter(|name| admin || !special.contains(name))
        .map(str::to_owned);
    let mut syscalls = vec![allow(names.collect(), Vec::new())];
    if !admin {
        syscalls.extend(conditional());
    }
    Profile { default_action: Action::Errno, default_errno_ret: Some(EPERM), syscalls }
}

fn conditional() -> Vec<Rule> {
    let none_of =
        Argument { index: 0, value: NEW_NAMESPACES, value_two: 0, op: Operator::MaskedEqual };
    let other_than = Argument { index: 0, value: AF_VSOCK, value_two: 0, op: Operator::NotEqual };
    let mut rules = vec![
        allow(vec!["clone".to_owned()], vec![none_of]),
        allow(vec!["socket".to_owned()], vec![other_than]),
        // Its flags lie in memory, where a filter cannot look: programs fall
        // back to the older call if there is no such one.
        Rule {
            names: vec!["clone3".to_owned()],
            action: Action::Errno,
            errno_ret: Some(ENOSYS),
            ..Rule::default()
        },
    ];
    rules.extend(PERSONALITIES.map(|value| {
        let same = Argument { index: 0, value, value_two: 0, op: Operator::Equal };
        allow(vec!["personality".to_owned()], vec![same])
    }));
    rules
}

fn allow(names: Vec<String>, args: Vec<Argument>) -> Rule {
    Rule { names, action: Action::Allow, args, ..Rule::default() }
}
