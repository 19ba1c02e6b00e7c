//! What three masters promise: how soon a write succeeds after the leader is
//! gone, how soon its successor knows everything, what each placement costs in
//! etcd, and how long it takes to install all that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::core;
use super::report::{self, Row};
use crate::process::say;
use crate::{dist, etcd, packages, tree};

/// Parts of the program that need no nodes.
const PARTS: [&str; 3] = ["election", "placements", "chaos"];
/// The part that installs on nodes.
const INSTALL: &str = "install";
const ROUNDS: usize = 3;
const NAME: &str = "bench";
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    #[command(flatten)]
    report: report::Options,
    /// Only these parts: election, placements, chaos, install [default: all]
    parts: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let known = || PARTS.into_iter().chain([INSTALL]);
    if let Some(unknown) = options.parts.iter().find(|part| known().all(|known| known != *part)) {
        let known: Vec<_> = known().collect();
        anyhow::bail!("there is no part '{unknown}'; the parts are {}", known.join(", "));
    }
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|it| it == part);
    let parts: Vec<String> =
        PARTS.into_iter().filter(|part| wanted(part)).map(str::to_owned).collect();
    let mut rows = Vec::new();
    if !parts.is_empty() {
        let environment = [
            ("KARMAN_ETCD_DIR", etcd::provide()?),
            (tree::BIN_DIR, tree::binaries(tree::Profile::Release)?),
        ];
        rows.extend(core::measure(&parts, &environment)?);
    }
    if wanted(INSTALL) {
        rows.extend(install()?);
    }
    report::publish("ha", &rows, options.report)
}

/// Times of the released installer on prepared nodes, the median of some rounds.
fn install() -> Result<Vec<Row>> {
    let missing = packages::provide(&packages::DATACENTER_NEEDS)?;
    ensure!(missing.is_empty(), "nodes cannot be made without what is named above");
    let installer = dist::make(false, None)?;
    let bytes = std::fs::metadata(&installer).context("the installer was not made")?.len();
    #[expect(clippy::cast_precision_loss, reason = "sizes are shown to a tenth of a MiB")]
    let mib = bytes as f64 / MIB;
    let seconds = |masters, agents| -> Result<f64> {
        let mut took =
            (0..ROUNDS).map(|_| round(&installer, masters, agents)).collect::<Result<Vec<_>>>()?;
        took.sort_unstable();
        Ok(took.get(ROUNDS / 2).copied().unwrap_or_default().as_secs_f64())
    };
    let row = |name: &str, value, unit: &str, target| Row {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        peer: None,
        target: Some(target),
    };
    Ok(vec![
        row("install_3_masters_3_agents_s", seconds(3, 3)?, "s", 60.0),
        row("install_single_node_s", seconds(1, 0)?, "s", 15.0),
        row("installer_mib", mib, "MiB", 60.0),
    ])
}

fn round(installer: &Path, masters: u8, agents: u8) -> Result<Duration> {
    say(&format!("installing on {masters} masters and {agents} agents"));
    let room = Room::up(masters, agents)?;
    let begun = Instant::now();
    room.run(installer, &["deploy", "--config", &room.config()])?;
    Ok(begun.elapsed())
}

/// Nodes for one measurement; gone with the value.
struct Room {
    xtask: PathBuf,
}

impl Room {
    fn up(masters: u8, agents: u8) -> Result<Self> {
        let xtask = std::env::current_exe().context("which program is this?")?;
        let room = Self { xtask };
        room.datacenter(&["down"])?;
        let (masters, agents) = (masters.to_string(), agents.to_string());
        room.datacenter(&["up", "--masters", &masters, "--agents", &agents, "--public", "0"])?;
        Ok(room)
    }

    fn config(&self) -> String {
        crate::datacenter::config_of(NAME).display().to_string()
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Result<()> {
        let program = program.display().to_string();
        self.datacenter(&[&["run", "--", &program], arguments].concat())
    }

    /// Silent, unless it fails.
    fn datacenter(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.xtask)
            .args(["datacenter", "--name", NAME])
            .args(arguments)
            .output()
            .context("cannot run this program again")?;
        ensure!(
            output.status.success(),
            "{} failed:\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = self.datacenter(&["down"]) {
            say(&format!("the nodes are not gone: {error:#}"));
        }
    }
}
