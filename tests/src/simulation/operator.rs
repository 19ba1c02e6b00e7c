//! Operators: commands out of the blue, and what must be true after a yes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use karman_api::convert::{Format, resources_to_wire};
use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::{Schedule, Window};
use karman_api::mesos::v1::offer::{Operation, operation};
use karman_api::mesos::v1::quota::QuotaConfig;
use karman_master::ledger::{Agent, Command, Refusal};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Kind;

use super::framework::ROLES;
use super::master::Request;
use super::world::{What, World};

fn machine(host: String) -> v1::MachineId {
    v1::MachineId { hostname: Some(host), ip: None }
}

impl World {
    pub(super) fn operator_acts(&mut self) {
        let wait = self.rng.between(2000, 40_000);
        if self.calm {
            return;
        }
        self.after(wait, What::Operator);
        let (Some(command), Some(leader)) = (self.some_command(), self.leader) else { return };
        self.note(&[50], || format!("an operator wants {command:?}"));
        self.ask_master(leader, Request::Command { command: Box::new(command) });
    }

    fn some_command(&mut self) -> Option<Command> {
        let agents: Vec<String> = self.truth.agents.iter().cloned().collect();
        let agent = self.rng.pick(&agents).map(|id| AgentId::from(id.as_str()));
        Some(match self.rng.weighted(&[1, 10, 10, 6, 2, 8, 6, 5, 14, 2, 14]) {
            0 => {
                let names: Vec<(String, usize)> =
                    self.truth.names.iter().map(|(id, index)| (id.clone(), *index)).collect();
                let (id, index) = self.rng.pick(&names).cloned()?;
                self.truth.torn_down.insert(index);
                Command::Teardown { framework: FrameworkId::from(id) }
            }
            1 => {
                let role = self.rng.pick(&ROLES)?;
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let weight = self.rng.between(1, 5) as f64;
                let info = v1::WeightInfo { role: Some((*role).to_owned()), weight };
                Command::UpdateWeights { weights: vec![info] }
            }
            2 => self.quota()?,
            3 => self.schedule(),
            4 => self.take_down()?,
            5 => Command::StopMaintenance { machines: self.down()? },
            6 => self.drain(agent?),
            7 => Command::Deactivate { agent: agent? },
            8 => Command::Reactivate { agent: agent? },
            9 => {
                let agent = agent?;
                self.truth.condemned.insert(agent.to_string());
                Command::MarkGone { agent }
            }
            _ => self.reserve_from_outside(agent?)?,
        })
    }

    fn drain(&mut self, agent: AgentId) -> Command {
        let mark_gone = self.rng.percent(10);
        if mark_gone {
            self.truth.condemned.insert(agent.to_string());
        }
        let max_grace = self.rng.percent(50).then_some(Duration::from_secs(10));
        Command::Drain { agent, max_grace, mark_gone }
    }

    fn hosts(&self) -> Vec<String> {
        let hosts: BTreeSet<String> = self.agents.iter().map(|agent| agent.host.clone()).collect();
        hosts.into_iter().collect()
    }

    /// Of some hosts and of those that are down already.
    fn schedule(&mut self) -> Command {
        let mut machines = self.down().unwrap_or_default();
        for host in self.hosts() {
            let machine = machine(host);
            if self.rng.percent(40) && !machines.contains(&machine) {
                machines.push(machine);
            }
        }
        let start = v1::TimeInfo { nanoseconds: self.rng.between(1, 1_000_000).cast_signed() };
        let unavailability = v1::Unavailability { start, duration: None };
        let mut windows = Vec::new();
        if !machines.is_empty() {
            windows.push(Window { machine_ids: machines, unavailability });
        }
        Command::UpdateSchedule { schedule: Schedule { windows } }
    }

    /// One of those that are planned.
    fn take_down(&mut self) -> Option<Command> {
        let maintenance = Arc::clone(&self.leading()?.registry.maintenance);
        let planned: Vec<String> =
            maintenance.draining().filter_map(|machine| machine.to_wire().hostname).collect();
        let host = self.rng.pick(&planned).cloned()?;
        self.truth.taken_down.insert(host.clone());
        Some(Command::StartMaintenance { machines: vec![machine(host)] })
    }

    fn down(&self) -> Option<Vec<v1::MachineId>> {
        let view = self.leading()?;
        let down: Vec<v1::MachineId> =
            view.registry.maintenance.down().map(|it| it.to_wire()).collect();
        (!down.is_empty()).then_some(down)
    }

    /// In the end everything is put back into use.
    pub(super) fn put_back(&mut self) {
        let (Some(view), Some(leader)) = (self.leading(), self.leader) else { return };
        let machines = self.down();
        let mut commands: Vec<Command> =
            machines.map(|machines| Command::StopMaintenance { machines }).into_iter().collect();
        let is_out = |agent: &&Arc<Agent>| agent.is_registered() && agent.standing.deactivated;
        for agent in view.agents.values().filter(is_out) {
            commands.push(Command::Reactivate { agent: agent.id.clone() });
        }
        for command in commands {
            self.note(&[52], || format!("an operator puts back: {command:?}"));
            self.ask_master(leader, Request::Command { command: Box::new(command) });
        }
    }

    fn quota(&mut self) -> Option<Command> {
        let role = *self.rng.pick(&ROLES)?;
        let scalar = |value| v1::value::Scalar { value };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let most = self.rng.between(1, 12) as f64;
        let limits = if self.rng.percent(30) {
            Default::default()
        } else {
            [("cpus".to_owned(), scalar(most)), ("mem".to_owned(), scalar(most * 500.0))].into()
        };
        let guarantees = if self.rng.percent(60) {
            Default::default()
        } else {
            [("cpus".to_owned(), scalar(1.0))].into()
        };
        let config = QuotaConfig { role: role.to_owned(), guarantees, limits };
        Some(Command::UpdateQuota { force: self.rng.percent(50), configs: vec![config] })
    }

    fn reserve_from_outside(&mut self, agent: AgentId) -> Option<Command> {
        let owner = self.agents.iter().find(|it| it.id.as_deref() == Some(agent.as_str()))?;
        let (all, told) = (owner.resources.clone(), owner.told.clone());
        let role = *self.rng.pick(&ROLES[1..])?;
        let reserve = self.rng.percent(60);
        let resources = if reserve {
            self.reserved(&all, role, Some("ops".to_owned()))
        } else {
            let is_meant = |kind: &Kind| kind != &kind.origin() && kind.disk.is_none();
            let some = self.some_of(&told?.filter(is_meant));
            self.truth.undo(&some);
            some
        };
        let resources = resources_to_wire(&resources, Format::Refined);
        let operation = Box::new(Operation {
            r#type: Some(
                if reserve { operation::Type::Reserve } else { operation::Type::Unreserve }.into(),
            ),
            reserve: reserve
                .then(|| operation::Reserve { resources: resources.clone(), ..Default::default() }),
            unreserve: (!reserve).then_some(operation::Unreserve { resources }),
            ..Default::default()
        });
        Some(Command::Operate { agent, principal: Some("ops".to_owned()), operation })
    }

    /// The answer is on its way: what it says is stored.
    pub(super) fn commanded(&mut self, done: &Result<(), Refusal>) {
        self.truth.seen.insert(match done {
            Ok(()) => "a command is carried out",
            Err(_) => "a command is refused",
        });
        let said = done.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        self.note(&[51], || format!("an operator hears: {said}"));
        self.truth.commands += u64::from(done.is_ok());
    }
}
