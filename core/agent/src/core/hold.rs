//! What the agent has, as the master says: reservations and volumes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1;
use karman_model::resource::Resources;
use tracing::{error, warn};

use super::{Core, Entry, Todo};
use crate::driver::blocking;
use crate::lifecycle::Phase;
use crate::meta;
use crate::volume_folders;
use crate::volumes::{self, Plan, State, Volume};

/// What the agent was told, and its volumes.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// `None` if it never was.
    pub(super) resources: Option<Arc<Resources>>,
    pub(super) wire: Vec<v1::Resource>,
    pub(super) volumes: State,
}

/// A change of the volumes.
#[derive(Debug)]
pub(super) struct Arrangement {
    plan: Plan,
    /// What lies where a volume is to be is the volume's: there is no record of
    /// what was before.
    adopt: bool,
    /// To be remembered with it.
    wire: Vec<v1::Resource>,
}

impl Core {
    /// The master says that this is all.
    pub(super) fn hold(&mut self, wire: Vec<v1::Resource>, todo: &mut Todo) {
        let resources = match resources_from_wire(&wire) {
            Ok(resources) => resources.unallocated(),
            Err(problem) => {
                error!(
                    error = karman_rt::chain(&problem),
                    "what the master says this agent has is not understood and changes nothing"
                );
                return;
            }
        };
        let (told, problems) = volumes::all(&resources);
        for problem in problems {
            warn!(error = problem.to_string(), "a persistent volume cannot be had");
        }
        let adopt = self.holding.resources.is_none();
        if self.holding.wire == wire && !adopt {
            return;
        }
        self.holding.resources = Some(Arc::new(resources));
        self.holding.wire = wire;
        self.arrange(&told, adopt, todo);
    }

    /// As an earlier process of this agent remembered.
    pub(super) fn restore_holding(&mut self, kept: Option<meta::Held>, todo: &mut Todo) {
        let Some(meta::Held { resources: wire, doomed }) = kept else { return };
        let Ok(resources) = resources_from_wire(&wire) else { return };
        let (told, _) = volumes::all(&resources);
        self.holding.volumes = State { kept: told.clone(), doomed };
        self.holding.resources = Some(Arc::new(resources));
        self.holding.wire = wire;
        let mut plan = self.holding.volumes.plan(&told, &self.volumes_in_use());
        // A crash may have come before they were made.
        plan.make.extend(told);
        self.settle_volumes(plan, true, todo);
    }

    /// Nobody may use what left any longer.
    pub(super) fn retire_volumes(&mut self, todo: &mut Todo) {
        if !self.holding.volumes.doomed.is_empty() {
            let told = self.holding.volumes.kept.clone();
            self.arrange(&told, false, todo);
        }
    }

    fn arrange(&mut self, told: &BTreeSet<Volume>, adopt: bool, todo: &mut Todo) {
        let plan = self.holding.volumes.plan(told, &self.volumes_in_use());
        self.settle_volumes(plan, adopt, todo);
    }

    fn settle_volumes(&mut self, plan: Plan, adopt: bool, todo: &mut Todo) {
        self.holding.volumes = plan.after.clone();
        todo.volumes.push(Arrangement { plan, adopt, wire: self.holding.wire.clone() });
    }

    pub(super) fn volumes_in_use(&self) -> BTreeSet<Volume> {
        let living = |entry: &&Entry| entry.machine.phase() < Phase::Terminal;
        let used = self.containers.values().filter(living);
        used.flat_map(|entry| entry.volumes.iter().cloned()).collect()
    }

    /// Makes, remembers and takes away folders.
    pub(super) async fn move_volumes(&mut self, arrangements: Vec<Arrangement>) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        let (work_dir, meta) = (self.settings.work_dir.clone(), self.settings.meta(&agent_id));
        let mut bases: BTreeSet<PathBuf> = BTreeSet::new();
        for arrangement in arrangements {
            let plan = &arrangement.plan;
            bases.extend(plan.retire.iter().map(|volume| volume.base(&work_dir)));
            let (work_dir, meta) = (work_dir.clone(), meta.clone());
            let moved =
                blocking(move || Ok::<_, std::io::Error>(perform(&work_dir, &meta, &arrangement)));
            match moved.await {
                Ok(gone) => self.holding.volumes.retired(&gone),
                Err(error) => error!(error = error.to_string(), "cannot move persistent volumes"),
            }
        }
        self.empty_trash(bases.into_iter().collect());
    }

    /// Beside everything else: there may be much to delete.
    pub(super) fn empty_trash(&self, bases: Vec<PathBuf>) {
        if bases.is_empty() {
            return;
        }
        self.tasks.spawn("volumes", async move {
            let emptied = blocking(move || {
                volume_folders::empty_trash(bases);
                Ok::<_, std::io::Error>(())
            });
            let _panicked = emptied.await;
        });
    }
}

/// The volumes that are gone.
fn perform(
    work_dir: &std::path::Path,
    meta: &std::path::Path,
    arrangement: &Arrangement,
) -> BTreeSet<Volume> {
    let Arrangement { plan: Plan { renew, make, after, retire }, adopt, wire } = arrangement;
    let failed = |volume: &Volume, error: &std::io::Error| {
        error!(
            volume = volume.id,
            role = volume.role,
            error = error.to_string(),
            "cannot use the folder of a persistent volume"
        );
    };
    let take = |volume: &&Volume| match volume_folders::retire(work_dir, volume) {
        Ok(()) => true,
        Err(error) => {
            failed(volume, &error);
            false
        }
    };
    let renewed: BTreeSet<&Volume> = renew.iter().filter(take).collect();
    for volume in make.iter().filter(|volume| !renew.contains(*volume) || renewed.contains(volume))
    {
        if let Err(error) = volume_folders::make(work_dir, volume, *adopt) {
            failed(volume, &error);
        }
    }
    let remember = |state: &State| {
        let held = meta::Held { resources: wire.clone(), doomed: state.doomed.clone() };
        if let Err(error) = meta::save_held(meta, &held) {
            error!(error = error.to_string(), "cannot write the checkpoint of what this agent has");
        }
    };
    remember(after);
    let gone: BTreeSet<Volume> = retire.difference(renew).filter(take).cloned().collect();
    if !gone.is_empty() {
        let mut settled = after.clone();
        settled.retired(&gone);
        remember(&settled);
    }
    gone
}
