//! Maintenance: which machines will not be available when, and which are down.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::maintenance::{Schedule, Window};
use karman_api::mesos::v1::task_status::Reason;
use karman_model::id::AgentId;
use karman_model::time::Timestamp;

use super::machines::Machine;
use super::{Agent, Effect, Key, Ledger, Refusal, StoredMaintenance};
use crate::validate;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maintenance {
    /// As the operator wrote it.
    pub schedule: Schedule,
    /// The same by machine.
    machines: BTreeMap<Machine, v1::Unavailability>,
    /// Scheduled machines that the operator has taken down.
    down: BTreeSet<Machine>,
}

impl Maintenance {
    /// What `schedule` means; machines that are down must be in it.
    pub fn read(schedule: Schedule, down: BTreeSet<Machine>) -> Result<Self, String> {
        let mut machines: BTreeMap<Machine, v1::Unavailability> = BTreeMap::new();
        let mut by_ip: BTreeMap<IpAddr, Machine> = BTreeMap::new();
        for Window { machine_ids, unavailability } in &schedule.windows {
            if machine_ids.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_owned());
            }
            check_unavailability(unavailability)?;
            for id in machine_ids {
                let machine = Machine::read(id).map_err(|e| e.to_string())?;
                if let Some(other) = overlapping(&machines, &by_ip, &machine) {
                    return Err(if *other == machine {
                        format!("Machine '{machine}' appears more than once in the schedule")
                    } else {
                        format!(
                            "Machines '{other}' and '{machine}' of the schedule may be the same"
                        )
                    });
                }
                by_ip.extend(machine.ip.map(|ip| (ip, machine.clone())));
                machines.insert(machine, *unavailability);
            }
        }
        if !validate::is_storable(&schedule) {
            let most = validate::INFO_BYTES_MAX;
            return Err(format!("the schedule must not be larger than {most} bytes"));
        }
        if let Some(machine) = down.iter().find(|machine| !machines.contains_key(machine)) {
            return Err(format!(
                "Machine '{machine}' is deactivated and cannot be removed from the schedule"
            ));
        }
        Ok(Self { schedule, machines, down })
    }

    /// When the machine will not be available.
    pub fn unavailability(&self, hostname: &str, ip: IpAddr) -> Option<v1::Unavailability> {
        self.find(hostname, ip).and_then(|machine| self.machines.get(machine)).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    pub fn is_down(&self, hostname: &str, ip: IpAddr) -> bool {
        self.find(hostname, ip).is_some_and(|machine| self.down.contains(machine))
    }

    /// The entry of the schedule that means the machine.
    pub(super) fn find(&self, hostname: &str, ip: IpAddr) -> Option<&Machine> {
        let hostname = Some(hostname.to_ascii_lowercase());
        let names = [
            Machine { hostname: hostname.clone(), ip: Some(ip) },
            Machine { hostname, ip: None },
            Machine { hostname: None, ip: Some(ip) },
        ];
        names.iter().find_map(|name| self.machines.get_key_value(name)).map(|(machine, _)| machine)
    }

    /// Scheduled and not yet down, in order.
    pub fn draining(&self) -> impl Iterator<Item = &Machine> {
        self.machines.keys().filter(|machine| !self.down.contains(machine))
    }

    pub fn down(&self) -> impl Iterator<Item = &Machine> {
        self.down.iter()
    }

    /// The same with these machines down.
    pub fn start(&self, ids: &[v1::MachineId]) -> Result<Self, String> {
        let machines = list(ids)?;
        let wrong =
            machines.iter().find(|it| !self.machines.contains_key(it) || self.down.contains(it));
        match wrong {
            Some(machine) if self.down.contains(machine) => Err(format!(
                "Machine '{machine}' is not in DRAINING mode and cannot be brought down"
            )),
            Some(machine) => {
                Err(format!("Machine '{machine}' is not part of a maintenance schedule"))
            }
            None => {
                let mut started = self.clone();
                started.down.extend(machines);
                Ok(started)
            }
        }
    }

    /// The same without these machines, which have been down.
    pub fn stop(&self, ids: &[v1::MachineId]) -> Result<Self, String> {
        let machines = list(ids)?;
        if let Some(machine) = machines.iter().find(|machine| !self.down.contains(machine)) {
            return Err(format!(
                "Machine '{machine}' is not in DOWN mode and cannot be brought up"
            ));
        }
        let mut stopped = self.clone();
        stopped.down.retain(|machine| !machines.contains(machine));
        stopped.machines.retain(|machine, _| !machines.contains(machine));
        for window in &mut stopped.schedule.windows {
            window
                .machine_ids
                .retain(|id| Machine::read(id).is_ok_and(|it| !machines.contains(&it)));
        }
        stopped.schedule.windows.retain(|window| !window.machine_ids.is_empty());
        Ok(stopped)
    }
}

fn check_unavailability(unavailability: &v1::Unavailability) -> Result<(), String> {
    match unavailability.duration {
        Some(duration) if duration.nanoseconds < 0 => {
            Err(format!("unavailability.duration {} ns must not be negative", duration.nanoseconds))
        }
        Some(_) | None => Ok(()),
    }
}

