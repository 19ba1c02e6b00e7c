//! Lets go of what the shim was started with.
#![expect(
    unsafe_code,
    reason = "no safe function closes descriptors that nobody in this process owns"
)]

use nix::libc;

/// Closes every descriptor but the standard ones: sockets and files of the
/// agent, or of whoever started it, must not live as long as a task.
///
/// To be called before this process opens anything.
pub(super) fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing in this process has opened a descriptor yet, so none of
    // those that are closed is anybody's. A kernel without the call closes
    // nothing; all descriptors of the agent itself are closed by execution.
    unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0);
    }
}
