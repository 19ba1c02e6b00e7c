//! Where the state of a cluster lies, and who leads as it says.

use std::sync::Arc;

use karman_rt::Tasks;
use karman_rt::http::Leader;
use karman_store::Store;
use karman_store::embedded::{Embedded, OpenError};
use karman_store::etcd::{self, Etcd};
use tokio::sync::watch;

use super::machine::Machine;
use crate::args::Role;
use crate::config::cluster::{Cluster, Engine};

/// Where etcd serves its clients.
const ETCD: u16 = 2379;

/// The state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the folder of the state")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Embedded(#[from] OpenError),
    #[error(transparent)]
    Etcd(#[from] etcd::OpenError),
}

/// The store of one role of this machine.
pub(super) fn open(
    cluster: &Cluster,
    machine: &Machine,
    role: Role,
) -> Result<Arc<dyn Store>, Error> {
    match cluster.engine {
        Engine::Embedded => {
            let folder = machine.data_dir.join(role.name());
            std::fs::create_dir_all(&folder).map_err(Error::Folder)?;
            Ok(Embedded::open(&folder.join("store.redb"))?)
        }
        Engine::Etcd => {
            // The member on this machine first: the others are further away.
            let mut members = cluster.masters.clone();
            members.sort_by_key(|member| *member != machine.address);
            let endpoints = members.iter().map(|member| cluster.url("https", *member, ETCD));
            let options = etcd::Options {
                tls: Some(machine.store_tls.clone()),
                ..etcd::Options::new(endpoints.collect())
            };
            Ok(Etcd::open(options)?)
        }
    }
}

/// The URL of whoever leads `name`, picked from what a leader says of itself.
pub(super) fn leader(
    store: &Arc<dyn Store>,
    name: &'static str,
    pick: fn(&str) -> Option<String>,
    tasks: &Tasks,
) -> Leader {
    let mut leader = store.leader(name);
    let (urls, url) = watch::channel(None);
    tasks.spawn("leader", async move {
        loop {
            let now = leader.borrow_and_update().as_ref().and_then(|now| pick(&now.holder));
            urls.send_if_modified(|url| {
                let is_new = *url != now;
                *url = now;
                is_new
            });
            if leader.changed().await.is_err() {
                return;
            }
        }
    });
    url
}

/// Whoever leads where there is only one to lead.
pub(super) fn only(url: String) -> Leader {
    watch::channel(Some(url)).1
}
