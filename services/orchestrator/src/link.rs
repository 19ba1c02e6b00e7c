//! The connection to the master: keeps one subscription open, hands its events
//! to the loop and sends the loop's calls.
//!
//! Every subscription has a number. A call that belongs to an earlier one is
//! dropped: whatever it was for is repaired by the reconciliation that follows
//! a subscription.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use karman_api::client::scheduler::{Caller, Client, Events};
use karman_api::mesos::v1::framework_info::{Capability, capability};
use karman_api::mesos::v1::scheduler::call::{Subscribe, Type};
use karman_api::mesos::v1::scheduler::{Call, Event, event};
use karman_api::mesos::v1::{FrameworkId, FrameworkInfo};
use karman_rt::Tasks;
use karman_rt::http::Leader;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, info, warn};

use crate::matcher::offer::ROLE;

/// Events that may wait for the loop, and calls that may wait for the master.
const QUEUE_MAX: usize = 1024;
/// Acknowledgements on their way at the same time.
const ACKS_MAX: usize = 16;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Tasks outlive an orchestrator that is away for less than a week.
const FAILOVER_TIMEOUT_SECONDS: f64 = 604_800.0;

/// Whom to subscribe with.
#[derive(Clone, Debug)]
pub(crate) struct Masters {
    /// Base URLs, at least one; any knows the leader.
    all: Vec<String>,
    next: usize,
    /// Where somebody knows without asking.
    leader: Option<Leader>,
    /// The leader that was tried last.
    tried: Option<String>,
}

impl Masters {
    pub(crate) fn new(all: Vec<String>, leader: Option<Leader>) -> Self {
        Self { all, next: 0, leader, tried: None }
    }

    /// A leader that has just become known, else one after the other.
    fn next(&mut self) -> String {
        let leader = self.leader.as_ref().and_then(|leader| leader.borrow().clone());
        if leader.is_some() && leader != self.tried {
            self.tried.clone_from(&leader);
            return leader.unwrap_or_default();
        }
        let turn = self.all.get(self.next % self.all.len().max(1));
        self.next += 1;
        turn.cloned().unwrap_or_default()
    }

    /// Waits for so long, or until another master is known to lead; true then.
    async fn changed_within(&mut self, limit: Duration) -> bool {
        let tried = &self.tried;
        let changed = async {
            let Some(leader) = &mut self.leader else { return std::future::pending().await };
            if leader.wait_for(|now| now.is_some() && now != tried).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::time::timeout(limit, changed).await.is_ok()
    }
}

/// What the link reports.
#[derive(Debug)]
pub(crate) enum Report {
    Subscribed {
        subscription: u64,
        framework_id: String,
        master: String,
    },
    Event {
        subscription: u64,
        event: Box<Event>,
    },
    Disconnected,
    /// The master will never accept this framework id again.
    Removed,
}

/// Who subscribes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) hostname: String,
    pub(crate) webui_url: String,
}

/// The loop's side of the link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) reports: mpsc::Receiver<Report>,
    calls: mpsc::Sender<(u64, Call)>,
    acks: mpsc::Sender<(u64, Call)>,
    framework_id: watch::Sender<Option<String>>,
}

impl Link {
    /// Sends a call of a subscription, in order with the others.
    pub(crate) async fn send(&self, subscription: u64, call: Call) {
        // Acknowledgements are many and depend on nothing.
        let is_ack = call.acknowledge.is_some();
        let queue = if is_ack { &self.acks } else { &self.calls };
        if queue.send((subscription, call)).await.is_err() {
            debug!("the link has stopped");
        }
    }

    /// The id to subscribe with next time.
    pub(crate) fn set_framework_id(&self, id: Option<&str>) {
        self.framework_id.send_if_modified(|current| {
            let changed = current.as_deref() != id;
            *current = id.map(str::to_owned);
            changed
        });
    }
}

/// The present subscription, for those that send.
type Current = watch::Receiver<Option<(u64, Caller)>>;

/// Starts the link.
pub(crate) fn spawn(
    client: Client,
    masters: Masters,
    identity: Identity,
    framework_id: Option<String>,
    tasks: &Tasks,
) -> Link {
    let (report, reports) = mpsc::channel(QUEUE_MAX);
    let (calls, call_queue) = mpsc::channel(QUEUE_MAX);
    let (acks, ack_queue) = mpsc::channel(QUEUE_MAX);
    let (current, subscribed) = watch::channel(None);
    let (framework_id, id) = watch::channel(framework_id);
    let broken = Arc::new(Notify::new());
    tasks
        .spawn("scheduler-calls", send_all(call_queue, 1, subscribed.clone(), Arc::clone(&broken)));
    tasks.spawn("scheduler-acks", send_all(ack_queue, ACKS_MAX, subscribed, Arc::clone(&broken)));
    let subscriber = Subscriber { client, masters, identity, id, report, current, broken };
    tasks.spawn("scheduler-events", subscriber.run());
    Link { reports, calls, acks, framework_id }
}

