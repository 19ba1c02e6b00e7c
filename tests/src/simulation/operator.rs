//! Operators: commands out of the blue, and what must be true after a yes.

use std::time::Duration;

use karman_api::convert::{Format, resources_to_wire};
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::{Operation, operation};
use karman_api::mesos::v1::quota::QuotaConfig;
use karman_master::ledger::{Command, Refusal};
use karman_model::id::{AgentId, FrameworkId};

use super::framework::ROLES;
use super::master::Request;
use super::world::{What, World};

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
        Some(match self.rng.weighted(&[1, 10, 10, 0, 0, 0, 6, 5, 14, 2, 14]) {
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
        let all = owner.resources.clone();
        let role = *self.rng.pick(&ROLES[1..])?;
        let resources = self.reserved(&all, role, Some("ops".to_owned()));
        let resources = resources_to_wire(&resources, Format::Refined);
        let reserve = self.rng.percent(60);
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
        let said = done.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        self.note(&[51], || format!("an operator hears: {said}"));
        self.truth.commands += u64::from(done.is_ok());
    }
}
