//! One task that knows what the cluster looks like, for all viewers.
//!
//! It follows the event stream of the orchestrator and the discovery stream of
//! the master; what they say is only "something changed", and then the state is
//! read once, however many pages are open. Nobody watching, nothing is read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use karman_rt::time::now_ms;
use karman_rt::{Tasks, chain};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::debug;

use crate::Config;
use crate::upstream::{Error, Lines, Upstream};
use crate::view::Snapshot;
use crate::wire::{marathon, mesos};

/// Changes come in bursts; this many milliseconds of them become one update.
const COALESCE: Duration = Duration::from_millis(250);
/// What no stream tells (used resources, offers, delays) is read this often
/// while somebody watches.
const REFRESH: Duration = Duration::from_secs(5);
/// A page may be this old.
const FRESH: Duration = Duration::from_millis(200);
const RECONNECT: Duration = Duration::from_secs(1);
/// Pages that wait for a snapshot at the same time; more wait in line.
const WISHES_MAX: usize = 64;
/// Tasks shown at most, newest first; a page of more helps nobody.
const TASKS_MAX: usize = 20_000;

type Reply = oneshot::Sender<Arc<Snapshot>>;

/// Not cloned but shared: the number of receivers tells whether anybody watches.
#[derive(Debug)]
pub(crate) struct Handle {
    wishes: mpsc::Sender<Reply>,
    current: watch::Receiver<Arc<Snapshot>>,
    changed: Arc<Notify>,
}

impl Handle {
    /// The state of now.
    pub(crate) async fn snapshot(&self) -> Arc<Snapshot> {
        let (reply, answer) = oneshot::channel();
        if self.wishes.send(reply).await.is_ok()
            && let Ok(snapshot) = answer.await
        {
            return snapshot;
        }
        Arc::clone(&self.current.borrow())
    }

    /// The states to come; while one of these lives, the state is kept current.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        let mut receiver = self.current.clone();
        receiver.mark_changed();
        receiver
    }

    /// Says that the caller has changed something.
    pub(crate) fn touch(&self) {
        self.changed.notify_one();
    }
}

struct Watcher {
    config: Config,
    upstream: Upstream,
    wishes: mpsc::Receiver<Reply>,
    publish: watch::Sender<Arc<Snapshot>>,
    changed: Arc<Notify>,
    last: Option<Instant>,
}

pub(crate) fn spawn(config: &Config, upstream: &Upstream, tasks: &Tasks) -> Handle {
    let (sender, wishes) = mpsc::channel(WISHES_MAX);
    let (publish, current) = watch::channel(Arc::new(Snapshot::default()));
    let changed = Arc::new(Notify::new());
    for (url, accept) in [
        (format!("{}/v2/events", config.marathon), "text/event-stream"),
        (format!("{}/karman/v1/discovery", config.master), "application/x-ndjson"),
    ] {
        tasks.spawn(
            "dashboard follower",
            follow(upstream.clone(), url, accept, Arc::clone(&changed)),
        );
    }
    let watcher = Watcher {
        config: config.clone(),
        upstream: upstream.clone(),
        wishes,
        publish,
        changed: Arc::clone(&changed),
        last: None,
    };
    tasks.spawn("dashboard watcher", watcher.run());
    Handle { wishes: sender, current, changed }
}

impl Watcher {
    async fn run(mut self) {
        let mut timer = tokio::time::interval(REFRESH);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // When the changes that were heard of are read.
        let mut due: Option<Instant> = None;
        loop {
            let settled = async move {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                wish = self.wishes.recv() => {
                    let Some(first) = wish else { return };
                    self.answer(first).await;
                }
                () = self.changed.notified() => {
                    self.last = None;
                    due = due.or_else(|| Some(Instant::now() + COALESCE));
                }
                () = settled => {
                    due = None;
                    if self.is_watched() {
                        self.read().await;
                    }
                }
                _ = timer.tick() => if self.is_watched() { self.read().await },
            }
        }
    }

    /// The one handle holds a receiver; every viewer holds another.
    fn is_watched(&self) -> bool {
        self.publish.receiver_count() > 1
    }

    async fn answer(&mut self, first: Reply) {
        if self.last.is_none_or(|last| last.elapsed() > FRESH) {
            self.read().await;
        }
        let mut waiting = vec![first];
        while let Ok(reply) = self.wishes.try_recv() {
            waiting.push(reply);
        }
        for reply in waiting {
            // Who went away needs no answer.
            let _gone = reply.send(Arc::clone(&self.publish.borrow()));
        }
    }

