//! How many tasks a framework gets running in a second: offers accepted, tasks
//! told to agents, their statuses delivered and acknowledged one by one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::operation;
use karman_api::mesos::v1::scheduler::{Call, Event, call};
use tokio::time::timeout;

use crate::agents::Agents;
use crate::master::Master;
use crate::row::Row;
use crate::scheduler::{Pipe, Scheduler};
use crate::shape;

const AGENTS: usize = 1_000;
const TASKS: usize = 100_000;
const TASKS_PER_ACCEPT: usize = 50;
/// Connections for acknowledgements.
const PIPES: usize = 8;
const TARGET: f64 = 20_000.0;
/// HashiCorp's C1M: a million containers in under five minutes.
const PEER: (&str, f64) = ("Nomad C1M, 5 servers, published", 3_750.0);
/// Nothing happens for so long: something is broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);

pub(crate) fn run() -> Result<()> {
    for (codec, name) in
        [(Codec::Json, "launches_per_s_json"), (Codec::Protobuf, "launches_per_s_protobuf")]
    {
        let rate = super::runtime()?.block_on(measure(codec))?;
        Row::new(name, rate, "tasks/s").peer(PEER.0, PEER.1).target(TARGET).print();
    }
    Ok(())
}

async fn measure(codec: Codec) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let master = Master::start(folder.path())?;
    let registers = (0..AGENTS).map(|at| shape::register(at, 0, &[]));
    let _agents = Agents::start(&master.session, registers).await?;
    let mut scheduler =
        Scheduler::subscribe(master.http, codec, shape::framework(None, "launches")).await?;
    let mut launcher = Launcher::new(&scheduler, TASKS).await?;
    let begun = Instant::now();
    launcher.until(&mut scheduler, TASKS).await?;
    Ok(TASKS as f64 / begun.elapsed().as_secs_f64())
}

/// Takes offers until it has launched what it wants.
pub(crate) struct Launcher {
    calls: Pipe,
    acknowledgements: Vec<Pipe>,
    wanted: usize,
    /// By the number of the task.
    launched: Vec<Instant>,
    running: usize,
    /// From each launch to the word that the task runs.
    latencies: Vec<Duration>,
}

impl Launcher {
    pub(crate) async fn new(scheduler: &Scheduler, wanted: usize) -> Result<Self> {
        let mut acknowledgements = Vec::new();
        for _ in 0..PIPES {
            acknowledgements.push(scheduler.pipe().await?);
        }
        let calls = scheduler.pipe().await?;
        let (launched, latencies) = (Vec::new(), Vec::new());
        Ok(Self { calls, acknowledgements, wanted, launched, running: 0, latencies })
    }

    /// Goes on until so many of its tasks run.
    pub(crate) async fn until(&mut self, scheduler: &mut Scheduler, running: usize) -> Result<()> {
        while self.running < running {
            let event = next(scheduler).await?;
            for offer in self.handle(event).await? {
                self.take(offer, TASKS_PER_ACCEPT).await?;
            }
        }
        Ok(())
    }

    /// The same at a steady pace, one task at a time.
    pub(crate) async fn pace(
        &mut self,
        scheduler: &mut Scheduler,
        running: usize,
        interval: Duration,
    ) -> Result<()> {
        let mut offers = Vec::new();
        let mut ticks = tokio::time::interval(interval);
        while self.running < running {
            tokio::select! {
                event = next(scheduler) => offers.extend(self.handle(event?).await?),
                _ = ticks.tick(), if !offers.is_empty() && self.launched.len() < self.wanted => {
                    self.take(offers.remove(0), 1).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns the offers in it.
    async fn handle(&mut self, event: Event) -> Result<Vec<v1::Offer>> {
        if let Some(update) = event.update {
            self.acknowledge(update.status).await?;
        }
        Ok(event.offers.map(|offers| offers.offers).unwrap_or_default())
    }

    /// How long each task took to run, since this was asked last.
    pub(crate) fn take_latencies(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies)
    }

    async fn take(&mut self, offer: v1::Offer, tasks: usize) -> Result<()> {
        let first = self.launched.len();
        let count = tasks.min(self.wanted - first);
        let agent = &offer.agent_id.value;
        let task = |n: usize| shape::task(agent, format!("web.{n}"));
        let task_infos = (first..first + count).map(task).collect();
        self.launched.extend(std::iter::repeat_n(Instant::now(), count));
        let launch = v1::offer::Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id],
            operations: if count > 0 { vec![launch] } else { Vec::new() },
            filters: Some(v1::Filters { refuse_seconds: Some(0.0) }),
        };
        let call = Call {
            r#type: Some(call::Type::Accept.into()),
            accept: Some(accept),
            ..Default::default()
        };
        self.calls.send(call).await
    }

    async fn acknowledge(&mut self, status: v1::TaskStatus) -> Result<()> {
        if status.state() != v1::TaskState::TaskRunning {
            anyhow::bail!("a task is not running: {status:?}");
        }
        self.running += 1;
        let number = status.task_id.value.rsplit_once('.').and_then(|(_, n)| n.parse().ok());
        let launched = number.and_then(|n: usize| self.launched.get(n));
        self.latencies.push(launched.context("nobody launched the task")?.elapsed());
        let (Some(agent_id), Some(uuid)) = (status.agent_id, status.uuid) else { return Ok(()) };
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
        let call = Call {
            r#type: Some(call::Type::Acknowledge.into()),
            acknowledge: Some(acknowledge),
            ..Default::default()
        };
        let at = self.running % self.acknowledgements.len().max(1);
        self.acknowledgements.get(at).context("no connection")?.send(call).await
    }
}

async fn next(scheduler: &mut Scheduler) -> Result<Event> {
    let event = timeout(SILENCE_MAX, scheduler.events.recv()).await;
    event.context("the master is silent")?.context("the stream ended")
}
