//! The private keys of a machine: made here, and never leaving it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::{Context as _, bail};

use super::{Machine, state};
use crate::layout::{INSTALLER, Order, certificates};
use crate::pki::Request;

/// The request for each name, with a key that is made where there is none.
pub(super) fn requests(
    machine: &Machine,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, String>> {
    let _lock = state::lock(machine)?;
    let mut requests = BTreeMap::new();
    for name in names {
        if name.is_empty() || name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            bail!("'{name}' is not the name of a key");
        }
        let file = machine.path(&format!("{INSTALLER}/keys/{name}.key"));
        let folder = file.parent().context("a key is in a folder")?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Asked again, the answer is the same: so is what was signed for it.
        let asked = file.with_extension("request");
        if !(file.is_file() && asked.is_file()) {
            let Request { key, request } = Request::create()?;
            state::durably(&file, key.as_bytes(), 0o600)?;
            state::durably(&asked, request.as_bytes(), 0o600)?;
        }
        let request = fs::read_to_string(&asked)?;
        requests.insert(name.clone(), request);
    }
    Ok(requests)
}

/// The keys that an order's certificates are for.
pub(super) fn load(machine: &Machine, order: &Order) -> anyhow::Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::new();
    for name in certificates(order.role, order.store) {
        let file = machine.path(&format!("{INSTALLER}/keys/{name}.key"));
        let key = fs::read_to_string(&file)
            .with_context(|| format!("the key {} is missing", file.display()))?;
        keys.insert((*name).to_owned(), key);
    }
    Ok(keys)
}
