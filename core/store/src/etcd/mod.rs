//! The replicated engine: etcd, as the durable memory of several masters.
//!
//! Commits of one leader pass through one task, which writes whatever waits as
//! one transaction. Each transaction compares and advances the fence of its
//! name, so that nothing of a deposed leader is stored, and nothing twice or out
//! of order, whatever the network does (decision 15). Leases only say
//! who should wait. What is decided is in [`machines`], free of all effects.
//!
//! When etcd is away nothing is acknowledged: loads and commits fail as not
//! available, campaigns wait, watches go on afterwards or are told to list. A
//! leader stays one: its memory is right until somebody else takes over, and
//! nobody can without etcd.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use karman_rt::Tasks;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::debug;

use crate::{Change, Error, Fence, Leader, Leadership, Loaded, Revision, Store, Watch, limits};

mod client;
mod failure;
mod leading;
mod machines;
mod options;
mod reading;
mod watching;
mod wire;

pub use options::{OpenError, Options};

use client::Client;
use leading::{Campaign, Owner, Request};
use machines::call::Call;
use machines::candidate::{Candidate, Setup};
use machines::keys::Keys;
use machines::record::Claim;
use options::Member;
use watching::View;

/// A store in etcd.
#[derive(Debug)]
pub struct Etcd {
    client: Arc<Client>,
    keys: Keys,
    options: Options,
    writers: Arc<Writers>,
    views: Mutex<BTreeMap<String, View>>,
    tasks: Tasks,
}

/// The newest leadership of each name in this process.
#[derive(Debug, Default)]
struct Writers(Mutex<BTreeMap<String, Writer>>);

#[derive(Clone, Debug)]
struct Writer {
    token: u64,
    requests: mpsc::Sender<Request>,
}

impl Etcd {
    /// A store in the etcd that `options` name, which need not be there yet.
    /// It must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the options cannot be right, whatever etcd does.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let bad_prefix = || OpenError::Prefix { prefix: options.prefix.clone() };
        let keys = Keys::new(&options.prefix).ok_or_else(bad_prefix)?;
        let client = Arc::new(Client::new(Member::all(&options)?));
        let tasks = Tasks::new();
        let (probed, key) = (Arc::clone(&client), keys.data("/"));
        tasks.spawn("etcd-probe", async move { probed.probe(key).await });
        Ok(Arc::new(Self {
            client,
            keys,
            options,
            writers: Arc::default(),
            views: Mutex::default(),
            tasks,
        }))
    }

    /// What is seen of a name's leader, from the first time that it is asked for.
    fn view(&self, name: &str) -> View {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(name) {
            return view.clone();
        }
        let view = View::default();
        views.insert(name.to_owned(), view.clone());
        let (client, key) = (Arc::clone(&self.client), self.keys.claim(name));
        self.tasks.spawn("leader", watching::leader(client, key, view.clone()));
        view
    }

    fn campaign_task(&self, name: &str, holder: &str) -> oneshot::Receiver<Leadership> {
        let (waits, leads) = oneshot::channel();
        let setup = Setup {
            keys: self.keys.clone(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            nonce: uuid::Uuid::new_v4().as_u128(),
            ttl: self.options.lease_ttl,
        };
        let campaign = Campaign {
            client: Arc::clone(&self.client),
            writers: Arc::clone(&self.writers),
            name: name.to_owned(),
            machine: Candidate::new(setup),
            claim: self.view(name).token.subscribe(),
            owner: Owner::Waits(waits),
        };
        self.tasks.spawn("candidate", campaign.run());
        leads
    }
}

impl Store for Etcd {
    fn load<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Loaded, Error>> {
        reading::load(&self.client, &self.keys, prefix).boxed()
    }

    fn commit<'a>(
        &'a self,
        fence: &'a Fence,
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        async move {
            let fenced = || Error::Fenced { name: fence.name.clone() };
            let changes = limits::check(changes)?;
            let writer = self.writers.of(fence).ok_or_else(fenced)?;
            let (reply, answer) = oneshot::channel();
            let request = Request { changes, reply };
            // A candidate that ended leads no more.
            writer.requests.send(request).await.map_err(|_ended| fenced())?;
            answer.await.unwrap_or_else(|_ended| Err(fenced()))
        }
        .boxed()
    }

    fn watch(&self, prefix: &str, revision: Revision) -> Watch {
        let client = Arc::clone(&self.client);
        let (watch, task) = watching::watch(client, self.keys.clone(), prefix, revision);
        self.tasks.spawn("watch", task);
        watch
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
    ) -> BoxFuture<'a, Result<Leadership, Error>> {
        async move {
            limits::check_name(name)?;
            limits::check_holder(holder)?;
            let stopped = |_| Error::Unavailable { reason: "the store is closed".into() };
            self.campaign_task(name, holder).await.map_err(stopped)
        }
        .boxed()
    }

    fn leader(&self, name: &str) -> watch::Receiver<Option<Leader>> {
        self.view(name).leader.subscribe()
    }

    fn expire<'a>(&'a self, name: &'a str, leader: &'a Leader) -> BoxFuture<'a, ()> {
        async move {
            let Leader { holder, token } = leader;
            let claim = Claim { token: *token, holder: holder.clone() };
            let expire = claim.expire(self.keys.claim(name));
            let outcome = self.client.call(Call::Txn(expire)).await;
            debug!(name, token, ?outcome, "a claim was to expire");
        }
        .boxed()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Writers {
    fn insert(&self, name: &str, writer: Writer) {
        self.lock().insert(name.to_owned(), writer);
    }

    /// Where commits under this fence go, if it is the newest here.
    fn of(&self, fence: &Fence) -> Option<Writer> {
        self.lock().get(&fence.name).filter(|writer| writer.token == fence.token).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
