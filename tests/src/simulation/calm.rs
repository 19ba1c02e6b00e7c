//! After the storm: when nothing goes wrong any longer, everybody comes to know
//! the truth, and nothing that is free stays unoffered.

use std::collections::BTreeSet;

use karman_api::mesos::v1::TaskState;
use karman_master::ledger::{Agent, Amounts, View};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::quantity::Quantity;

use super::faults::Chances;
use super::framework::{Framework, Step};
use super::net::Client;
use super::shares::{self, Shares};
use super::world::{What, World};

/// Longer than every timeout together: agents are awaited for ten minutes,
/// frameworks five, and updates are repeated after ten at most.
const CALM_MS_MAX: u64 = 3_000_000;
const ROUND_MS: u64 = 20_000;

impl World {
    /// Ends all trouble and waits until everything is as it should be.
    pub(super) fn settle(&mut self) {
        self.note(&[70], || "calm".to_owned());
        self.calm = true;
        self.chances = Chances::default();
        self.store.away_until = self.now;
        if self.leader.is_none() {
            self.start_master();
        }
        let stalled: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.backlog.is_some())
            .map(|(conn, link)| (*conn, link.client))
            .collect();
        for (conn, client) in stalled {
            if let Client::Framework(index) = client {
                self.after(0, What::Framework { index, step: Step::Read(conn) });
            }
        }
        for agent in &mut self.agents {
            agent.unreachable_until = 0;
        }
        for index in 0..self.frameworks.len() {
            self.frameworks[index].unreachable_until = 0;
            self.frameworks[index].up = true;
            self.framework_will_dial(index);
            if self.frameworks[index].subscribed {
                self.revive(index);
            }
        }
        let end = self.now + CALM_MS_MAX;
        loop {
            self.run_until(self.now + ROUND_MS);
            self.put_back();
            let Err(problem) = self.settled() else { return self.check_kept() };
            assert!(self.now < end, "still not settled: {problem}");
        }
    }

    /// What is not yet as it should be.
    fn settled(&self) -> Result<(), String> {
        let view = self.leading().ok_or("nobody leads")?;
        let present: BTreeSet<&str> =
            self.agents.iter().filter_map(|agent| agent.id.as_deref()).collect();
        for agent in view.agents.values() {
            if !present.contains(agent.id.as_str()) && agent.is_registered() {
                return Err(format!("{} is nowhere and registered", agent.id));
            }
        }
        self.agents_settled(&view)?;
        self.frameworks_settled(&view)?;
        self.tasks_settled(&view)?;
        view_agents_in_use(&view)?;
        let shares = Shares::new(&view);
        shares.promises_kept()?;
        for agent in view.agents.values().filter(|agent| agent.is_active()) {
            offers_settled(&view, agent, &shares)?;
        }
        Ok(())
    }

    fn agents_settled(&self, view: &View) -> Result<(), String> {
        for (index, agent) in self.agents.iter().enumerate() {
            let id = agent.id.as_deref().filter(|_| agent.registered);
            let id = id.ok_or_else(|| format!("agent {index} is not registered"))?;
            let known = view.agents.get(&AgentId::from(id));
            if !known.is_some_and(|known| known.is_registered()) {
                return Err(format!("agent {id} is not known as registered"));
            }
            for ((_, name), task) in &agent.tasks {
                if task.silent || !task.updates.is_delivered() {
                    return Err(format!("{name} on agent {id} has something to say"));
                }
            }
        }
        Ok(())
    }

    fn frameworks_settled(&self, view: &View) -> Result<(), String> {
        let mut living = BTreeSet::new();
        for (index, framework) in self.frameworks.iter().enumerate() {
            if framework.dead {
                continue;
            }
            let id = framework.id.as_deref().filter(|_| framework.subscribed);
            let id = id.ok_or_else(|| format!("framework {index} is not subscribed"))?;
            living.insert(id);
            let known = view.frameworks.get(&FrameworkId::from(id));
            let known = known.ok_or_else(|| format!("framework {id} is not known"))?;
            if !known.is_connected() {
                return Err(format!("framework {id} is not known as connected"));
            }
            let offered: BTreeSet<&str> = known.offers.keys().map(|id| id.as_str()).collect();
            let held: BTreeSet<&str> = framework.offers.keys().map(String::as_str).collect();
            if offered != held {
                return Err(format!("framework {id} holds offers {held:?}, not {offered:?}"));
            }
            let all = view.registry.inverse.offers.values();
            let asked: BTreeSet<&str> =
                all.filter(|it| it.framework.as_str() == id).map(|it| it.id.as_str()).collect();
            let heard: BTreeSet<&str> = framework.inverse.keys().map(String::as_str).collect();
            if asked != heard {
                return Err(format!("framework {id} is asked {heard:?}, not {asked:?}"));
            }
            for offer in framework.offers.values() {
                let agent = view.agents.get(offer.agent_id.value.as_str());
                if agent.is_none_or(|agent| agent.unavailability() != offer.unavailability) {
                    return Err(format!("{:?} has another unavailability", offer.id));
                }
            }
        }
        match view.frameworks.keys().find(|id| !living.contains(id.as_str())) {
            Some(ghost) => Err(format!("framework {ghost} is nobody")),
            None => Ok(()),
        }
    }

    fn tasks_settled(&self, view: &View) -> Result<(), String> {
        let running = self.running();
        for ((framework, task), places) in &running {
            let known = view.frameworks.get(&FrameworkId::from(framework.as_str()));
            let known = known.and_then(|known| known.tasks.get(task.as_str()));
            let known = known.ok_or_else(|| format!("{task} is an orphan"))?;
            let is_right = places.iter().any(|(agent, state)| {
                self.agents[*agent].id.as_deref() == Some(known.agent.as_str())
                    && *state == known.state
            });
            if !is_right {
                return Err(format!(
                    "{task} is {:?} on {}, in truth {places:?}",
                    known.state, known.agent
                ));
            }
        }
        for known in view.frameworks.values().flat_map(|framework| framework.tasks.values()) {
            let name = (known.framework.to_string(), known.id.to_string());
            if !running.contains_key(&name) {
                return Err(format!("{} is {:?} and does not run", known.id, known.state));
            }
            if known.kill.is_some() && !known.is_terminal() {
                return Err(format!("{} is to be killed and lives", known.id));
            }
        }
        for framework in self.frameworks.iter().filter(|framework| !framework.dead) {
            self.view_settled(framework, view)?;
        }
        Ok(())
    }

    /// What the framework believes of its tasks is so.
    fn view_settled(&self, framework: &Framework, view: &View) -> Result<(), String> {
        let id = framework.id.clone().unwrap_or_default();
        for (task, believed) in framework.tasks.iter().filter(|(_, it)| !it.doubled) {
            let running: Vec<TaskState> = self
                .agents
                .iter()
                .filter_map(|agent| agent.tasks.get(&(id.clone(), task.clone())))
                .filter(|task| task.is_live())
                .map(|task| task.state)
                .collect();
            let is_right = match (running.as_slice(), believed.state) {
                (&[state], Some(believed)) => {
                    // Not everybody is told of every state.
                    state == believed
                        || state == TaskState::TaskKilling
                            && matches!(
                                believed,
                                TaskState::TaskRunning
                                    | TaskState::TaskStarting
                                    | TaskState::TaskStaging
                            )
                }
                ([TaskState::TaskStaging], None) => true,
                ([], Some(TaskState::TaskUnreachable)) => {
                    let holder = view.agents.get(&AgentId::from(believed.agent.as_str()));
                    holder.is_some_and(|holder| !holder.is_registered())
                }
                ([], Some(_)) => believed.is_over(),
                (_, _) => false,
            };
            if !is_right {
                return Err(format!(
                    "{task} is {:?} to its framework and {running:?} in truth",
                    believed.state
                ));
            }
        }
        Ok(())
    }
}

