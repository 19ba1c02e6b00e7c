//! Users end tasks: to have them started again, elsewhere, or not at all.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_api::marathon::v2::app::App;
use karman_api::marathon::v2::task::Task;
use karman_model::time::Timestamp;

use crate::instance::{Instance, parse_task_id};
use crate::view;

use super::commands::Reply;
use super::deploy::Want;
use super::{Core, Refusal};

#[derive(Clone, Debug)]
pub struct KillRequest {
    pub which: Which,
    /// The app gets as many instances fewer.
    pub scale: bool,
    /// A new instance takes the place instead of a new task.
    pub wipe: bool,
    pub force: bool,
}

#[derive(Clone, Debug)]
pub enum Which {
    /// All tasks of an app, on one host only where given.
    App { app: String, host: Option<String> },
    /// One task of an app.
    Task { app: String, task: String },
    /// Tasks of any app; unknown ones are passed over.
    Tasks(Vec<String>),
}

impl Core {
    pub(super) fn kill_tasks(
        &mut self,
        now: Timestamp,
        request: &KillRequest,
    ) -> Result<Reply, Refusal> {
        if request.scale && request.wipe {
            return Err(Refusal::BadRequest(
                "You cannot use scale and wipe at the same time.".into(),
            ));
        }
        let chosen = self.choose(&request.which)?;
        let tasks: Vec<Task> = chosen
            .iter()
            .filter_map(|(app, id)| {
                Some(view::task(self.services.get(app)?, app, self.instance(id)?.1))
            })
            .collect();
        if request.scale {
            return self.scale_down(now, &chosen, request.force);
        }
        for (_, id) in &chosen {
            self.kill(now, id, request.wipe);
        }
        Ok(Reply::Killed(tasks))
    }

    /// The instances meant, each with its app.
    fn choose(&self, which: &Which) -> Result<Vec<(String, String)>, Refusal> {
        match which {
            Which::App { app, host } => {
                self.target(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
                let on_host = |one: &&Instance| host.as_ref().is_none_or(|host| one.host() == host);
                let instances = self
                    .services
                    .get(app)
                    .into_iter()
                    .flat_map(|service| service.instances.values());
                let launched = instances.filter(|one| one.condition.is_launched()).filter(on_host);
                Ok(launched.map(|instance| (app.clone(), instance.id.clone())).collect())
            }
            Which::Task { app, task } => {
                self.target(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
                let found = self.find(task).filter(|(owner, _)| owner == app);
                Ok(vec![found.ok_or_else(|| Refusal::UnknownTask(task.clone()))?])
            }
            Which::Tasks(tasks) => {
                let malformed = tasks.iter().find(|task| !task.contains(".instance-"));
                if let Some(malformed) = malformed {
                    return Err(Refusal::BadRequest(format!("'{malformed}' is not a task id")));
                }
                Ok(tasks.iter().filter_map(|task| self.find(task)).collect())
            }
        }
    }

    /// By the id of a task or of an instance.
    fn find(&self, task: &str) -> Option<(String, String)> {
        let id = parse_task_id(task).map_or(task, |(instance, _)| instance);
        let (app, instance) = self.instance(id)?;
        let right = instance.condition.is_launched() && (id == task || instance.task_id() == task);
        right.then(|| (app.to_owned(), id.to_owned()))
    }

    fn scale_down(
        &mut self,
        now: Timestamp,
        chosen: &[(String, String)],
        force: bool,
    ) -> Result<Reply, Refusal> {
        let mut fewer: BTreeMap<&String, u32> = BTreeMap::new();
        for (app, _) in chosen {
            *fewer.entry(app).or_default() += 1;
        }
        let mut wants = BTreeMap::new();
        for (app, count) in fewer {
            let Some(spec) = self.target(app) else { continue };
            let instances = spec.app.instances.saturating_sub(count);
            let after = Some(App { instances, ..spec.app.clone() });
            wants.insert(app.clone(), Want { after, ..Want::default() });
        }
        let deployment = self.deploy(now, wants, force)?;
        for (app, id) in chosen {
            if let Some(service) = self.services.get_mut(app) {
                service.sentenced.insert(id.clone());
            }
        }
        Ok(Reply::Deployed { deployment, created: false })
    }
}
