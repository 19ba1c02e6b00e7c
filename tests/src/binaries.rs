//! Where the binaries under test are.

use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository exists")
}

/// The path of a binary: in `KARMAN_BIN_DIR`, or in the target folder that this
/// test was built into.
///
/// # Panics
/// When it is not there, with what to do.
pub fn path(name: &str) -> PathBuf {
    let named = std::env::var_os("KARMAN_BIN_DIR");
    let folder = named.map_or_else(target, |folder| root().join(folder));
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} does not exist; run `cargo xtask test`, or build it with `cargo build --bins`",
        path.display()
    );
    path
}

/// `target/<profile>`, of which the test executable lies in `deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    test.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned()
}
