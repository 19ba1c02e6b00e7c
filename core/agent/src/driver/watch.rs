//! Waits for a shim, which may be no child of this process.
#![expect(unsafe_code, reason = "tokio asks for a promise about the descriptor it watches")]

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::process::{self, Identity};
use crate::shim::records::{RunDir, Running};

/// How often a shim that was started by an earlier process of this agent is
/// asked whether its command runs; all others say so by themselves.
const START_POLL: Duration = Duration::from_millis(20);

/// How often an exit is looked for where the kernel has no file for it.
const EXIT_POLL: Duration = Duration::from_millis(200);

pub(super) struct Shim {
    identity: Identity,
    /// Readable once the process has ended.
    file: Option<AsyncFd<OwnedFd>>,
}

impl Shim {
    /// `None` if that process is gone.
    pub(super) fn find(identity: Identity) -> Option<Self> {
        let file =
            process::pid(identity.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        // After the file: a number cannot change hands behind it.
        if !identity.exists() {
            return None;
        }
        let file = file.and_then(register);
        Some(Self { identity, file })
    }

    fn exists(&self) -> bool {
        self.identity.exists()
    }

    pub(super) async fn ended(&self) {
        let Some(file) = &self.file else {
            while self.exists() {
                tokio::time::sleep(EXIT_POLL).await;
            }
            return;
        };
        let _readable = file.readable().await;
        // Only a child can be waited for; all others have another parent.
        let _not_mine = waitid(
            WaitId::PidFd(file.get_ref().as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }
}

fn register(file: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is registered, and nothing takes
    // it out of there before it is dropped.
    unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }.ok()
}

/// Waits until the command was executed; `None` if it never was.
pub(super) async fn started(run: &RunDir, shim: &Shim) -> Option<Identity> {
    loop {
        if let Some(Running { task, init: _ }) = super::read(run.running()).await {
            return Some(task);
        }
        tokio::select! {
            // It may have said so just before.
            () = shim.ended() => return super::read(run.running()).await.map(|Running { task, init: _ }| task),
            () = tokio::time::sleep(START_POLL) => {}
        }
    }
}
