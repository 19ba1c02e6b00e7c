//! Joining from the machine's side: what it sends, and what it does with the answer.

use std::io::{Read as _, Write};
use std::net::IpAddr;

use anyhow::Context as _;

use super::{Event, Machine, REQUEST_BYTES_MAX, apply, facts, keys};
use crate::bundle::verify;
use crate::join::{Answer, Request};
use crate::layout::{Order, certificates};
use crate::plan::{Role, Store};

/// What this machine is, with requests for every key that it may need.
pub(super) fn ask(
    machine: &Machine,
    role: Role,
    token: &str,
    address: Option<IpAddr>,
) -> anyhow::Result<Request> {
    let names: Vec<String> =
        certificates(role, Store::Etcd).iter().map(|name| (*name).to_owned()).collect();
    Ok(Request {
        token: token.to_owned(),
        role,
        address,
        facts: facts::gather(machine, &facts::Ask::default())?,
        requests: keys::requests(machine, &names)?,
    })
}

/// Checks the answer and carries it out.
pub(super) fn accept(machine: &Machine, key: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().lock().take(REQUEST_BYTES_MAX).read_to_string(&mut text)?;
    let Answer { order, signature } = serde_json::from_str(&text).context("this is no answer")?;
    verify(key, order.as_bytes(), &signature).context("the answer is not the cluster's")?;
    let order: Order = serde_json::from_str(&order).context("the answer holds no order")?;
    let mut tell = |event: Event| {
        let said = match event {
            Event::Step { number, of, what } => writeln!(out, "{number}/{of} {what}"),
            Event::Warning { text } => writeln!(out, "warning: {text}"),
            Event::Result { .. } | Event::Failed { .. } => Ok(()),
        };
        // Whoever looked on is gone; the work goes on.
        let _gone = said;
    };
    apply::apply(machine, &order, &mut tell)?;
    let (role, cluster) = (order.role.name(), &order.cluster_name);
    writeln!(out, "This machine is {} of '{cluster}', as {role}.", order.address)?;
    Ok(())
}