/// Nothing stays out of use, and nobody is asked to leave without a reason.
fn view_agents_in_use(view: &View) -> Result<(), String> {
    for agent in view.agents.values().filter(|agent| agent.is_registered()) {
        if agent.standing.deactivated {
            return Err(format!("{} is out of use: {:?}", agent.id, agent.standing));
        }
    }
    match view.registry.maintenance.down().next() {
        Some(machine) => Err(format!("{machine} is down")),
        None => Ok(()),
    }
}

/// Nobody who is there could be offered any more.
fn offers_settled(view: &View, agent: &Agent, shares: &Shares<'_>) -> Result<(), String> {
    let left = shares::left(agent);
    for framework in view.frameworks.values().filter(|framework| framework.is_connected()) {
        for role in &framework.roles {
            let usable = left.filter(|kind| {
                kind.is_usable_by(role) && (framework.capabilities.refinement || !kind.is_refined())
            });
            let usable = shares.within(role, &usable);
            if is_worth_an_offer(&usable) {
                return Err(format!(
                    "{usable:?} of {} is offered to nobody, not even {} in {role}",
                    agent.id, framework.id
                ));
            }
        }
    }
    Ok(())
}

fn is_worth_an_offer(amounts: &Amounts) -> bool {
    let has = |name: &str, least| amounts.get(name).is_some_and(|amount| *amount >= least);
    has("cpus", Quantity::from_thousandths(10)) || has("mem", Quantity::from_units(32))
}
