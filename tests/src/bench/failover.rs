//! How long a new master needs to know everything again: the registrations of
//! all agents decoded, applied and stored, in batches as they would come in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use karman_api::session::Register;
use karman_master::ledger::{Effect, Event, Identity, Key, Ledger, SessionId};
use karman_master::stored;
use karman_model::time::Timestamp;
use karman_store::embedded::Embedded;
use karman_store::{Change, Store};
use prost::Message as _;
use tokio::sync::mpsc;

use crate::agents::Agents;
use crate::master::Master;
use crate::row::{Row, ms, percentile, say};
use crate::shape;

const AGENTS: usize = 40_000;
const TASKS_PER_AGENT: usize = 10;
const FRAMEWORKS: usize = 5;
const RUNS: usize = 3;
/// Between two questions whether all are there.
const POLL: Duration = Duration::from_millis(50);
/// As many as the master takes from its queue at once.
const BATCH: usize = 512;
/// As many as may wait for it.
const QUEUE_MAX: usize = 4096;
const TARGET_MS: f64 = 2_000.0;
/// Mesos 1.5 with 40,000 agents of 10 tasks each, in process.
const PEER: (&str, f64) = ("Mesos 1.5, published", 19_000.0);

pub(crate) fn run() -> Result<()> {
    let frameworks = shape::frameworks(FRAMEWORKS);
    let registers: Vec<Bytes> = (0..AGENTS)
        .map(|at| shape::register(at, TASKS_PER_AGENT, &frameworks).encode_to_vec().into())
        .collect();
    let bytes: usize = registers.iter().map(Bytes::len).sum();
    say(&format!("{AGENTS} registrations of {} KiB", bytes / AGENTS / 1024));
    let mut restored = Vec::new();
    let mut returned = Vec::new();
    for _ in 0..RUNS {
        let (load, back) = super::runtime()?.block_on(measure(&registers))?;
        restored.push(load);
        returned.push(load + back);
    }
    Row::new("restore_40k_agents_ms", ms(percentile(&mut restored, 50)), "ms").print();
    Row::new("failover_40k_agents_400k_tasks_ms", ms(percentile(&mut returned, 50)), "ms")
        .peer(PEER.0, PEER.1)
        .target(TARGET_MS)
        .print();
    super::runtime()?.block_on(over_the_wire())
}

/// How long the second master took to read its store, and to have everybody
/// back.
async fn measure(registers: &[Bytes]) -> Result<(Duration, Duration)> {
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn Store> = Embedded::open(&folder.path().join("state"))?;
    let leadership = store.campaign("bench", "me").await?;
    let mut first = ledger("first", 1_000_000);
    register_all(&mut first, registers, &*store, &leadership).await?;
    drop(first);

    let begun = Instant::now();
    let now = Timestamp(2_000_000);
    let mut second = ledger("second", now.0);
    let contents = stored::read(&store.load(stored::PREFIX).await?.entries)?;
    second.restore(now, contents)?;
    let restored = begun.elapsed();
    let begun = Instant::now();
    register_all(&mut second, registers, &*store, &leadership).await?;
    let returned = begun.elapsed();
    let view = second.view();
    let tasks: usize = view.frameworks.values().map(|framework| framework.tasks.len()).sum();
    ensure!(tasks == AGENTS * TASKS_PER_AGENT, "{tasks} tasks came back");
    Ok((restored, returned))
}

pub(crate) fn ledger(id: &str, now: u64) -> Ledger {
    let info = karman_api::mesos::v1::MasterInfo { id: id.to_owned(), ..Default::default() };
    Ledger::new(Identity { id: id.into(), info, started: Timestamp(now) })
}

/// As the master does it: whoever reads a session decodes, and one writer takes
/// what is there, up to a batch of it.
pub(crate) async fn register_all(
    ledger: &mut Ledger,
    registers: &[Bytes],
    store: &dyn Store,
    leadership: &karman_store::Leadership,
) -> Result<()> {
    let now = ledger.view().identity.started;
    let (decoded, mut waiting) = mpsc::channel::<Result<Event>>(QUEUE_MAX);
    let readers = std::thread::available_parallelism()?.get();
    let registers: Arc<[Bytes]> = registers.into();
    for reader in 0..readers {
        let (decoded, registers) = (decoded.clone(), Arc::clone(&registers));
        tokio::task::spawn_blocking(move || {
            for (at, bytes) in registers.iter().enumerate().skip(reader).step_by(readers) {
                if decoded.blocking_send(decode(at, bytes.clone())).is_err() {
                    break;
                }
            }
        });
    }
    drop(decoded);
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut effects = Vec::new();
        for event in batch.drain(..) {
            effects.extend(ledger.apply(now, event?));
        }
        effects.extend(ledger.allocate(now));
        let _for_readers = (ledger.view(), ledger.take_touched());
        let keys: std::collections::BTreeSet<Key> = effects
            .into_iter()
            .filter_map(|effect| if let Effect::Save(key) = effect { Some(key) } else { None })
            .collect();
        let changes: Vec<Change> = keys.iter().map(|key| stored::change(ledger, key)).collect();
        for part in karman_store::parts(changes) {
            store.commit(&leadership.fence, part).await?;
        }
    }
    Ok(())
}

fn decode(at: usize, bytes: Bytes) -> Result<Event> {
    let register = Box::new(Register::decode(bytes)?.into());
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Event::Register { session: SessionId(u64::try_from(at)?), register, ip })
}

/// The same with a real master: killed, started again, everybody dials in.
async fn over_the_wire() -> Result<()> {
    let frameworks = shape::frameworks(FRAMEWORKS);
    let folder = tempfile::tempdir()?;
    let registers = || (0..AGENTS).map(|at| shape::register(at, TASKS_PER_AGENT, &frameworks));
    let first = Master::start(folder.path())?;
    let agents = Agents::start(&first.session, registers()).await?;
    drop(first);
    drop(agents);
    let begun = Instant::now();
    let second = Master::start(folder.path())?;
    let _agents = Agents::start(&second.session, registers()).await?;
    let wanted = AGENTS * TASKS_PER_AGENT;
    loop {
        let metrics = reqwest::get(second.url("/metrics/snapshot")).await?.text().await?;
        let metrics: serde_json::Value = serde_json::from_str(&metrics)?;
        let running = metrics.get("master/tasks_running").and_then(serde_json::Value::as_f64);
        if running.context("no such metric")? >= wanted as f64 {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    let took = ms(begun.elapsed());
    Row::new("failover_over_the_wire_40k_agents_400k_tasks_ms", took, "ms").print();
    Ok(())
}
