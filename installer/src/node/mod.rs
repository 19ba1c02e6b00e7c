//! What the installer does on a machine of the cluster.
//!
//! The admin's machine runs `karman-installer node VERB` here, over SSH or by the
//! script that joins: a request as JSON on standard input, [`Event`]s as JSON
//! lines on standard output. The engine knows nothing of who asks.

use std::io::{Read as _, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::plan::Role;

mod apply;
mod execute;
mod facts;
mod health;
mod join;
mod keys;
mod machine;
mod master;
mod observe;
mod reach;
mod state;
mod tasks;

pub use facts::{Facts, Installed};
pub use health::{Health, UnitHealth};
pub use machine::Machine;
pub use master::Drained;

/// No order comes near it.
const REQUEST_BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Verb {
    /// What the machine is.
    Facts,
    /// Which of some addresses can be reached.
    Reach,
    /// Makes keys, and requests to sign them.
    Keys,
    /// Makes the machine what an order says.
    Apply,
    /// Which parts run, and how.
    Health,
    /// Empties an agent, asked of a master.
    Drain,
    /// Takes everything back.
    Remove,
    /// Prints what this machine sends to join.
    Ask {
        #[arg(long, value_enum)]
        role: Role,
        #[arg(long)]
        token: String,
        /// By which the others know it.
        #[arg(long)]
        address: Option<IpAddr>,
    },
    /// Carries out the answer, if it was signed with this key.
    Accept {
        #[arg(long)]
        key: String,
    },
}

/// One line on the way to the admin's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Step { number: usize, of: usize, what: String },
    Warning { text: String },
    Result { value: serde_json::Value },
    Failed { problem: String },
}

/// Where events go.
pub type Tell<'a> = dyn FnMut(Event) + 'a;

/// What was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub steps: usize,
}

/// Runs a verb; the exit code is 0 where its last line is a result.
pub fn run(verb: &Verb, root: PathBuf, out: &mut impl Write) -> anyhow::Result<u8> {
    let machine = Machine::new(root);
    match verb {
        Verb::Ask { role, token, address } => {
            let request = join::ask(&machine, *role, token, *address)?;
            writeln!(out, "{}", serde_json::to_string(&request)?)?;
            return Ok(0);
        }
        Verb::Accept { key } => {
            join::accept(&machine, key, out)?;
            return Ok(0);
        }
        _ => {}
    }
    Ok(serve(verb, &machine, out))
}

fn serve(verb: &Verb, machine: &Machine, out: &mut impl Write) -> u8 {
    let mut request = String::new();
    let read = std::io::stdin().lock().take(REQUEST_BYTES_MAX).read_to_string(&mut request);
    let mut tell = |event: Event| {
        let line = serde_json::to_string(&event).expect("an event is JSON");
        // Whoever asked is gone if this fails; the work goes on all the same.
        let _nobody_listens = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let done = read
        .context("cannot read the request")
        .and_then(|_bytes| answer(verb, machine, &request, &mut tell));
    match done {
        Ok(value) => {
            tell(Event::Result { value });
            0
        }
        Err(error) => {
            tell(Event::Failed { problem: format!("{error:#}") });
            1
        }
    }
}

fn answer(
    verb: &Verb,
    machine: &Machine,
    request: &str,
    tell: &mut Tell<'_>,
) -> anyhow::Result<serde_json::Value> {
    let parse = |what: &str| format!("the request is no {what}");
    Ok(match verb {
        Verb::Facts => {
            let ask = serde_json::from_str(request).with_context(|| parse("question"))?;
            serde_json::to_value(facts::gather(machine, &ask)?)?
        }
        Verb::Reach => {
            let targets: Vec<std::net::SocketAddr> =
                serde_json::from_str(request).with_context(|| parse("list of addresses"))?;
            serde_json::to_value(reach::unreachable(&targets))?
        }
        Verb::Keys => {
            let names: Vec<String> =
                serde_json::from_str(request).with_context(|| parse("list of names"))?;
            serde_json::to_value(keys::requests(machine, &names)?)?
        }
        Verb::Apply => {
            let order = serde_json::from_str(request).with_context(|| parse("order"))?;
            serde_json::to_value(apply::apply(machine, &order, tell)?)?
        }
        Verb::Health => serde_json::to_value(health::look(machine)?)?,
        Verb::Drain => {
            let ask = serde_json::from_str(request).with_context(|| parse("agent"))?;
            serde_json::to_value(master::drain(machine, &ask, tell)?)?
        }
        Verb::Remove => serde_json::to_value(apply::remove(machine, tell)?)?,
        Verb::Ask { .. } | Verb::Accept { .. } => anyhow::bail!("that is for joining"),
    })
}

#[cfg(test)]
mod tests;
