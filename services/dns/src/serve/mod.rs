//! The sockets of the name server: bytes in, [`crate::answer`], bytes out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::CurrentReceiver;
use crate::answer::{self, Action, Recursion, Transport};

mod forward;
pub(crate) mod tcp;
pub(crate) mod udp;

/// Queries that wait for other name servers at once. Beyond that they fail at
/// once, which a client understands better than silence.
const FORWARDS_MAX: usize = 1024;

/// What every socket answers from.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    current: CurrentReceiver,
    upstreams: Arc<[SocketAddr]>,
    forwards: Arc<Semaphore>,
}

impl Served {
    pub(crate) fn new(current: CurrentReceiver, upstreams: Vec<SocketAddr>) -> Self {
        Self {
            current,
            upstreams: upstreams.into(),
            forwards: Arc::new(Semaphore::new(FORWARDS_MAX)),
        }
    }

    /// Decides about a query; before the first snapshot none can be answered.
    fn decide(&self, query: &[u8], transport: Transport) -> Action {
        let recursion =
            if self.upstreams.is_empty() { Recursion::Refused } else { Recursion::Offered };
        let current = self.current.borrow().clone();
        match current {
            Some(current) => answer::answer(query, &current.zone, transport, recursion),
            None => answer::failed(query).map_or(Action::Drop, Action::Reply),
        }
    }

    /// Asks the other name servers; the reply says so if none answers.
    async fn forward(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let Ok(_permit) = self.forwards.try_acquire() else { return answer::failed(query) };
        match forward::ask(query, &self.upstreams, transport).await {
            Some(reply) => Some(reply),
            None => answer::failed(query),
        }
    }
}
