//! Requests to etcd: to one member at a time, each within a time limit.
//!
//! A member that does not answer is left for the next one by everybody at once:
//! requests under way on it end with unknown outcome, and watches open again.
//! Nothing is repeated here; who asks knows whether repeating is right.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use super::failure::Failure;
use super::machines::call::{Answer, Call, Found, Lease, Outcome};
use super::machines::endpoints::{Chosen, Endpoints};
use super::machines::follow::Checked;
use super::machines::timeline::{Observed, Sent, Timeline};
use super::options::Member;
use super::wire;
use super::wire::proto::kv_client::KvClient;
use super::wire::proto::lease_client::LeaseClient;
use super::wire::proto::watch_client::WatchClient;
use super::wire::proto::{self, RangeRequest, RangeResponse, WatchRequest, WatchResponse};
use crate::Revision;

/// Until a request is given up. A member that died is left much sooner, upon the
/// probe; this is for a cluster that is busy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Until a probe or the renewal of a lease is given up: both must be quick.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// The largest answer; pages and pieces keep far below it.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Client {
    members: Vec<Member>,
    state: Mutex<State>,
    /// Changes whenever another member is chosen.
    epoch: watch::Sender<u64>,
    /// Changes whenever the cluster was found to be set back.
    era: watch::Sender<u64>,
    started: Instant,
}

#[derive(Debug)]
struct State {
    endpoints: Endpoints,
    channel: Option<(u64, Channel)>,
    timeline: Timeline,
    /// Whether the last that was heard of the chosen member was an answer.
    answers: bool,
}

/// A stream of a watch, and the member that it comes from.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) epoch: u64,
    pub(super) answers: Streaming<WatchResponse>,
}

impl Client {
    pub(super) fn new(members: Vec<Member>) -> Self {
        let state = State {
            endpoints: Endpoints::new(members.len()),
            channel: None,
            timeline: Timeline::default(),
            answers: true,
        };
        Self {
            members,
            state: Mutex::new(state),
            epoch: watch::Sender::new(0),
            era: watch::Sender::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn era(&self) -> watch::Receiver<u64> {
        self.era.subscribe()
    }

    pub(super) fn revision(&self, etcd: i64) -> Revision {
        self.state().timeline.revision(etcd)
    }

    /// The revision of etcd; `None` where the cluster was set back since.
    pub(super) fn etcd_revision(&self, revision: Revision) -> Option<i64> {
        self.state().timeline.etcd(revision)
    }

    /// Answers a machine's request, whatever happens.
    pub(super) async fn call(&self, call: Call) -> Outcome {
        let answer = match call {
            Call::Read(keys) => self.txn(wire::read(&keys)).await.map(wire::was_read),
            Call::Txn(txn) => self.txn(wire::txn(txn)).await.map(wire::was_done),
            Call::Grant { ttl } => {
                let grant = |channel| async move {
                    LeaseClient::new(channel).lease_grant(wire::grant(ttl)).await
                };
                self.ask(PROBE_TIMEOUT, grant).await.map(|granted| wire::granted(&granted))
            }
            Call::KeepAlive(lease) => self.keep_alive(lease).await.map(|alive| wire::alive(&alive)),
            Call::Revoke(lease) => {
                let revoke = |channel| async move {
                    LeaseClient::new(channel).lease_revoke(wire::revoke(lease)).await
                };
                self.ask(PROBE_TIMEOUT, revoke).await.map(|_revoked| Answer::Revoked)
            }
        };
        answer.map_or_else(Outcome::from, Outcome::Answered)
    }

    async fn txn(&self, request: proto::TxnRequest) -> Result<proto::TxnResponse, Failure> {
        let sent = self.state().timeline.sent();
        let send = |channel| async move { KvClient::new(channel).txn(request).await };
        let response = self.ask(REQUEST_TIMEOUT, send).await?;
        self.observe(sent, response.header.as_ref())?;
        Ok(response)
    }

    /// A linearizable read, unless the request says otherwise.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        self.range_within(REQUEST_TIMEOUT, request).await
    }

    async fn range_within(
        &self,
        limit: Duration,
        request: RangeRequest,
    ) -> Result<RangeResponse, Failure> {
        let sent = self.state().timeline.sent();
        let linearizable = !request.serializable;
        let send = |channel| async move {
            KvClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX).range(request).await
        };
        let response = self.ask(limit, send).await?;
        if linearizable {
            self.observe(sent, response.header.as_ref())?;
        }
        Ok(response)
    }

    async fn keep_alive(&self, lease: Lease) -> Result<proto::LeaseKeepAliveResponse, Failure> {
        let send = |channel| async move {
            let request = proto::LeaseKeepAliveRequest { id: lease };
            let one = futures::stream::iter([request]);
            let mut answers = LeaseClient::new(channel).lease_keep_alive(one).await?.into_inner();
            let answer = answers.message().await?;
            answer.map(Response::new).ok_or_else(|| Status::unavailable("the stream ended"))
        };
        self.ask(PROBE_TIMEOUT, send).await
    }

    /// Whether a revision still means what it did.
    pub(super) async fn check(&self, key: String, revision: i64) -> Checked {
        let request =
            RangeRequest { key: key.into(), revision, limit: 1, ..RangeRequest::default() };
        match self.range(request).await {
            Ok(response) => {
                let found =
                    |kv: proto::KeyValue| Found { value: kv.value, revision: kv.mod_revision };
                Checked::Known { found: response.kvs.into_iter().next().map(found) }
            }
            Err(Failure::Compacted) => Checked::Compacted,
            Err(Failure::Future) => Checked::Future,
            Err(_) => Checked::Unreachable,
        }
    }

