//! Making a machine what it shall be: look, plan, do, look again.

use std::fs;

use anyhow::{Context as _, bail};

use super::execute::Executor;
use super::{Applied, Event, Machine, Tell, facts, keys, observe, state};
use crate::layout::{CONFIG, INSTALL, INSTALLER, Local, Order, RESOLV_CONF, STATE, layout};
use crate::payload::Payload;
use crate::release::Manifest;
use crate::steps::{Identity, Original, Record, Step, Wanted, plan};

/// Makes the machine what the order says, with what this installer carries.
pub(super) fn apply(
    machine: &Machine,
    order: &Order,
    tell: &mut Tell<'_>,
) -> anyhow::Result<Applied> {
    let payload = Payload::own()?;
    apply_with(machine, order, payload, tell)
}

pub(super) fn apply_with(
    machine: &Machine,
    order: &Order,
    payload: Payload,
    tell: &mut Tell<'_>,
) -> anyhow::Result<Applied> {
    let _lock = state::lock(machine)?;
    let release = Manifest::new(&payload.items, &order.cluster_yaml).id();
    if release != order.release {
        bail!(
            "release {} is wanted, and this installer makes {release}; run the same installer everywhere",
            order.release
        );
    }
    let mut record = state::load(machine)?;
    admit(machine, order, &record)?;
    let original = original_resolv_conf(machine, &record);
    let keys = keys::load(machine, order)?;
    let local = Local {
        programs: &payload.items,
        keys: &keys,
        resolv_conf: &original,
        systemd: facts::systemd_version(machine),
    };
    let wanted = layout(order, local);
    if let Some(present) = record.identity.as_ref().filter(|present| present.release != release) {
        record.before = Some(present.release.clone());
    }
    record.identity = Some(Identity {
        cluster_id: order.cluster_id.clone(),
        cluster_name: order.cluster_name.clone(),
        role: order.role,
        address: order.address,
        release,
    });
    for tree in &wanted.trees {
        if !record.trees.contains(tree) {
            record.trees.push(tree.clone());
        }
    }
    state::save(machine, &record)?;
    carry_out(machine, &wanted, record, Some(payload), tell)
}

/// Takes back what the record knows of.
pub(super) fn remove(machine: &Machine, tell: &mut Tell<'_>) -> anyhow::Result<Applied> {
    if !machine.path(INSTALLER).exists() {
        return Ok(Applied { steps: 0 });
    }
    let _lock = state::lock(machine)?;
    let mut record = state::load(machine)?;
    // The installer was copied here and nothing else happened.
    if record.trees.is_empty() {
        record.trees.push(INSTALL.to_owned());
    }
    carry_out(machine, &Wanted::default(), record, None, tell)
}

/// Whether the machine may be touched at all.
fn admit(machine: &Machine, order: &Order, record: &Record) -> anyhow::Result<()> {
    match &record.identity {
        Some(Identity { cluster_id, cluster_name, .. }) if *cluster_id != order.cluster_id => {
            bail!(
                "this machine belongs to the cluster '{cluster_name}' ({cluster_id}); uninstall it there first"
            )
        }
        Some(Identity { role, .. }) if *role != order.role => bail!(
            "this machine is installed as {}; remove it with `remove-node` before it becomes {}",
            role.name(),
            order.role.name()
        ),
        Some(_) => Ok(()),
        None => {
            for folder in [CONFIG, STATE] {
                let entries = fs::read_dir(machine.path(folder));
                if entries.is_ok_and(|mut entries| entries.next().is_some()) {
                    bail!(
                        "{folder} is there and not the installer's; move it away, uninstalling would remove it"
                    );
                }
            }
            Ok(())
        }
    }
}

/// `/etc/resolv.conf` as it was before it was ours.
fn original_resolv_conf(machine: &Machine, record: &Record) -> String {
    match record.put.get(RESOLV_CONF) {
        None => machine.text(RESOLV_CONF),
        Some(Original::Nothing) => String::new(),
        Some(Original::File { text, .. }) => text.clone(),
        Some(Original::Link { target }) => {
            machine.text(&std::path::Path::new("/etc").join(target).display().to_string())
        }
    }
}

fn carry_out(
    machine: &Machine,
    wanted: &Wanted,
    record: Record,
    payload: Option<Payload>,
    tell: &mut Tell<'_>,
) -> anyhow::Result<Applied> {
    let observed = observe::observe(machine, wanted, record)?;
    let steps = plan(&observed, wanted);
    let of = steps.len();
    let mut executor = Executor { machine, record: observed.record, payload };
    for (step, number) in steps.iter().zip(1..) {
        let what = step.to_string();
        tell(Event::Step { number, of, what: what.clone() });
        let warning = executor.carry_out(step).with_context(|| what.clone())?;
        if let Some(text) = warning {
            tell(Event::Warning { text });
        }
    }
    let Executor { record, .. } = executor;
    let mut observed = observe::observe(machine, wanted, record)?;
    let left = plan(&observed, wanted);
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(Step::to_string).collect();
        bail!("done, and the machine still lacks: {}; something else changes it", left.join("; "));
    }
    if !wanted.units.is_empty() && !observed.record.served {
        observed.record.served = true;
        state::save(machine, &observed.record)?;
    }
    Ok(Applied { steps: of })
}
