//! A datacenter of real processes, and everything that kills one of them.
//!
//! Three masters with etcd and three agents live in network namespaces of their
//! own. While apps are made and scaled, a seeded source of trouble kills, pauses
//! and cuts off what it likes; in between it kills the leader and takes the time
//! until the next write. At the end everything that was promised must be there,
//! every task must run once, and nobody may have led twice.

mod client;
mod history;
mod machines;
mod network;
mod trouble;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use karman_store::Store as _;
use karman_store::etcd::Etcd;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::etcd;
use client::Client;
use history::{Ended, History};
use machines::{AGENTS, MASTERS, Machines};
use network::Network;
use trouble::Rng;

/// Those who make and scale apps.
const WRITERS: u64 = 3;
/// Writes of one app before the next one is made.
const WRITES_PER_APP: u64 = 4;
const INSTANCES_MAX: u64 = 3;
const WRITE_PAUSE: Duration = Duration::from_millis(300);
/// How often tasks are counted.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a datacenter may take to come up, and to become calm.
const START_MAX: Duration = Duration::from_secs(90);
const CALM_MAX: Duration = Duration::from_secs(180);

/// What a campaign does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How often a leader is killed while the time is taken.
    pub kills: u32,
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    pub plan: Plan,
    /// From each kill of a leader to the next write, in the order of kills.
    pub kill_to_write: Vec<Duration>,
    pub violations: Vec<String>,
    pub json: Value,
}

/// What all tasks of a campaign share.
struct Site {
    network: Network,
    machines: RefCell<Machines>,
    client: Client,
    history: RefCell<History>,
    store: Arc<Etcd>,
    /// Tells the tasks of this campaign from others.
    campaign: String,
    stop: RefCell<bool>,
    /// What was done, by name.
    done: RefCell<BTreeMap<&'static str, u32>>,
}

/// Runs a campaign in a thread of its own, which lives in the network of the
/// machines.
///
/// # Errors
/// When it cannot be carried out; what it finds is in the report.
pub fn run(plan: Plan, programs: &Path) -> Result<Report> {
    std::thread::scope(|scope| {
        let campaign = scope.spawn(|| -> Result<Report> {
            let folder = tempfile::Builder::new().prefix("karman-chaos-").tempdir()?;
            let network = Network::lay(MASTERS + AGENTS)?;
            let machines = Machines::set_up(&network, folder.path(), programs)?;
            network.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(LocalSet::new().run_until(carry_out(plan, network, machines)))
        });
        campaign.join().map_err(|_panic| anyhow::anyhow!("the campaign panicked"))?
    })
}

async fn carry_out(plan: Plan, network: Network, machines: Machines) -> Result<Report> {
    let client = Client::new(&network, &machines)?;
    let store = Etcd::open(etcd::options(machines.members(), &machines.tls(0)))?;
    let site = Rc::new(Site {
        network,
        machines: RefCell::new(machines),
        client,
        history: RefCell::default(),
        store,
        campaign: format!("{}-{}", plan.seed, std::process::id()),
        stop: RefCell::new(false),
        done: RefCell::default(),
    });
    site.start().await?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let rng = Rng::new(plan.seed.wrapping_mul(31).wrapping_add(writer));
            tokio::task::spawn_local(write(Rc::clone(&site), writer, rng))
        })
        .collect();
    let watching = tokio::task::spawn_local(look(Rc::clone(&site)));
    let kill_to_write = trouble::cause(&site, plan).await.with_context(|| site.logs())?;
    site.stop.replace(true);
    for writer in writers {
        writer.await?;
    }
    let calm = site.calm_down().await;
    watching.await?;
    if let Err(error) = calm {
        site.history.borrow_mut().violation(format!("{error:#}"));
    }
    Ok(site.report(plan, kill_to_write))
}

