//! `cargo xtask ci`: what must hold before a change is shared.

use anyhow::Result;

use crate::{process, test, tree};

pub(crate) fn run() -> Result<()> {
    process::run(tree::cargo().args(["fmt", "--all", "--check"]))?;
    process::run(tree::cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    test::run(&["--profile".to_owned(), "ci".to_owned()])?;
    process::run(tree::cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]))
}