    async fn read(&mut self) {
        let before = Arc::clone(&self.publish.borrow());
        let snapshot = read(&self.config, &self.upstream, &before).await;
        self.last = Some(Instant::now());
        self.publish.send_replace(Arc::new(snapshot));
    }
}

/// Reads everything at once. What does not answer stays as it was `before`.
async fn read(config: &Config, upstream: &Upstream, before: &Snapshot) -> Snapshot {
    let Config { master, marathon, .. } = config;
    let (summary, slaves, tasks, apps, deployments, queue) = tokio::join!(
        get::<mesos::Summary>(upstream, format!("{master}/state-summary")),
        get::<mesos::Slaves>(upstream, format!("{master}/slaves")),
        get::<mesos::Tasks>(upstream, format!("{master}/tasks?limit={TASKS_MAX}&order=desc")),
        get::<marathon::Apps>(
            upstream,
            format!("{marathon}/v2/apps?embed=apps.tasks&embed=apps.lastTaskFailure")
        ),
        get::<Vec<marathon::Deployment>>(upstream, format!("{marathon}/v2/deployments")),
        get::<marathon::Queue>(upstream, format!("{marathon}/v2/queue")),
    );
    let mut problems = Vec::new();
    if let Some(error) = [summary.as_ref().err(), slaves.as_ref().err(), tasks.as_ref().err()]
        .into_iter()
        .flatten()
        .next()
    {
        problems.push(format!("The master does not answer: {}.", chain(error)));
    }
    if let Some(error) = [apps.as_ref().err(), deployments.as_ref().err(), queue.as_ref().err()]
        .into_iter()
        .flatten()
        .next()
    {
        problems.push(format!("The orchestrator does not answer: {}.", chain(error)));
    }
    Snapshot {
        taken_ms: now_ms(),
        summary: summary.unwrap_or_else(|_| before.summary.clone()),
        slaves: slaves.map_or_else(|_| before.slaves.clone(), |slaves| slaves.slaves),
        tasks: tasks.map_or_else(|_| before.tasks.clone(), |tasks| tasks.tasks),
        apps: apps.map_or_else(|_| before.apps.clone(), |apps| apps.apps),
        deployments: deployments.unwrap_or_else(|_| before.deployments.clone()),
        queue: queue.map_or_else(|_| before.queue.clone(), |queue| queue.queue),
        problems,
    }
}

async fn get<T: serde::de::DeserializeOwned>(upstream: &Upstream, url: String) -> Result<T, Error> {
    upstream.json(&url).await
}

/// Follows a stream for ever and says when it says something new.
async fn follow(upstream: Upstream, url: String, accept: &'static str, changed: Arc<Notify>) {
    loop {
        match upstream.stream(&url, accept).await {
            Ok(response) => {
                changed.notify_one();
                let mut body = response.into_body();
                let mut lines = Lines::default();
                let mut generation = None;
                while let Some(Ok(frame)) = body.frame().await {
                    lines.push(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
                    while let Some(line) = lines.next_line() {
                        if is_news(&line, &mut generation) {
                            changed.notify_one();
                        }
                    }
                }
            }
            Err(error) => debug!(url, error = chain(&error), "stream not open"),
        }
        changed.notify_one();
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Whether a line of either stream tells of a change. Keep-alives repeat the
/// generation, or are comments and empty lines.
fn is_news(line: &[u8], generation: &mut Option<u64>) -> bool {
    #[derive(Deserialize)]
    struct Message {
        generation: u64,
    }
    if line.starts_with(b"event:") {
        return true;
    }
    if !line.starts_with(b"{") {
        return false;
    }
    let Ok(Message { generation: new }) = serde_json::from_slice(line) else { return false };
    let before = generation.replace(new);
    before != Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_are_no_news() {
        let mut generation = None;
        for (line, expected) in [
            (&b"event: deployment_success"[..], true),
            (b"data: {\"generation\":1}", false),
            (b"", false),
            (b": ping", false),
            (b"{\"generation\":4,\"full\":true}", true),
            (b"{\"generation\":4,\"full\":false}", false),
            (b"{\"generation\":5,\"full\":false}", true),
            (b"{\"other\":5}", false),
        ] {
            assert_eq!(
                is_news(line, &mut generation),
                expected,
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }
}
