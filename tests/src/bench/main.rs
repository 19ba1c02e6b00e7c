//! Measures the resource core: the allocator and the ledger as functions, the
//! master as a process with emulated agents and a framework on its HTTP API.
//! `cargo xtask bench core` builds and runs this; each line it prints is a row.

mod agents;
mod allocation;
mod chaos;
mod election;
mod etcd;
mod failover;
mod launches;
mod master;
mod memory;
mod placements;
mod row;
mod scheduler;
mod shape;
mod state;

use std::process::ExitCode;

use anyhow::Result;

/// Memory is measured, so it is managed as in the real binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Part = fn() -> Result<()>;

/// The parts of the core, in the order in which they run.
const CORE: &[(&str, Part)] = &[
    ("allocation", allocation::run),
    ("failover", failover::run),
    ("launches", launches::run),
    ("state", state::run),
    ("memory", memory::run),
];

/// Those of several masters, which run only where they are named.
const SEVERAL: &[(&str, Part)] =
    &[("election", election::run), ("placements", placements::run), ("chaos", chaos::run)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The HTTP client insists on one, whatever it talks to.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let result = match args.first().map(String::as_str) {
        Some(master::ROLE) => master::serve(args.get(1).map(String::as_str)),
        _parts => parts(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            row::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the named parts, or all of the core.
fn parts(wanted: &[String]) -> Result<()> {
    let all = || CORE.iter().chain(SEVERAL);
    if let Some(unknown) = wanted.iter().find(|name| all().all(|(part, _)| part != name)) {
        let known: Vec<_> = all().map(|(part, _)| *part).collect();
        anyhow::bail!("there is no part '{unknown}'; the parts are {}", known.join(", "));
    }
    for (name, run) in all() {
        let is_default = wanted.is_empty() && CORE.iter().any(|(part, _)| part == name);
        if is_default || wanted.iter().any(|part| part == name) {
            row::say(&format!("measuring {name}"));
            run()?;
        }
    }
    Ok(())
}

/// The runtime of one part; its threads end with it.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
