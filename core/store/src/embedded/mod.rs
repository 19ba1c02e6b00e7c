//! The embedded engine: one redb file, one writer, group commit.
//!
//! All commits and campaigns pass through one thread ([`writer`]), which takes
//! whatever waits, writes it as one transaction and synchronises the disk once.
//! It never waits for company, so a lonely commit costs one synchronisation.
//! Loads read their own snapshot and disturb nobody. A file lock keeps other
//! processes out, so leadership is a matter of this process and its tokens.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Change, Error, Fence, Leader, Leadership, Loaded, Revision, Store, Watch, limits};

mod database;
mod leaders;
mod open;
mod writer;

pub use open::OpenError;

use database::Shared;
use leaders::Leaders;
use writer::Request;

/// Commits that may wait for the writer; more wait outside the queue.
const QUEUE_MAX: usize = 256;

/// A store in one file.
pub struct Embedded {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    leaders: Leaders,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the store in the file `path`, which is created where it is missing,
    /// with its folder. Only one store of all processes may have it open.
    pub fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        let opener = open::File::lock(path)?;
        Self::start(Box::new(opener)).map_err(|error| open::explain(path, error))
    }

    fn start(opener: Box<dyn database::Open>) -> Result<Arc<Self>, database::Failure> {
        let (shared, state) = Shared::open(opener.as_ref())?;
        let shared = Arc::new(shared);
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let writer = writer::Writer { opener, shared: Arc::clone(&shared), state };
        let thread =
            std::thread::Builder::new().name("store-writer".into()).spawn(|| writer.run(queue))?;
        Ok(Arc::new(Self {
            requests: Some(requests),
            writer: Some(thread),
            shared,
            leaders: Leaders::default(),
        }))
    }

    /// Sends a request to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let stopped = || Error::Unavailable { reason: "its writer has stopped".into() };
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request(reply)).await.map_err(|_closed| stopped())?;
        answer.await.map_err(|_dropped| stopped())?
    }

    async fn read(&self, prefix: &str) -> Result<Loaded, Error> {
        let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_owned());
        let read = tokio::task::spawn_blocking(move || shared.load(&prefix));
        read.await.unwrap_or_else(|error| Err(Error::Unavailable { reason: error.to_string() }))
    }
}

impl Store for Embedded {
    fn load<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Loaded, Error>> {
        async move {
            if self.shared.is_closed() {
                // An earlier failure closed the file; only the writer opens it again.
                self.ask(|reply| Request::Reopen { reply }).await?;
            }
            self.read(prefix).await
        }
        .boxed()
    }

    fn commit<'a>(
        &'a self,
        fence: &'a Fence,
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        async move {
            let changes = limits::check(changes)?;
            self.ask(|reply| Request::Commit { fence: fence.clone(), changes, reply }).await
        }
        .boxed()
    }

    fn watch(&self, prefix: &str, revision: Revision) -> Watch {
        self.shared.history().watch(prefix, revision)
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
    ) -> BoxFuture<'a, Result<Leadership, Error>> {
        async move {
            limits::check_name(name)?;
            limits::check_holder(holder)?;
            let token = self.ask(|reply| Request::Campaign { name: name.to_owned(), reply });
            self.leaders.campaign(name, holder, token).await
        }
        .boxed()
    }

    fn leader(&self, name: &str) -> watch::Receiver<Option<Leader>> {
        self.leaders.leader(name)
    }

    /// Leaders live in this process; none ends without being seen.
    fn expire<'a>(&'a self, _: &'a str, _: &'a Leader) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}

impl Drop for Embedded {
    /// Waits for the writer, so that the file is free once the store is gone.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported where it happened.
            let _panicked = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
