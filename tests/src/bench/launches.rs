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

/// Takes all offers until it has launched what it wants.
pub(crate) struct Launcher {
    calls: Pipe,
    acknowledgements: Vec<Pipe>,
    wanted: usize,
    launched: usize,
    running: usize,
}

impl Launcher {
    pub(crate) async fn new(scheduler: &Scheduler, wanted: usize) -> Result<Self> {
        let mut acknowledgements = Vec::new();
        for _ in 0..PIPES {
            acknowledgements.push(scheduler.pipe().await?);
        }
        let calls = scheduler.pipe().await?;
        Ok(Self { calls, acknowledgements, wanted, launched: 0, running: 0 })
    }

    /// Goes on until so many of its tasks run.
    pub(crate) async fn until(&mut self, scheduler: &mut Scheduler, running: usize) -> Result<()> {
        while self.running < running {
            let event = timeout(SILENCE_MAX, scheduler.events.recv())
                .await
                .with_context(|| format!("silence after {} tasks", self.running))?
                .context("the stream ended")?;
            self.handle(event).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<()> {
        for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
            self.take(offer).await?;
        }
        if let Some(update) = event.update {
            self.acknowledge(update.status).await?;
        }
        Ok(())
    }

    /// How long each ACCEPT took to be answered, until now.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        self.calls.take_latencies()
    }

    async fn take(&mut self, offer: v1::Offer) -> Result<()> {
        let count = TASKS_PER_ACCEPT.min(self.wanted - self.launched);
        let agent = &offer.agent_id.value;
        let task = |n: usize| shape::task(agent, format!("web.{n}"));
        let task_infos = (self.launched..self.launched + count).map(task).collect();
        self.launched += count;
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
