//! Watches: a task for each, around the machine that decides.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::client::{Client, Stream};
use super::machines::follow::{Answer, Changed, Effect, Event, Follow};
use super::machines::keys::{self, Keys};
use super::machines::record::Claim;
use super::wire::proto::{
    RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse, watch_request,
};
use crate::history::WATCH_EVENTS_MAX;
use crate::{Change, Leader, Revision, Watch, WatchEvent};

/// What etcd calls a deletion.
const DELETE: i32 = 1;

/// Watches what begins with `prefix`, a key of the store's user.
pub(super) fn watch(
    client: Arc<Client>,
    keys: Keys,
    prefix: &str,
    revision: Revision,
) -> (Watch, impl Future<Output = ()> + Send + 'static) {
    // One place is kept free, so that a full queue can still end in `Relist`.
    let (events, watch) = mpsc::channel(WATCH_EVENTS_MAX + 1);
    let prefix = keys.data(prefix);
    let task = async move {
        // From before the revision is understood: what is set back later is noticed.
        let era = client.era();
        let relist = match client.etcd_revision(revision) {
            None => true,
            Some(after) => {
                let deliver = |revision: i64, changes: Vec<Change>| {
                    if events.capacity() <= 1 {
                        return Next::Relist;
                    }
                    let changes = changes.into_iter().filter_map(|change| own(&keys, change));
                    let revision = client.revision(revision);
                    let event = WatchEvent::Changes { revision, changes: changes.collect() };
                    if events.try_send(event).is_ok() { Next::Continue } else { Next::Stop }
                };
                let end = keys::end_of(&prefix);
                tokio::select! {
                    () = events.closed() => false,
                    relist = follow(&client, era, (&prefix, end), after, deliver) => relist,
                }
            }
        };
        if relist {
            // Fails only where the watcher has gone, and then nobody needs it.
            let _gone = events.try_send(WatchEvent::Relist);
        }
    };
    (watch, task)
}

/// The change as the user of the store names its key.
fn own(keys: &Keys, change: Change) -> Option<Change> {
    Some(match change {
        Change::Put { key, value } => Change::Put { key: keys.object(&key)?.to_owned(), value },
        Change::Delete { key } => Change::Delete { key: keys.object(&key)?.to_owned() },
    })
}

/// Who leads a name, as the claim says it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) leader: watch::Sender<Option<Leader>>,
    /// The token of the claim, sent whenever it was looked at, changed or not.
    pub(super) token: watch::Sender<Option<u64>>,
}

impl View {
    fn show(&self, value: Option<&Bytes>) {
        let claim = value.and_then(|value| Claim::decode(value));
        self.token.send_replace(claim.as_ref().map(|claim| claim.token));
        let shown = claim.map(|Claim { token, holder }| Leader { holder, token });
        self.leader.send_if_modified(|present| {
            let changed = *present != shown;
            *present = shown;
            changed
        });
    }
}

/// Keeps `view` at what the claim says, for ever.
pub(super) async fn leader(client: Arc<Client>, claim_key: String, view: View) {
    loop {
        let era = client.era();
        let key = Bytes::copy_from_slice(claim_key.as_bytes());
        let request = RangeRequest { key, ..RangeRequest::default() };
        // The client rests before it asks a member that failed.
        let Ok(response) = client.range(request).await else {
            tokio::task::yield_now().await;
            continue;
        };
        view.show(response.kvs.first().map(|kv| &kv.value));
        let after = response.header.map(|header| header.revision).unwrap_or_default();
        let deliver = |_revision: i64, changes: Vec<Change>| {
            match changes.last() {
                Some(Change::Put { value, .. }) => view.show(Some(value)),
                Some(Change::Delete { .. }) | None => view.show(None),
            }
            Next::Continue
        };
        follow(&client, era, (&claim_key, keys::after(&claim_key)), after, deliver).await;
    }
}

enum Next {
    Continue,
    Relist,
    Stop,
}

/// Follows a range of keys; true when it must be listed again.
async fn follow(
    client: &Client,
    mut era: watch::Receiver<u64>,
    (key, end): (&str, Vec<u8>),
    after: i64,
    mut deliver: impl FnMut(i64, Vec<Change>) -> Next,
) -> bool {
    let mut machine = Follow::new(key.to_owned(), after);
    let mut stream: Option<Stream> = None;
    let mut event = Event::Start;
    loop {
        let mut next = None;
        for effect in machine.apply(event) {
            match effect {
                Effect::Check { key, revision } => {
                    stream = None;
                    next = Some(Event::Checked(client.check(key, revision).await));
                }
                Effect::Open { from } => match client.watch(request(key, &end, from)).await {
                    Ok(opened) => stream = Some(opened),
                    Err(_) => next = Some(Event::Broken),
                },
                Effect::Deliver { revision, changes } => match deliver(revision, changes) {
                    Next::Continue => {}
                    Next::Relist => return true,
                    Next::Stop => return false,
                },
                Effect::Relist => return true,
            }
        }
        event = match (next, &mut stream) {
            (Some(event), _) => event,
            (None, None) => Event::Broken,
            (None, Some(stream)) => tokio::select! {
                event = read(client, stream) => event,
                _set_back = era.changed() => return true,
            },
        };
    }
}

/// The next answer of a stream, until it breaks.
async fn read(client: &Client, stream: &mut Stream) -> Event {
    let answer = tokio::select! {
        answer = stream.answers.message() => answer,
        () = client.left(stream.epoch) => return Event::Broken,
    };
    match answer {
        Ok(Some(answer)) if answer.canceled && answer.compact_revision == 0 => {
            client.failed(stream.epoch, &answer.cancel_reason);
            Event::Broken
        }
        Ok(Some(answer)) => Event::Answer(understand(answer)),
        Ok(None) => {
            client.failed(stream.epoch, "a watch ended");
            Event::Broken
        }
        Err(status) => {
            client.failed(stream.epoch, status.message());
            Event::Broken
        }
    }
}

fn understand(answer: WatchResponse) -> Answer {
    let changed = answer.events.into_iter().filter_map(|event| {
        let kv = event.kv?;
        let value = (event.r#type != DELETE).then_some(kv.value);
        let key = String::from_utf8(kv.key.to_vec()).ok()?;
        Some(Changed { key, value, revision: kv.mod_revision })
    });
    Answer {
        compacted: answer.compact_revision != 0,
        unfinished: answer.fragment,
        changed: changed.collect(),
    }
}

fn request(key: &str, end: &[u8], from: i64) -> WatchRequest {
    let create = WatchCreateRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::copy_from_slice(end),
        start_revision: from,
        fragment: true,
    };
    WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) }
}
