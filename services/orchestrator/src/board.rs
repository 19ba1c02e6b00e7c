//! What the HTTP handlers read: written by the loop, one app at a time, never
//! computed by a request.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use karman_api::marathon::v2::Deployment;

use crate::machine::{Core, Effects};
use crate::view::{self, AppView};

/// Cheap to clone; all clones are one board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<RwLock<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) apps: BTreeMap<String, Arc<AppView>>,
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) framework_id: Option<String>,
    /// The leading master, while there is a subscription.
    pub(crate) master: Option<String>,
}

impl Board {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_master(&self, master: Option<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).master = master;
    }

    /// Takes over what the effects say has changed.
    pub(crate) fn update(&self, core: &Core, effects: &Effects) {
        let changed = effects.touched.iter();
        let apps: Vec<_> = changed
            .map(|id| {
                (id, core.service(id).and_then(|service| view::app(id, service)).map(Arc::new))
            })
            .collect();
        let deployments = effects.deployments_changed.then(|| {
            core.deployments().map(|deployment| Arc::new(view::deployment(deployment))).collect()
        });
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (id, app) in apps {
            match app {
                Some(app) => drop(state.apps.insert(id.clone(), app)),
                None => drop(state.apps.remove(id)),
            }
        }
        if let Some(deployments) = deployments {
            state.deployments = deployments;
        }
        state.framework_id = core.framework_id().map(str::to_owned);
    }
}
