//! Reading everything while others write: `/state` of a large cluster, and what
//! writers notice of it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use karman_api::codec::Codec;
use regex::bytes::Regex;

use crate::agents::Agents;
use crate::launches::Launcher;
use crate::master::Master;
use crate::row::{Row, ms, percentile, say};
use crate::scheduler::Scheduler;
use crate::shape;

const AGENTS: usize = 20_000;
const TASKS_PER_AGENT: usize = 20;
const FRAMEWORKS: usize = 5;
const READS: usize = 10;
const CHECKS: usize = 3;
/// Tasks that are launched while nobody reads, and again while somebody does.
const LAUNCHES: usize = 5_000;
/// Between two launches.
const PACE: Duration = Duration::from_millis(2);
const TARGET_MS: f64 = 300.0;
/// Mesos 1.7, with 200,000 running and 200,000 completed tasks.
const PEER: (&str, f64) = ("Mesos 1.7, published", 3_200.0);

pub(crate) fn run() -> Result<()> {
    super::runtime()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let master = Master::start(folder.path())?;
    let frameworks = shape::frameworks(FRAMEWORKS);
    let registers = (0..AGENTS).map(|at| shape::register(at, TASKS_PER_AGENT, &frameworks));
    let agents = Agents::start(&master.session, registers).await?;
    say(&format!("{} agents are in", agents.len()));
    let mut writer =
        Scheduler::subscribe(master.http, Codec::Protobuf, shape::framework(None, "writer"))
            .await?;
    let mut launcher = Launcher::new(&writer, 2 * LAUNCHES).await?;

    launcher.pace(&mut writer, LAUNCHES, PACE).await?;
    let mut alone = launcher.take_latencies();
    let (state, summary) = (master.url("/state"), master.url("/state-summary"));
    let cold = fetch(&state).await?.0;
    let readers = tokio::spawn(read(state.clone(), summary));
    launcher.pace(&mut writer, 2 * LAUNCHES, PACE).await?;
    let mut disturbed = launcher.take_latencies();
    let (mut states, mut summaries, bytes) = readers.await??;
    check(&state).await?;

    let median = ms(percentile(&mut states, 50));
    Row::new("state_20k_agents_400k_tasks_ms", median, "ms")
        .peer(PEER.0, PEER.1)
        .target(TARGET_MS)
        .print();
    let slowest = ms(percentile(&mut states, 100));
    Row::new("state_20k_agents_400k_tasks_max_ms", slowest, "ms").print();
    Row::new("state_20k_agents_400k_tasks_mib", bytes as f64 / 1_048_576.0, "MiB").print();
    let median = ms(percentile(&mut summaries, 50));
    Row::new("state_summary_20k_agents_400k_tasks_ms", median, "ms").print();
    Row::new("state_20k_agents_400k_tasks_first_ms", ms(cold), "ms").print();
    for (name, times) in [("launch", &mut alone), ("launch_while_state_is_read", &mut disturbed)] {
        for percent in [50, 99] {
            let value = ms(percentile(times, percent));
            Row::new(format!("{name}_p{percent}_ms"), value, "ms").print();
        }
    }
    Ok(())
}

/// Whether all tasks are in the answer; the last ones soon after they run, in
/// the next snapshot.
async fn check(state: &str) -> Result<()> {
    let task = Regex::new("\"executor_id\":")?;
    let wanted = AGENTS * TASKS_PER_AGENT + 2 * LAUNCHES;
    let mut tasks = 0;
    for _ in 0..CHECKS {
        let whole = reqwest::get(state).await?.error_for_status()?.bytes().await?;
        ensure!(whole.ends_with(b"}"), "the answer has no end");
        tasks = task.find_iter(&whole).count();
        if tasks == wanted {
            return Ok(());
        }
    }
    anyhow::bail!("{tasks} of {wanted} tasks are shown")
}

/// Reads both again and again; the times of each, and the size of the first.
async fn read(state: String, summary: String) -> Result<(Vec<Duration>, Vec<Duration>, usize)> {
    let (mut states, mut summaries, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..READS {
        let (took, length) = fetch(&state).await?;
        states.push(took);
        bytes = length;
        summaries.push(fetch(&summary).await?.0);
    }
    Ok((states, summaries, bytes))
}

async fn fetch(url: &str) -> Result<(Duration, usize)> {
    let begun = Instant::now();
    let mut body = reqwest::get(url).await?.error_for_status()?.bytes_stream();
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk?.len();
    }
    Ok((begun.elapsed(), length))
}
