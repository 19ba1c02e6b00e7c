//! Pulls images from registries, each once however many wait for it.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::watch;

use super::install::{Order, install};
use super::source::Source;
use super::{Error, Failed, Image, Inner, Policy, Pulled, Store, Told};
use crate::auth::Auth;
use crate::manifest::{self, Document, Manifest};
use crate::progress::{Phase, Progress};
use crate::reference::Reference;
use crate::registry::Session;

impl Store {
    /// Brings an image here. Whoever asks for the same with the same
    /// credentials waits for the same pull, which ends with the last who waits:
    /// drop the future to cancel.
    ///
    /// With [`Policy::Cached`] a name that is known is not asked for, not even
    /// whether these credentials would have been enough.
    ///
    /// # Errors
    /// The registry does not give it, it is not what it says, or it does not fit.
    pub async fn pull(
        &self,
        reference: &Reference,
        auth: &Auth,
        policy: Policy,
        progress: watch::Sender<Progress>,
    ) -> Result<Image, Failed> {
        if policy == Policy::Cached
            && let Some(image) = self.named(reference)
        {
            done(&progress);
            return Ok(image);
        }
        let key = (reference.clone(), auth.clone());
        let (flight, told) = self.0.pulls.join(key, || start(&self.0, reference, auth));
        let pulled = relay(flight, told, &progress).await;
        pulled.inspect(|_| done(&progress)).map_err(|source| Failed {
            verb: "pull",
            what: reference.to_string(),
            source,
        })
    }
}

fn done(progress: &watch::Sender<Progress>) {
    progress.send_modify(|progress| {
        progress.phase = Phase::Done;
        progress.layers_done = progress.layers_total;
        progress.bytes_done = progress.bytes_total;
    });
}

/// Tells one who waits how far the common pull is.
async fn relay(
    flight: crate::flights::Flight<Pulled>,
    mut told: Told,
    progress: &watch::Sender<Progress>,
) -> Pulled {
    let mut flight = flight;
    loop {
        progress.send_replace(*told.borrow_and_update());
        tokio::select! {
            pulled = &mut flight => return pulled,
            changed = told.changed() => if changed.is_err() { return flight.await; },
        }
    }
}

fn start(
    store: &Arc<Inner>,
    reference: &Reference,
    auth: &Auth,
) -> (futures::future::BoxFuture<'static, Pulled>, Told) {
    let (progress, told) = watch::channel(Progress::default());
    let (store, reference, auth) = (Arc::clone(store), reference.clone(), auth.clone());
    let work = async move {
        let session = Arc::new(store.client.session(&reference, &auth));
        let order = resolve(&store, session, reference).await?;
        install(&store, order, &progress).await
    };
    (work.map(|pulled| pulled.map_err(Arc::new)).boxed(), told)
}

/// Finds out what the name stands for, on this platform.
async fn resolve(
    store: &Inner,
    session: Arc<Session>,
    reference: Reference,
) -> Result<Order, Error> {
    let sent = session.named().await?;
    let named = sent.digest.clone();
    let (digest, manifest) = match Document::parse(&sent.bytes)? {
        Document::Manifest(manifest) => (sent.digest, manifest),
        Document::Index(entries) => {
            let entry = store.settings.platform.choose(&entries)?;
            (entry.digest.clone(), inner(&session, entry).await?)
        }
    };
    let source = Source::Registry(session);
    Ok(Order { source, digest, manifest, names: vec![reference], named })
}

async fn inner(session: &Session, entry: &manifest::Descriptor) -> Result<Manifest, Error> {
    match Document::parse(&session.manifest(entry).await?.bytes)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => {
            let problem = "an index lies in an index".to_owned();
            Err(manifest::Error::Syntax { problem }.into())
        }
    }
}
