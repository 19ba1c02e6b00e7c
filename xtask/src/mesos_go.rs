//! The schedulers and tools that come with mesos-go, the Go client of Mesos,
//! built from its published source: they speak protobuf.
//!
//! Debian packages the library but not the programs, so their source is taken
//! from Debian's archive, and the libraries that they need from its packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{run, succeeds};
use crate::tree;

const SOURCE: &str = "http://deb.debian.org/debian/pool/main/g/golang-github-mesos-mesos-go/golang-github-mesos-mesos-go_0.0.6+dfsg.orig.tar.xz";
/// As the signed description of the source package says.
const SHA256: &str = "bc376813a2af16f2f72d0cde54c06057c72056d3aa02432c7e3a021370234ead";
const SOURCE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Where Debian's packages put the source of Go libraries.
const LIBRARIES: &str = "/usr/share/gocode";
const PACKAGE: &str = "github.com/mesos/mesos-go";
const PROGRAMS: [&str; 2] = ["msh", "mwatch"];

/// Builds the programs, unless they are there; the folder they are in.
pub(crate) fn provide() -> Result<PathBuf> {
    let folder = tree::target().join("mesos-go");
    let programs = folder.join("bin");
    if PROGRAMS.iter().all(|program| programs.join(program).is_file()) {
        return Ok(programs);
    }
    let source = folder.join("src").join(PACKAGE);
    if !source.is_dir() {
        unpack(&folder, &source)?;
    }
    for program in PROGRAMS {
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(programs.join(program));
        build.arg(format!("{PACKAGE}/api/v1/cmd/{program}")).current_dir(&folder);
        build.env("GOPATH", format!("{}:{LIBRARIES}", folder.display()));
        build.env("GO111MODULE", "off").env("GOFLAGS", "").env("GOCACHE", folder.join("cache"));
        run(&mut build)?;
    }
    Ok(programs)
}

/// Whether the archive cannot be reached from here at all.
pub(crate) fn unreachable() -> bool {
    ureq::head(SOURCE).config().timeout_global(Some(DOWNLOAD_TIMEOUT)).build().call().is_err()
}

fn unpack(folder: &Path, source: &Path) -> Result<()> {
    let archive = folder.join("source.tar.xz");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let request = ureq::get(SOURCE).config().timeout_global(Some(DOWNLOAD_TIMEOUT)).build();
    let mut answer = request.call().with_context(|| format!("cannot download {SOURCE}"))?;
    let bytes = answer.body_mut().with_config().limit(SOURCE_BYTES_MAX).read_to_vec()?;
    fs::write(&archive, bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    let sum = Command::new("sha256sum").arg(&archive).output().context("cannot run sha256sum")?;
    if !String::from_utf8_lossy(&sum.stdout).starts_with(SHA256) {
        bail!("{SOURCE} is not the file that it was: its SHA-256 is not {SHA256}");
    }
    // Into a folder of its own first: half an unpacked source must not be taken
    // for a whole one.
    let fresh = folder.join("fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {}", fresh.display()))?;
    }
    fs::create_dir_all(&fresh)?;
    run(Command::new("tar")
        .args(["--strip-components=1", "-xJf"])
        .arg(&archive)
        .arg("-C")
        .arg(&fresh))?;
    fs::create_dir_all(source.parent().context("a package has a parent")?)?;
    fs::rename(&fresh, source).with_context(|| format!("cannot create {}", source.display()))
}

/// Whether the libraries that the programs need are there.
pub(crate) fn libraries_present() -> bool {
    Path::new(LIBRARIES).join("src").join(PACKAGE).is_dir()
        && succeeds(Command::new("go").arg("version"))
}
