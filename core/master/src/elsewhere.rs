//! The leading master, as one that does not lead sees it. It may be behind, so it
//! is for sending others there, never for deciding.

use karman_store::Leader;
use tokio::sync::watch;

use crate::Urls;

#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    leader: watch::Receiver<Option<Leader>>,
    /// A leader here is the former self of this master.
    own: Urls,
}

impl Elsewhere {
    pub(crate) fn new(leader: watch::Receiver<Option<Leader>>, own: Urls) -> Self {
        Self { leader, own }
    }

    /// A leading master that is not this one, if one is known.
    pub(crate) fn urls(&self) -> Option<Urls> {
        other(self.leader.borrow().as_ref(), &self.own)
    }

    /// Waits until one is known, and if it is the one whose sessions at `lost` broke,
    /// until it leads anew; `None` while stopping.
    pub(crate) async fn known_after(&mut self, lost: Option<&str>) -> Option<Urls> {
        let own = self.own.clone();
        let before = self.leader.borrow().as_ref().map(|leader| leader.token);
        let is_new = |now: &Option<Leader>| {
            let urls = other(now.as_ref(), &own);
            let token = now.as_ref().map(|leader| leader.token);
            urls.is_some_and(|urls| Some(urls.session.as_str()) != lost || token != before)
        };
        let leader = self.leader.wait_for(is_new).await;
        leader.ok().and_then(|now| other(now.as_ref(), &own))
    }

    /// Resolves when another than `urls` is known.
    pub(crate) async fn moved(&mut self, urls: &Urls) {
        let own = self.own.clone();
        let is_new = |now: &Option<Leader>| other(now.as_ref(), &own).is_some_and(|it| it != *urls);
        if self.leader.wait_for(is_new).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn other(leader: Option<&Leader>, own: &Urls) -> Option<Urls> {
    Urls::of(&leader?.holder).filter(|urls| urls != own)
}
