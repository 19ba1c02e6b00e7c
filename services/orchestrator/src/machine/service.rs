//! A service: an app, what is wanted of it and its instances.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use karman_api::marathon::v2::app::{App, UpgradeStrategy, VersionInfo};
use karman_api::marathon::v2::error::Invalid;
use karman_api::marathon::v2::queue::{OffersSummary, UnusedOffer};
use karman_api::marathon::v2::task::TaskFailure;
use karman_api::marathon::v2::time;
use karman_model::time::Timestamp;

use crate::backoff::{Backoff, Policy};
use crate::instance::{Condition, Goal, Instance};
use crate::matcher::constraint::{Constraint, Site};
use crate::plan::rollout::{Member, Phase, Wanted};

/// One version of an app.
#[derive(Clone, Debug)]
pub struct Spec {
    pub app: App,
    pub version: Timestamp,
    /// The version that last changed more than the number of instances.
    pub config: Timestamp,
    pub scaled: Timestamp,
    pub constraints: Vec<Constraint>,
}

impl Spec {
    /// Completes an app with its version.
    pub fn new(
        mut app: App,
        version: Timestamp,
        config: Timestamp,
        scaled: Timestamp,
    ) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let mut constraints = Vec::new();
        for (i, parts) in app.constraints.iter().enumerate() {
            match Constraint::parse(parts) {
                Ok(constraint) => constraints.push(constraint),
                Err(error) => invalid.rule(format!("/constraints({i})"), error.to_string()),
            }
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        app.version = Some(time::format(version.as_ms()));
        app.version_info = Some(VersionInfo {
            last_scaling_at: time::format(scaled.as_ms()),
            last_config_change_at: time::format(config.as_ms()),
        });
        Ok(Self { app, version, config, scaled, constraints })
    }

    fn backoff(&self) -> Policy {
        Policy {
            base: Duration::from_secs(u64::from(self.app.backoff_seconds)),
            factor: self.app.backoff_factor,
            max: Duration::from_secs(u64::from(self.app.max_launch_delay_seconds)),
        }
    }
}

/// What is known about the offers that passed by while the app waited.
#[derive(Clone, Debug, Default)]
pub struct QueueRecord {
    pub since: Option<Timestamp>,
    pub summary: OffersSummary,
    pub unused: Vec<UnusedOffer>,
}

#[derive(Debug, Default)]
pub struct Service {
    /// As stored; none while the app is being removed.
    pub target: Option<Arc<Spec>>,
    /// What the instances are held to now; follows the target step by step.
    pub active: Option<Arc<Spec>>,
    /// A deployment is at this app: instances of other configurations go.
    pub rolling: bool,
    pub instances: BTreeMap<String, Instance>,
    pub versions: BTreeMap<Timestamp, Arc<Spec>>,
    pub backoff: Backoff,
    pub last_failure: Option<TaskFailure>,
    /// The deployment that holds the lock.
    pub deployment: Option<String>,
    pub queue: QueueRecord,
    /// Instances that a user chose to go first.
    pub(super) sentenced: BTreeSet<String>,
}

/// How many tasks are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub staged: u32,
    pub running: u32,
    pub healthy: u32,
    pub unhealthy: u32,
}

impl Service {
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for instance in self.instances.values() {
            match instance.condition {
                Condition::Provisioned | Condition::Staging | Condition::Starting => {
                    counts.staged += 1;
                }
                Condition::Running => {
                    counts.running += 1;
                    match instance.health.alive {
                        Some(true) => counts.healthy += 1,
                        Some(false) => counts.unhealthy += 1,
                        None => {}
                    }
                }
                _ => {}
            }
        }
        counts
    }

    /// Instances that wait for an offer.
    pub fn scheduled(&self) -> impl Iterator<Item = &Instance> {
        self.instances
            .values()
            .filter(|one| one.condition == Condition::Scheduled && one.goal == Goal::Running)
    }

    /// The spec that an instance was launched with.
    pub fn spec_of(&self, instance: &Instance) -> Option<&Arc<Spec>> {
        self.versions.get(&instance.version).or(self.active.as_ref()).or(self.target.as_ref())
    }

    pub(super) fn fail(&mut self, now: Timestamp) {
        if let Some(spec) = self.active.as_ref().or(self.target.as_ref()) {
            self.backoff.fail(now, &spec.backoff());
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        let Some(active) = &self.active else {
            return Wanted {
                instances: 0,
                strategy: UpgradeStrategy::default(),
                kill_selection: Default::default(),
            };
        };
        Wanted {
            instances: active.app.instances,
            strategy: active.app.upgrade_strategy,
            kill_selection: active.app.kill_selection,
        }
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.instances.values().map(|instance| self.member(instance)).collect()
    }

    fn member(&self, instance: &Instance) -> Member {
        let scheduled = instance.condition == Condition::Scheduled;
        let of_active = self.active.as_ref().is_none_or(|active| active.config == instance.config);
        let group_by = self
            .active
            .as_ref()
            .and_then(|active| active.constraints.iter().find(|one| one.is_group_by()));
        Member {
            id: instance.id.clone(),
            is_current: scheduled || !self.rolling || of_active,
            is_ending: instance.goal != Goal::Running,
            sentenced: self.sentenced.contains(&instance.id),
            phase: self.phase(instance),
            started: instance.started_at.or(instance.staged_at).unwrap_or(instance.since),
            place: group_by.and_then(|one| site(instance)?.value(&one.field).map(str::to_owned)),
        }
    }

    fn phase(&self, instance: &Instance) -> Phase {
        match instance.condition {
            Condition::Scheduled => Phase::Scheduled,
            Condition::Provisioned | Condition::Staging | Condition::Killing => Phase::Staging,
            Condition::Starting => Phase::Starting,
            // It will start again after its end.
            Condition::Running if instance.killed_at.is_some() => Phase::Staging,
            Condition::Running => {
                let checked =
                    self.spec_of(instance).is_some_and(|spec| !spec.app.health_checks.is_empty());
                if !checked || instance.health.alive == Some(true) {
                    Phase::Healthy
                } else {
                    Phase::Running
                }
            }
            Condition::Unreachable => Phase::Unreachable,
            Condition::UnreachableInactive => Phase::Inactive,
            // Ends are taken in at once; one that is seen here is leaving.
            Condition::Finished
            | Condition::Failed
            | Condition::Error
            | Condition::Killed
            | Condition::Gone
            | Condition::Dropped
            | Condition::Unknown => Phase::Inactive,
        }
    }
}

/// Where an instance's task is.
pub(super) fn site(instance: &Instance) -> Option<Site> {
    let placement = instance.placement.as_ref()?;
    Some(Site {
        agent_id: placement.agent_id.clone(),
        host: placement.host.clone(),
        region: placement.region.clone(),
        zone: placement.zone.clone(),
        attributes: placement.attributes.clone(),
    })
}
