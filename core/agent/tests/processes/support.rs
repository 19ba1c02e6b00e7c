//! What the tests share.

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn shim() -> PathBuf {
    env!("CARGO_BIN_EXE_karman-shim").into()
}

/// Asks until the answer is `Ok`; then fails with the last other answer.
#[track_caller]
pub(crate) fn eventually<T, E: Debug>(mut ask: impl FnMut() -> Result<T, E>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < give_up, "still {state:?}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The same for asynchronous questions.
pub(crate) async fn eventually_async<T, E: Debug, F: Future<Output = Result<T, E>>>(
    mut ask: impl FnMut() -> F,
) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < give_up, "still {state:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process of that number runs (a zombie does not).
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Whether this test may do what only root may; says so loudly if not.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI lacks root");
    if !root {
        eprintln!("\n*** THIS TEST DID NOT RUN: only root can make containers ***\n");
    }
    root
}