/// Another entry that could mean the same machine.
fn overlapping<'a>(
    machines: &'a BTreeMap<Machine, v1::Unavailability>,
    by_ip: &'a BTreeMap<IpAddr, Machine>,
    machine: &Machine,
) -> Option<&'a Machine> {
    let known = |hostname: Option<String>, ip| {
        machines.get_key_value(&Machine { hostname, ip }).map(|(machine, _)| machine)
    };
    let Machine { hostname, ip } = machine.clone();
    known(hostname.clone(), ip).or_else(|| match (hostname, ip) {
        (Some(_), Some(_)) => known(machine.hostname.clone(), None).or_else(|| known(None, ip)),
        (None, Some(ip)) => by_ip.get(&ip),
        (hostname, None) => {
            let first = Machine { hostname: hostname.clone(), ip: None };
            let next = machines.range(first..).next().map(|(machine, _)| machine);
            next.filter(|next| next.hostname == hostname)
        }
    })
}

/// Each once.
fn list(ids: &[v1::MachineId]) -> Result<BTreeSet<Machine>, String> {
    if ids.is_empty() {
        return Err("List of machines is empty".to_owned());
    }
    let mut machines = BTreeSet::new();
    for id in ids {
        let machine = Machine::read(id).map_err(|e| e.to_string())?;
        if let Some(again) = machines.replace(machine) {
            return Err(format!("Machine '{again}' appears more than once in the list"));
        }
    }
    Ok(machines)
}

impl Ledger {
    pub(super) fn update_schedule(&mut self, schedule: Schedule) -> Result<(), Refusal> {
        let down = self.registry.maintenance.down.clone();
        let maintenance = Maintenance::read(schedule, down).map_err(Refusal::Invalid)?;
        self.put_maintenance(maintenance);
        Ok(())
    }

    /// Agents of machines that go down are removed: their tasks are over.
    pub(super) fn start_maintenance(
        &mut self,
        now: Timestamp,
        ids: &[v1::MachineId],
    ) -> Result<(), Refusal> {
        let maintenance = self.registry.maintenance.start(ids).map_err(Refusal::Invalid)?;
        self.put_maintenance(maintenance);
        let down: Vec<AgentId> = self
            .agents
            .values()
            .filter(|agent| self.registry.maintenance.is_down(&agent.info.hostname, agent.ip))
            .map(|agent| agent.id.clone())
            .collect();
        for agent in down {
            let reason = "the machine was taken down for maintenance";
            self.remove_agent(now, &agent, (TaskState::TaskGone, Reason::AgentRemoved, reason));
        }
        Ok(())
    }

    pub(super) fn stop_maintenance(&mut self, ids: &[v1::MachineId]) -> Result<(), Refusal> {
        let maintenance = self.registry.maintenance.stop(ids).map_err(Refusal::Invalid)?;
        self.put_maintenance(maintenance);
        Ok(())
    }

    fn put_maintenance(&mut self, maintenance: Maintenance) {
        self.registry.maintenance = Arc::new(maintenance);
        self.effect(Effect::Save(Key::Maintenance));
        let changed: Vec<(AgentId, Option<v1::Unavailability>)> = self
            .agents
            .values()
            .map(|agent| (agent, self.scheduled(agent)))
            .filter(|(agent, scheduled)| agent.standing.unavailability != *scheduled)
            .map(|(agent, scheduled)| (agent.id.clone(), scheduled))
            .collect();
        for (agent, unavailability) in changed {
            self.put_unavailability(&agent, unavailability);
        }
    }

    pub(super) fn scheduled(&self, agent: &Agent) -> Option<v1::Unavailability> {
        self.registry.maintenance.unavailability(&agent.info.hostname, agent.ip)
    }

    /// What was offered is offered again with what is known now; earlier
    /// answers were to another question.
    fn put_unavailability(&mut self, id: &AgentId, unavailability: Option<v1::Unavailability>) {
        self.rescind_agent(id);
        self.forget_answers(|(agent, _)| agent == id);
        if let Some(agent) = self.agent_mut(id) {
            agent.standing.unavailability = unavailability;
        }
        self.touched.agents.insert(id.clone());
        self.invite(id);
    }

    pub fn stored_maintenance(&self) -> StoredMaintenance {
        let maintenance = &self.registry.maintenance;
        StoredMaintenance {
            schedule: maintenance.schedule.clone(),
            down: maintenance.down.iter().map(Machine::to_wire).collect(),
        }
    }

    pub(super) fn restore_maintenance(&mut self, stored: StoredMaintenance) -> Result<(), String> {
        let StoredMaintenance { schedule, down } = stored;
        let down = down.iter().map(Machine::read).collect::<Result<_, _>>();
        let maintenance = Maintenance::read(schedule, down.map_err(|e| e.to_string())?)?;
        self.registry.maintenance = Arc::new(maintenance);
        Ok(())
    }
}
