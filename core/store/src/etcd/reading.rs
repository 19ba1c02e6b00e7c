//! Loads: page after page, all as of one revision.

use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::failure::Failure;
use super::machines::keys::{self, Keys};
use super::machines::pages::Pages;
use super::wire::proto::{RangeRequest, RangeResponse};
use crate::{Entry, Error, Loaded};

/// How long one page may take to come, over all members: longer than etcd takes
/// to elect a leader.
const PAGE_DEADLINE: Duration = Duration::from_secs(5);
/// How often a load begins anew because history was compacted under it.
const BEGINNINGS_MAX: usize = 5;

pub(super) async fn load(client: &Client, keys: &Keys, prefix: &str) -> Result<Loaded, Error> {
    let mut last = Failure::Compacted;
    for _ in 0..BEGINNINGS_MAX {
        match load_once(client, keys, prefix).await {
            Err(failure @ (Failure::Compacted | Failure::Future)) => last = failure,
            other => return Ok(other?),
        }
    }
    Err(last.into())
}

async fn load_once(client: &Client, keys: &Keys, prefix: &str) -> Result<Loaded, Failure> {
    let start = keys.data(prefix);
    let end = keys::end_of(&start);
    let era = *client.era().borrow();
    let mut pages = Pages::default();
    let (mut entries, mut at, mut key) = (Vec::new(), 0, start.into_bytes());
    loop {
        let request = RangeRequest {
            key: key.into(),
            range_end: end.clone().into(),
            limit: pages.limit(),
            revision: at,
            ..RangeRequest::default()
        };
        let page = page(client, request, &mut pages).await?;
        if at == 0 {
            at = page.header.as_ref().map(|header| header.revision).unwrap_or_default();
        }
        if *client.era().borrow() != era && !entries.is_empty() {
            return Err(Failure::Future);
        }
        let bytes: usize = page.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        pages.had(page.kvs.len(), bytes);
        let last = page.kvs.last().map(|kv| kv.key.clone());
        for kv in page.kvs {
            let whole = std::str::from_utf8(&kv.key).ok();
            // What is no key of ours was not written by us.
            if let Some(own) = whole.and_then(|whole| keys.object(whole)) {
                let revision = client.revision(kv.mod_revision);
                entries.push(Entry { key: own.to_owned(), value: kv.value, revision });
            }
        }
        match last {
            Some(last) if page.more => key = [&last[..], &[0]].concat(),
            _ => return Ok(Loaded { entries, revision: client.revision(at) }),
        }
    }
}

/// One page, from whichever member answers in time.
async fn page(
    client: &Client,
    mut request: RangeRequest,
    pages: &mut Pages,
) -> Result<RangeResponse, Failure> {
    let until = Instant::now() + PAGE_DEADLINE;
    loop {
        request.limit = pages.limit();
        match client.range(request.clone()).await {
            Err(Failure::AnswerTooLarge) if pages.was_too_large() => {}
            Err(Failure::Unknown(_)) if Instant::now() < until => {}
            other => return other,
        }
    }
}
