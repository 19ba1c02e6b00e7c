//! Who leads which name in this process. The file is locked, so there are no
//! other campaigners than those of this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use karman_rt::Tasks;
use tokio::sync::{MutexGuard, watch};

use crate::{Error, Fence, Leader, Leadership};

/// All names that were ever asked about.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    names: Mutex<BTreeMap<String, Arc<Name>>>,
    /// Watch for leaders that let go.
    tasks: Tasks,
}

#[derive(Debug)]
struct Name {
    /// Held while waiting: campaigners take their turns in order.
    turn: tokio::sync::Mutex<()>,
    /// Held while a token is fetched and handed over.
    current: tokio::sync::Mutex<Option<Arc<Current>>>,
    leader: watch::Sender<Option<Leader>>,
}

/// The one that leads, or led: it has let go once its receivers are gone.
#[derive(Debug)]
struct Current {
    holder: String,
    lost: watch::Sender<bool>,
}

impl Leaders {
    pub(super) fn leader(&self, name: &str) -> watch::Receiver<Option<Leader>> {
        self.name(name).leader.subscribe()
    }

    /// Waits until `holder` may lead `name`, and makes it so with what `token`
    /// brings.
    pub(super) async fn campaign(
        &self,
        name: &str,
        holder: &str,
        token: impl Future<Output = Result<u64, Error>>,
    ) -> Result<Leadership, Error> {
        let state = self.name(name);
        let mut current = state.turn(holder).await;
        if let Some(former) = current.take() {
            // Its own former self, where it is still there.
            former.lost.send_replace(true);
        }
        let token = token.await?;
        let (lost, receiver) = watch::channel(false);
        let leads = Arc::new(Current { holder: holder.to_owned(), lost });
        *current = Some(Arc::clone(&leads));
        state.leader.send_replace(Some(Leader { holder: holder.to_owned(), token }));
        drop(current);
        self.tasks.spawn("leader", async move {
            leads.lost.closed().await;
            state.leader.send_if_modified(|leader| {
                leader.take_if(|leader| leader.token == token).is_some()
            });
        });
        Ok(Leadership { fence: Fence { name: name.to_owned(), token }, lost: receiver })
    }

    fn name(&self, name: &str) -> Arc<Name> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Name {
                turn: tokio::sync::Mutex::default(),
                current: tokio::sync::Mutex::default(),
                leader: watch::Sender::new(None),
            })
        };
        Arc::clone(names.entry(name.to_owned()).or_insert_with(new))
    }
}

impl Name {
    /// Waits until nobody leads, or only the former self of `holder`.
    async fn turn(&self, holder: &str) -> MutexGuard<'_, Option<Arc<Current>>> {
        let mut turn = None;
        loop {
            let current = self.current.lock().await;
            match &*current {
                Some(other) if other.holder == holder => return current,
                Some(other) if turn.is_some() && !other.lost.is_closed() => {
                    let other = Arc::clone(other);
                    drop(current);
                    other.lost.closed().await;
                }
                _ if turn.is_some() => return current,
                _ => {
                    drop(current);
                    turn = Some(self.turn.lock().await);
                }
            }
        }
    }
}

impl Drop for Leaders {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}
