//! What a test needs of the machine. Where it is missing the test says so
//! loudly and passes; in CI (`CI=true`) it fails.

use std::path::PathBuf;

/// Reports that a test cannot run here; the caller returns.
///
/// # Panics
/// In CI, where everything must be there.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI lacks {what}");
    eprintln!("\n*** THIS TEST DID NOT RUN: this machine lacks {what} ***\n");
}

/// The Python interpreter of the virtual environment that `cargo xtask test`
/// makes from `tests/requirements.txt`.
pub fn python() -> Option<PathBuf> {
    let venv = std::env::var_os("KARMAN_TEST_VENV").map(PathBuf::from)?;
    let python = venv.join("bin/python");
    assert!(
        python.is_file(),
        "{} does not exist; remove the folder and run `cargo xtask test`",
        python.display()
    );
    Some(python)
}

/// A program of mesos-go, from the folder that `cargo xtask test` builds them
/// into (`KARMAN_TEST_MESOS_GO`). Where the archive of their source cannot be
/// reached, the test is left out even in CI.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn mesos_go(program: &str) -> Option<PathBuf> {
    match std::env::var("KARMAN_TEST_MESOS_GO") {
        Ok(folder) if folder == "unreachable" => {
            eprintln!("\n*** THIS TEST DID NOT RUN: mesos-go could not be downloaded ***\n");
            None
        }
        Ok(folder) => Some(PathBuf::from(folder).join(program)),
        Err(_) => {
            missing("mesos-go, which `cargo xtask test` builds (KARMAN_TEST_MESOS_GO)");
            None
        }
    }
}

/// The path of a program, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether tests may do what only root may.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