    pub(super) async fn watch(&self, request: WatchRequest) -> Result<Stream, Failure> {
        let open = |channel| async move {
            let one = futures::stream::iter([request]);
            // etcd ends a watch whose client has nothing more to say.
            let requests = futures::StreamExt::chain(one, futures::stream::pending());
            let mut client = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            client.watch(Request::new(requests)).await
        };
        let (epoch, answers) = self.ask_whom(REQUEST_TIMEOUT, open).await?;
        Ok(Stream { epoch, answers })
    }

    /// Resolves once another member than that of `epoch` is used.
    pub(super) async fn left(&self, epoch: u64) {
        let mut current = self.epoch.subscribe();
        // The sender lives as long as this.
        let _closed = current.wait_for(|current| *current != epoch).await;
    }

    /// Looks whether the member still answers, for ever, so that those who only
    /// listen to it notice when it does not.
    pub(super) async fn probe(&self, key: String) {
        loop {
            let request = RangeRequest {
                key: key.clone().into(),
                keys_only: true,
                limit: 1,
                ..RangeRequest::default()
            };
            // What went wrong is known to the endpoints by now.
            let _asked = self.range_within(PROBE_TIMEOUT, request).await;
            sleep(PROBE_EVERY).await;
        }
    }

    async fn ask<T, F>(
        &self,
        limit: Duration,
        request: impl FnOnce(Channel) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_whom(limit, request).await.map(|(_epoch, answer)| answer)
    }

    async fn ask_whom<T, F>(
        &self,
        limit: Duration,
        request: impl FnOnce(Channel) -> F,
    ) -> Result<(u64, T), Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + limit;
        let Ok(connected) = tokio::time::timeout_at(until, self.connection()).await else {
            return Err(Failure::Unknown(self.nobody()));
        };
        let (epoch, channel) = connected?;
        let answer = async {
            tokio::select! {
                answer = request(channel) => answer.map_err(|status| Failure::of(&status)),
                () = self.left(epoch) => Err(Failure::Unknown("the member does not answer".into())),
            }
        };
        let late = || Err(Failure::Unknown(format!("no answer within {limit:?}")));
        let answer = timeout(until - Instant::now(), answer).await.unwrap_or_else(|_| late());
        match &answer {
            Err(Failure::Unknown(reason)) => self.failed(epoch, reason),
            _ => self.answered(epoch),
        }
        answer.map(|answer| (epoch, answer.into_inner()))
    }

    /// The connection to the member in use, once it may be used.
    async fn connection(&self) -> Result<(u64, Channel), Failure> {
        loop {
            let Chosen { index, epoch, not_before } = self.state().endpoints.chosen();
            let rest = not_before.saturating_sub(self.uptime());
            if !rest.is_zero() {
                sleep(rest).await;
                continue;
            }
            let mut state = self.state();
            if let Some((of, channel)) = &state.channel
                && *of == epoch
            {
                return Ok((epoch, channel.clone()));
            }
            let member = self.members.get(index);
            match member.map(Member::endpoint) {
                Some(Ok(endpoint)) => {
                    let channel = endpoint.connect_lazy();
                    state.channel = Some((epoch, channel.clone()));
                    return Ok((epoch, channel));
                }
                Some(Err(error)) => {
                    drop(state);
                    let reason = karman_rt::chain(&error);
                    self.failed(epoch, &reason);
                    return Err(Failure::Unknown(reason));
                }
                None => return Err(Failure::Unknown("there are no members".into())),
            }
        }
    }

    fn observe(&self, sent: Sent, header: Option<&proto::ResponseHeader>) -> Result<(), Failure> {
        let Some(header) = header else { return Ok(()) };
        let mut state = self.state();
        match state.timeline.observe(sent, header.cluster_id, header.revision) {
            Observed::Onward => Ok(()),
            Observed::SetBack => {
                warn!(revision = header.revision, "etcd was set back to an older state");
                self.era.send_replace(state.timeline.era());
                Ok(())
            }
            Observed::Outdated => Err(Failure::Unknown("etcd was set back meanwhile".into())),
        }
    }

    fn answered(&self, epoch: u64) {
        let mut state = self.state();
        state.endpoints.answered(epoch);
        if !std::mem::replace(&mut state.answers, true) {
            let index = state.endpoints.chosen().index;
            info!(member = ?self.members.get(index), "etcd answers again");
        }
    }

    /// The member does not answer: leave it.
    pub(super) fn failed(&self, epoch: u64, reason: &str) {
        let chance = uuid::Uuid::new_v4().as_bytes()[0];
        let now = self.uptime();
        let mut state = self.state();
        let index = state.endpoints.chosen().index;
        if !state.endpoints.failed(epoch, now, chance) {
            return;
        }
        let member = self.members.get(index);
        if std::mem::replace(&mut state.answers, false) {
            warn!(?member, reason, "a member of etcd does not answer");
        } else {
            debug!(?member, reason, "a member of etcd does not answer");
        }
        state.channel = None;
        self.epoch.send_replace(state.endpoints.chosen().epoch);
    }

    fn nobody(&self) -> String {
        format!("none of {:?} answers", self.members)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
