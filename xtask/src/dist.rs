//! `cargo xtask dist`: the one file with which a datacenter is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{print, run, say, succeeds};
use crate::{elf, etcd, packages, tree};

/// Binaries that run on any Linux of this processor, whatever its C library.
const TARGET: &str = "x86_64-unknown-linux-musl";
const PACKAGES: [&str; 4] = ["karman-node", "karman-agent", "karman-cli", "karman-installer"];
const OURS: [&str; 4] = ["karmand", "karman-shim", "karman", "karman-installer"];
const INSTALLER: &str = "karman-installer";
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Build faster, for tests: without optimisation, and only for machines like this one
    #[arg(long)]
    dev: bool,
    /// A folder with etcd and etcdctl [default: those of Debian's packages]
    #[arg(long)]
    etcd_dir: Option<PathBuf>,
}

pub(crate) fn run_all(args: &Args) -> Result<()> {
    let file = make(args.dev, args.etcd_dir.as_deref())?;
    print(&sizes(&file, args.dev)?)
}

/// Builds all, and packs it; the file.
pub(crate) fn make(dev: bool, etcd_dir: Option<&Path>) -> Result<PathBuf> {
    let built = if dev { build_dev()? } else { build_static()? };
    let folder = folder(dev);
    let bin_dir = folder.join("bin");
    fs::create_dir_all(&bin_dir).with_context(|| format!("cannot make {}", bin_dir.display()))?;
    for name in OURS {
        let stripped = bin_dir.join(name);
        run(Command::new("strip").arg("-o").arg(&stripped).arg(built.join(name)))?;
        ensure!(
            dev || elf::is_static(&stripped)?,
            "{name} needs libraries of the machine that it runs on"
        );
    }
    let etcd_dir = match etcd_dir {
        Some(folder) => folder.to_owned(),
        None => etcd::provide()?,
    };
    let packed = folder.join(INSTALLER);
    run(Command::new(bin_dir.join(INSTALLER))
        .arg("pack")
        .arg("--bin-dir")
        .arg(&bin_dir)
        .arg("--etcd-dir")
        .arg(&etcd_dir)
        .arg("--output")
        .arg(&packed))?;
    Ok(packed)
}

fn folder(dev: bool) -> PathBuf {
    tree::target().join(if dev { "dist-dev" } else { "dist" })
}

fn build_dev() -> Result<PathBuf> {
    run(tree::cargo().args(["build", "--locked", "--bins"]).args(selected()))?;
    Ok(tree::target().join("debug"))
}

fn build_static() -> Result<PathBuf> {
    let missing = packages::provide(&[packages::MUSL])?;
    ensure!(missing.is_empty(), "without what is named above no static binaries can be built");
    if !succeeds(Command::new("rustup").args(["target", "add", TARGET])) {
        bail!(
            "the standard library for {TARGET} could not be installed; see: rustup target add {TARGET}"
        );
    }
    run(tree::cargo()
        .args(["build", "--locked", "--release", "--bins", "--target", TARGET])
        .args(selected())
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc"))?;
    Ok(tree::target().join(TARGET).join("release"))
}

fn selected() -> impl Iterator<Item = &'static str> {
    PACKAGES.into_iter().flat_map(|package| ["--package", package])
}

fn sizes(packed: &Path, dev: bool) -> Result<String> {
    let mib = |path: &Path| -> Result<f64> {
        let bytes =
            fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.len();
        #[expect(clippy::cast_precision_loss, reason = "sizes are shown to a tenth of a MiB")]
        Ok(bytes as f64 / MIB)
    };
    let mut text = String::new();
    for name in OURS {
        let size = mib(&folder(dev).join("bin").join(name))?;
        text.push_str(&format!("{size:>7.1} MiB  {name}\n"));
    }
    text.push_str(&format!(
        "{:>7.1} MiB  {}, which carries them and etcd\n",
        mib(packed)?,
        packed.display()
    ));
    say("");
    Ok(text)
}