async fn send_all(
    queue: mpsc::Receiver<(u64, Call)>,
    at_once: usize,
    current: Current,
    broken: Arc<Notify>,
) {
    let calls = ReceiverStream::new(queue);
    let sent = calls.map(|(subscription, call)| send(subscription, call, &current, &broken));
    sent.buffered(at_once).for_each(|()| std::future::ready(())).await;
}

async fn send(subscription: u64, call: Call, current: &Current, broken: &Notify) {
    let caller = || {
        let current = current.borrow();
        current
            .as_ref()
            .filter(|(number, _)| *number == subscription)
            .map(|(_, caller)| caller.clone())
    };
    let Some(now) = caller() else { return };
    let Err(error) = now.call(call).await else { return };
    // A late failure says nothing about the subscription that came after.
    if caller().is_some() {
        warn!(error = karman_rt::chain(&error), "a call was not accepted; subscribing again");
        broken.notify_one();
    }
}

struct Subscriber {
    client: Client,
    masters: Masters,
    identity: Identity,
    id: watch::Receiver<Option<String>>,
    report: mpsc::Sender<Report>,
    current: watch::Sender<Option<(u64, Caller)>>,
    broken: Arc<Notify>,
}

impl Subscriber {
    async fn run(mut self) {
        let mut retry = RETRY_MIN;
        let mut warned = false;
        for subscription in 1u64.. {
            let call = self.subscribe_call();
            let master = self.masters.next();
            match self.client.subscribe(&master, &call).await {
                Ok((caller, events)) => {
                    warned = false;
                    if self.follow(subscription, caller, events).await {
                        retry = RETRY_MIN;
                    }
                    self.current.send_replace(None);
                    if self.report.send(Report::Disconnected).await.is_err() {
                        return;
                    }
                }
                // Said once; a master that is away is away for many tries.
                Err(error) if !warned => {
                    warned = true;
                    warn!(error = karman_rt::chain(&error), "cannot subscribe; trying on");
                }
                Err(error) => debug!(error = karman_rt::chain(&error), "cannot subscribe"),
            }
            if self.masters.changed_within(retry).await {
                retry = RETRY_MIN;
            } else {
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }

    /// Passes on the events of a subscription until it ends; true if it had
    /// come to life.
    async fn follow(&self, subscription: u64, mut caller: Caller, mut events: Events) -> bool {
        let mut alive = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.broken.notified(), if alive => return alive,
            };
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    warn!(error = karman_rt::chain(&error), "the subscription ended");
                    return alive;
                }
            };
            let report = match event::Type::try_from(event.r#type.unwrap_or_default()) {
                Ok(event::Type::Heartbeat) => continue,
                Ok(event::Type::Subscribed) => {
                    let Some(id) = event.subscribed.map(|subscribed| subscribed.framework_id)
                    else {
                        continue;
                    };
                    alive = true;
                    info!(framework_id = id.value, master = caller.url(), "subscribed");
                    caller.set_framework_id(id.clone());
                    let master = caller.url().split("/api/").next().unwrap_or_default().to_owned();
                    self.current.send_replace(Some((subscription, caller.clone())));
                    Report::Subscribed { subscription, framework_id: id.value, master }
                }
                Ok(event::Type::Error) => {
                    let message = event.error.map(|error| error.message).unwrap_or_default();
                    warn!(message, "the master reports an error");
                    if !message.contains("removed") && !message.contains("completed") {
                        return alive;
                    }
                    self.current.send_replace(None);
                    Report::Removed
                }
                _ => Report::Event { subscription, event: Box::new(event) },
            };
            if self.report.send(report).await.is_err() {
                return alive;
            }
        }
    }

    fn subscribe_call(&self) -> Call {
        let id = self.id.borrow().clone().map(|value| FrameworkId { value });
        let capability = |kind: capability::Type| Capability { r#type: Some(kind.into()) };
        let capabilities = [
            capability::Type::PartitionAware,
            capability::Type::TaskKillingState,
            capability::Type::MultiRole,
            capability::Type::ReservationRefinement,
            capability::Type::RegionAware,
        ];
        let framework_info = FrameworkInfo {
            user: self.identity.user.clone(),
            name: self.identity.name.clone(),
            principal: Some(self.identity.name.clone()),
            id: id.clone(),
            failover_timeout: Some(FAILOVER_TIMEOUT_SECONDS),
            checkpoint: Some(true),
            roles: vec![ROLE.into()],
            hostname: Some(self.identity.hostname.clone()),
            webui_url: Some(self.identity.webui_url.clone()),
            capabilities: capabilities.map(capability).into(),
            ..FrameworkInfo::default()
        };
        // Offers are asked for when something waits.
        let subscribe = Subscribe {
            framework_info,
            suppressed_roles: vec![ROLE.into()],
            offer_constraints: None,
        };
        Call {
            framework_id: id,
            r#type: Some(Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        }
    }
}
