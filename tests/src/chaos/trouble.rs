//! What goes wrong, by chance and by seed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::machines::{AGENTS, MASTERS, Place, Role};
use super::{CALM_MAX, Plan, Site, leading};

/// One attempt of the write that the time is taken for.
const ATTEMPT: Duration = Duration::from_secs(1);
const ATTEMPT_PAUSE: Duration = Duration::from_millis(20);
/// Until a unit starts a process again.
const RESTART: Duration = Duration::from_millis(500);

/// SplitMix64: every seed is as good as any other.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) const fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    fn machine(&mut self, first: u8, count: u8) -> u8 {
        first + u8::try_from(self.next() % u64::from(count)).unwrap_or_default()
    }
}

/// As many rounds as leaders are to be killed: some trouble, then a kill of which
/// the time is taken.
pub(super) async fn cause(site: &Rc<Site>, plan: Plan) -> Result<Vec<Duration>> {
    let mut rng = Rng::new(plan.seed);
    let mut times = Vec::new();
    for kill in 0..plan.kills {
        one_trouble(site, &mut rng).await?;
        settled(site).await?;
        times.push(kill_leader(site, kill).await?);
    }
    settled(site).await?;
    Ok(times)
}

async fn one_trouble(site: &Site, rng: &mut Rng) -> Result<()> {
    let master = rng.machine(0, MASTERS);
    let agent = rng.machine(MASTERS, AGENTS);
    let long = Duration::from_millis(rng.between(500, 5_000));
    match rng.between(0, 9) {
        0 => kill(site, (master, Role::Etcd), "kill of etcd").await,
        1 => kill(site, (agent, Role::Agent), "kill of an agent").await,
        2 => pause(site, (master, Role::Etcd), long, "pause of etcd").await,
        3 => {
            let leader = leading(site, "orchestrator").unwrap_or(master);
            pause(site, (leader, Role::Orchestrator), long, "pause of an orchestrator").await
        }
        4 => {
            let leader = leading(site, "master").unwrap_or(master);
            pause(site, (leader, Role::Master), long, "pause of a master").await
        }
        5 => pause(site, (agent, Role::Agent), long, "pause of an agent").await,
        6 => cut(site, master, long, "partition of a master").await,
        7 => cut(site, agent, long, "partition of an agent").await,
        8 => {
            // A machine that loses power, but for its tasks.
            for role in [Role::Etcd, Role::Master, Role::Orchestrator] {
                site.machines.borrow_mut().kill_9((master, role))?;
            }
            site.count("kill of a whole master");
            tokio::time::sleep(long).await;
            for role in [Role::Etcd, Role::Master, Role::Orchestrator] {
                site.machines.borrow_mut().start(&site.network, (master, role))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn kill(site: &Site, place: Place, what: &'static str) -> Result<()> {
    site.machines.borrow_mut().kill_9(place)?;
    site.count(what);
    tokio::time::sleep(RESTART).await;
    site.machines.borrow_mut().start(&site.network, place)
}

async fn pause(site: &Site, place: Place, long: Duration, what: &'static str) -> Result<()> {
    site.machines.borrow().signal(place, Signal::SIGSTOP)?;
    site.count(what);
    tokio::time::sleep(long).await;
    site.machines.borrow().signal(place, Signal::SIGCONT)
}

async fn cut(site: &Site, machine: u8, long: Duration, what: &'static str) -> Result<()> {
    site.network.cut(machine)?;
    site.count(what);
    tokio::time::sleep(long).await;
    site.network.join(machine)
}

/// Until both leaders are known and take writes.
async fn settled(site: &Site) -> Result<()> {
    let begun = Instant::now();
    let is_settled = async || {
        leading(site, "master").is_some()
            && leading(site, "orchestrator").is_some()
            && site.client.write_master(2, super::client::PATIENCE).await
            && site
                .client
                .write_orchestrator("/probe/settled", &site.campaign, super::client::PATIENCE)
                .await
    };
    while !is_settled().await {
        if begun.elapsed() > CALM_MAX {
            bail!("nobody leads after {CALM_MAX:?}");
        }
        tokio::time::sleep(RESTART).await;
    }
    Ok(())
}

/// Who takes writes may be about to claim its name anew, after its lease ended
/// in the trouble before.
async fn known_leader(site: &Site, name: &str) -> Result<u8> {
    let begun = Instant::now();
    loop {
        match leading(site, name) {
            Some(machine) => return Ok(machine),
            None if begun.elapsed() > CALM_MAX => bail!("nobody leads {name}"),
            None => tokio::time::sleep(ATTEMPT_PAUSE).await,
        }
    }
}

/// Kills the leader of the one or the other, and takes the time until its
/// successor, or it itself once it was started again, stores something.
async fn kill_leader(site: &Site, number: u32) -> Result<Duration> {
    let (name, role) = match number % 2 {
        0 => ("orchestrator", Role::Orchestrator),
        _ => ("master", Role::Master),
    };
    let machine = known_leader(site, name).await?;
    let begun = Instant::now();
    site.machines.borrow_mut().kill_9((machine, role))?;
    site.count("kill of a leader");
    let app = format!("/probe/k{number}");
    loop {
        let written = match role {
            Role::Orchestrator => {
                site.client.write_orchestrator(&app, &site.campaign, ATTEMPT).await
            }
            _ => site.client.write_master(3 + number, ATTEMPT).await,
        };
        if written {
            break;
        }
        if begun.elapsed() > CALM_MAX {
            bail!("nobody leads {name} after its leader was killed");
        }
        tokio::time::sleep(ATTEMPT_PAUSE).await;
    }
    let took = begun.elapsed();
    site.machines.borrow_mut().start(&site.network, (machine, role))?;
    Ok(took)
}
