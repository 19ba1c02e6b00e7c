//! What the master needs to know a large cluster.

use anyhow::Result;

use crate::agents::Agents;
use crate::master::Master;
use crate::row::Row;
use crate::shape;

const AGENTS: usize = 50_000;
/// So many may have a connection each on most systems.
const FEW: usize = 15_000;
const TASKS_PER_AGENT: usize = 20;
const FRAMEWORKS: usize = 5;
const TARGET_MIB: f64 = 4096.0;
const KIB: f64 = 1024.0;

pub(crate) fn run() -> Result<()> {
    let idle = resident(0, 0)?;
    let few = resident(FEW, 0)?;
    Row::new(
        "master_rss_per_agent_with_own_connection_kib",
        (few - idle) * KIB / FEW as f64,
        "KiB",
    )
    .print();
    let agents = resident(AGENTS, 0)?;
    let all = resident(AGENTS, TASKS_PER_AGENT)?;
    let tasks = AGENTS * TASKS_PER_AGENT;
    Row::new("master_rss_per_agent_kib", (agents - idle) * KIB / AGENTS as f64, "KiB").print();
    Row::new("master_rss_per_task_kib", (all - agents) * KIB / tasks as f64, "KiB").print();
    Row::new("master_rss_50k_agents_1m_tasks_mib", all, "MiB").target(TARGET_MIB).print();
    Ok(())
}

/// In MiB, with so many agents connected.
fn resident(agents: usize, tasks: usize) -> Result<f64> {
    let frameworks = shape::frameworks(FRAMEWORKS);
    super::runtime()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let master = Master::start(folder.path())?;
        let registers = (0..agents).map(|at| shape::register(at, tasks, &frameworks));
        let _agents = Agents::start(&master.session, registers).await?;
        // Answered from a snapshot with all of them.
        reqwest::get(master.url("/metrics/snapshot")).await?.error_for_status()?;
        master.resident_mib()
    })
}
