//! How long a new leader needs after its election to know everything: it has
//! followed the store, and now all agents come back and are stored anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use karman_master::stored;
use karman_model::time::Timestamp;
use karman_rt::Tasks;
use karman_store::Replica;
use prost::Message as _;

use crate::etcd::Members;
use crate::failover::{ledger, register_all};
use crate::row::{Row, ms, percentile, say};
use crate::shape;

const AGENTS: usize = 40_000;
const TASKS_PER_AGENT: usize = 10;
const FRAMEWORKS: usize = 5;
const RUNS: usize = 3;
const MEMBERS: usize = 3;
const TARGET_MS: f64 = 2_000.0;
/// For a follower to have read everything that was written before.
const FOLLOW_MAX: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<()> {
    let frameworks = shape::frameworks(FRAMEWORKS);
    let registers: Vec<Bytes> = (0..AGENTS)
        .map(|at| shape::register(at, TASKS_PER_AGENT, &frameworks).encode_to_vec().into())
        .collect();
    let mut took = Vec::new();
    for _ in 0..RUNS {
        took.push(super::runtime()?.block_on(measure(&registers))?);
    }
    Row::new("complete_state_after_election_ms", ms(percentile(&mut took, 50)), "ms")
        .target(TARGET_MS)
        .print();
    Ok(())
}

/// From the election of the second master until it has everybody back.
async fn measure(registers: &[Bytes]) -> Result<Duration> {
    let members = Members::start(MEMBERS)?;
    let store = members.open(0)?;
    let leadership = store.campaign("bench", "first").await?;
    let mut first = ledger("first", 1_000_000);
    register_all(&mut first, registers, &*store, &leadership).await?;
    drop(first);

    let tasks = Tasks::new();
    let standby = members.open(1)?;
    let replica = Replica::follow(Arc::clone(&standby), stored::PREFIX, &tasks);
    let mut revision = replica.revision();
    tokio::time::timeout(FOLLOW_MAX, revision.wait_for(|at| *at > 0))
        .await
        .context("the follower did not follow")??;
    drop((leadership, store));
    let leadership = standby.campaign("bench", "second").await?;
    let begun = Instant::now();
    let now = Timestamp(2_000_000);
    let mut second = ledger("second", now.0);
    let contents = stored::read(&replica.caught_up(&leadership.fence).await?)?;
    second.restore(now, contents)?;
    let restored = begun.elapsed();
    register_all(&mut second, registers, &*standby, &leadership).await?;
    let took = begun.elapsed();
    say(&format!("restored in {:.0} ms, complete in {:.0} ms", ms(restored), ms(took)));
    let view = second.view();
    let back: usize = view.frameworks.values().map(|framework| framework.tasks.len()).sum();
    ensure!(back == AGENTS * TASKS_PER_AGENT, "{back} tasks came back");
    Ok(took)
}
