//! Calls of the kernel that have no safe function.
#![expect(unsafe_code, reason = "the calls are made by number, with records of their own")]

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::libc;
use seccompiler::sock_filter;

/// What `clone3` wants to know; its first form, which all kernels take.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// What a child ends with that panicked.
const PANICKED: i32 = 70;

/// Starts a process that is a copy of this one, with namespaces of its own by
/// `flags`, and ends it with what `child` returns.
///
/// Whoever calls this has one thread: a copy of another's lock would never be
/// released.
pub(super) fn fork(flags: u64, child: impl FnOnce() -> i32) -> io::Result<u32> {
    let parents = flags & libc::CLONE_PARENT as u64 != 0;
    let arguments = CloneArguments {
        flags,
        // A sibling tells its parent the way that this process does.
        exit_signal: if parents { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArguments::default()
    };
    // SAFETY: without a stack and without CLONE_VM this is a fork. The record
    // is as long as it says.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>())
    };
    match pid {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            // SAFETY: ends this copy, without what its original had registered
            // for its own end.
            unsafe { libc::_exit(code) }
        }
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => u32::try_from(pid).map_err(io::Error::other),
    }
}

#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    users: u64,
}

/// Adds properties (`MOUNT_ATTR_*`) to a mount and those below it.
pub(super) fn set_mount_attributes(mount: impl AsFd, set: u64, recursive: bool) -> io::Result<()> {
    change_mount(mount, &MountAttributes { set, ..MountAttributes::default() }, recursive)
}

fn change_mount(mount: impl AsFd, attributes: &MountAttributes, recursive: bool) -> io::Result<()> {
    let all = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the record is as long as it says, and the path an empty literal.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | all,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the kernel ask this program about every call from now on.
pub(super) fn set_filter(program: &[sock_filter]) -> io::Result<()> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: the record points at as many instructions as it says, which have
    // the kernel's layout in both crates.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Brings an interface of this network up.
pub(super) fn bring_up(socket: impl AsFd, name: &CStr) -> io::Result<()> {
    // SAFETY: a record of numbers and addresses, for which nothing is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
    // SAFETY: the record is what this request takes.
    let result = unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Signals that a program expects to find as they are by default.
pub(super) fn reset_signals() {
    // SAFETY: no handler is involved.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// The dead below this process are forgotten at once.
pub(super) fn forget_the_dead() {
    // SAFETY: no handler is involved.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
    }
}

/// Closes every descriptor but the standard ones.
pub(super) fn close_all() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: the caller ends without using a descriptor again.
    unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0);
    }
}

/// Moves this process into other namespaces; its children, for that of
/// processes.
pub(super) fn join(of: impl AsFd, kinds: i32) -> io::Result<()> {
    // SAFETY: takes a descriptor and a number.
    let result = unsafe { libc::setns(of.as_fd().as_raw_fd(), kinds) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives this process namespaces of its own.
pub(super) fn unshare(kinds: i32) -> io::Result<()> {
    // SAFETY: takes a number; no kind shares memory or descriptors.
    let result = unsafe { libc::unshare(kinds) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