impl Site {
    async fn start(&self) -> Result<()> {
        for place in machines::places() {
            self.machines.borrow_mut().start(&self.network, place)?;
        }
        let begun = Instant::now();
        loop {
            let master = self.client.write_master(1, client::PATIENCE).await;
            let app = "/probe/start";
            if master && self.client.write_orchestrator(app, &self.campaign, client::PATIENCE).await
            {
                return Ok(());
            }
            if begun.elapsed() > START_MAX {
                anyhow::bail!("the datacenter does not come up\n{}", self.logs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What all roles said last.
    fn logs(&self) -> String {
        let logs = machines::places().into_iter().map(|place| {
            let log = self.machines.borrow().log(place);
            format!("--- {} of machine {}\n{log}", place.1.name(), place.0)
        });
        logs.collect::<Vec<_>>().join("\n")
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until what is stored, what is reported and what runs agree, and
    /// judges it.
    async fn calm_down(&self) -> Result<()> {
        let apps: Vec<String> = self.history.borrow().apps().keys().cloned().collect();
        let begun = Instant::now();
        let mut waits_for;
        loop {
            waits_for = self.disagreement(&apps).await;
            let Some(_) = &waits_for else { break };
            if begun.elapsed() > CALM_MAX {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        for app in &apps {
            let (has, _) = self.client.instances(app).await.context("nobody leads at the end")?;
            self.history.borrow_mut().judge(app, has);
        }
        ensure!(waits_for.is_none(), "not calm in time: {}", waits_for.unwrap_or_default());
        Ok(())
    }

    /// The first app of which stored, reported and running instances differ.
    async fn disagreement(&self, apps: &[String]) -> Option<String> {
        let mut running: BTreeMap<String, u64> = BTreeMap::new();
        for task in history::tasks(&self.campaign).into_values() {
            *running.entry(task.app).or_default() += 1;
        }
        for app in apps {
            let Some((wanted, reported)) = self.client.instances(app).await else {
                return Some(format!("{app} is not answered for"));
            };
            let runs = running.get(app).copied().unwrap_or_default();
            if wanted != reported || wanted != runs {
                return Some(format!("{app} wants {wanted}, reports {reported}, runs {runs}"));
            }
        }
        None
    }

    fn count(&self, what: &'static str) {
        *self.done.borrow_mut().entry(what).or_default() += 1;
    }

    fn report(&self, plan: Plan, kill_to_write: Vec<Duration>) -> Report {
        let history = self.history.borrow();
        let mut sorted: Vec<u128> = kill_to_write.iter().map(Duration::as_millis).collect();
        sorted.sort_unstable();
        let violations: Vec<String> = history.violations.iter().cloned().collect();
        let json = json!({
            "seed": plan.seed,
            "leader_kills": self.done.borrow().get("kill of a leader"),
            "kill_to_write_ms": sorted,
            "troubles": *self.done.borrow(),
            "writes": {
                "acknowledged": history.acknowledged,
                "refused": history.refused,
                "unknown": history.unknown,
            },
            "apps": history.apps().len(),
            "ended_by_themselves": self.machines.borrow().ended,
            "violations": violations,
        });
        Report { plan, kill_to_write, violations, json }
    }
}

/// Makes apps and scales them, one after the other. An app of which nobody knows
/// what it has is left alone: its last write may happen at any time.
async fn write(site: Rc<Site>, writer: u64, mut rng: Rng) {
    for number in 0_u64.. {
        let app = format!("/w{writer}/a{number}");
        for turn in 0..WRITES_PER_APP {
            if site.stopped() {
                return;
            }
            // The last write leaves little behind, so that there is room.
            let last = turn + 1 == WRITES_PER_APP;
            let instances = if last { 1 } else { rng.between(1, INSTANCES_MAX) };
            let ended = site.client.scale(&app, &site.campaign, instances, turn == 0).await;
            site.history.borrow_mut().wrote(&app, instances, ended);
            tokio::time::sleep(WRITE_PAUSE).await;
            if ended != Ended::Acknowledged {
                break;
            }
        }
    }
}

/// Looks for what must never be, and starts what ended by itself.
async fn look(site: Rc<Site>) {
    let leaders = ["master", "orchestrator"].map(|name| (name, site.store.leader(name)));
    while !site.stopped() {
        for (name, leader) in &leaders {
            if let Some(leader) = &*leader.borrow() {
                site.history.borrow_mut().leads(name, leader.token);
            }
        }
        for (id, task) in history::tasks(&site.campaign) {
            if task.sandboxes.len() > 1 {
                let where_ = task.sandboxes;
                site.history.borrow_mut().violation(format!("{id} runs twice: {where_:?}"));
            }
        }
        if let Err(error) = site.machines.borrow_mut().start_ended(&site.network) {
            site.history.borrow_mut().violation(format!("{error:#}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where a name is led from.
fn leading(site: &Site, name: &str) -> Option<u8> {
    let leader = site.store.leader(name);
    let holder = leader.borrow().as_ref().map(|leader| leader.holder.clone())?;
    (0..MASTERS).find(|machine| {
        let host = format!("//{}:", site.network.address(*machine));
        holder.contains(&host)
    })
}
