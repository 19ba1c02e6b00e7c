//! The gateway that writes users: whichever leads.
//!
//! Task: one, campaigning for as long as the process runs. A gateway that is
//! deposed goes on checking users and tries again.

use std::sync::Arc;
use std::time::Duration;

use karman_store::{Change, Error, Fence, Leadership, Store};
use tokio::sync::watch;
use tracing::{info, warn};

use super::token::Signer;
use super::user::User;
use super::{KEY, OpenError, USERS, put};
use crate::LEADERSHIP;

/// Between two tries while the store is not available.
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    pub(super) store: Arc<dyn Store>,
    pub(super) holder: String,
    /// Made where the store does not know it yet.
    pub(super) superuser: User,
    pub(super) leads: watch::Sender<Option<Fence>>,
}

impl Writer {
    /// # Errors
    /// When there is something in the store that this release cannot read.
    pub(super) async fn run(self) -> Result<(), OpenError> {
        loop {
            match self.lead().await {
                Ok(()) => warn!("another gateway keeps the users now"),
                Err(OpenError::Store(error @ Error::Unavailable { .. })) => {
                    warn!(error = karman_rt::chain(&error), "users cannot be changed; trying on");
                }
                Err(OpenError::Store(Error::Fenced { .. })) => {}
                Err(error) => return Err(error),
            }
            self.leads.send_replace(None);
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Leads until somebody else does.
    async fn lead(&self) -> Result<(), OpenError> {
        let door = |holder: &str| Some(holder.to_owned());
        let campaign = karman_store::campaign(&*self.store, LEADERSHIP, &self.holder, door);
        let Leadership { fence, mut lost } = campaign.await?;
        self.complete(&fence).await?;
        info!("this gateway keeps the users");
        self.leads.send_replace(Some(fence));
        // It closes only with the store.
        let _closed = lost.wait_for(|lost| *lost).await;
        Ok(())
    }

    /// Makes what must be there from the start.
    async fn complete(&self, fence: &Fence) -> Result<(), OpenError> {
        let mut changes = Vec::new();
        let key = self.store.load(KEY).await?;
        match key.entries.iter().find(|entry| entry.key == KEY) {
            Some(entry) => drop(Signer::decode(&entry.value)?),
            None => {
                let (_signer, value) = Signer::generate()?;
                changes.push(Change::Put { key: KEY.into(), value });
            }
        }
        let first = format!("{USERS}{}", self.superuser.uid);
        let known = self.store.load(&first).await?;
        if !known.entries.iter().any(|entry| entry.key == first) {
            changes.push(put(&self.superuser));
        }
        if !changes.is_empty() {
            self.store.commit(fence, changes).await?;
        }
        Ok(())
    }
}
