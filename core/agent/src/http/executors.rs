//! The executors of this agent: those that frameworks bring along, those of
//! groups, and the ones that commands run under, which nobody sees.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1::{ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo};
use karman_model::resource::Resources;
use serde_json::{Value, json};

use super::tasks;
use crate::view::{ExecutorView, Snapshot, View};

/// An executor with all of its tasks that are known; it has one task at least, or
/// is there by itself.
pub(super) struct Executor<'a> {
    custom: Option<&'a ExecutorView>,
    /// Not forgotten yet, then those that are.
    tasks: Vec<(&'a View, bool)>,
}

/// The executors by their containers: those that are there or have a task that is
/// not forgotten, and the others.
pub(super) fn executors(snapshot: &Snapshot) -> (Vec<Executor<'_>>, Vec<Executor<'_>>) {
    let mut all: BTreeMap<&str, Executor<'_>> = BTreeMap::new();
    for (container, custom) in &snapshot.executors {
        all.insert(container, Executor { custom: Some(custom), tasks: Vec::new() });
    }
    let live = snapshot.containers.values().map(|view| (view, true));
    let done = snapshot.completed.iter().map(|view| (view, false));
    for (view, kept) in live.chain(done) {
        let (container, _) = view.record.root();
        let blank = || Executor { custom: None, tasks: Vec::new() };
        all.entry(container).or_insert_with(blank).tasks.push((view, kept));
    }
    all.into_values().partition(|executor| {
        executor.custom.is_some() || executor.tasks.iter().any(|(_, kept)| *kept)
    })
}

impl<'a> Executor<'a> {
    fn first(&self) -> Option<&'a View> {
        self.tasks.first().map(|(view, _)| *view)
    }

    /// What its framework said of it, if that knows of it.
    fn given(&self) -> Option<&'a ExecutorInfo> {
        let custom = self.custom.map(|custom| &custom.record.executor);
        custom.or_else(|| Some(&self.first()?.record.member.as_ref()?.executor))
    }

    pub(super) fn framework_id(&self) -> &'a str {
        let custom = self.custom.map(|custom| custom.record.framework_id.as_str());
        custom.or_else(|| Some(&self.first()?.record.framework_id)).unwrap_or_default()
    }

    pub(super) fn framework(&self) -> Option<&'a Arc<FrameworkInfo>> {
        let custom = self.custom.map(|custom| &custom.framework);
        custom.or_else(|| Some(&self.first()?.framework))
    }

    fn id(&self) -> &'a str {
        let custom = self.custom.map(|custom| custom.record.executor_id());
        custom.or_else(|| Some(self.first()?.record.executor_id())).unwrap_or_default()
    }

    fn root(&self) -> (&'a str, &'a Path) {
        let custom = self.custom.map(|custom| &custom.record);
        let custom = custom.map(|it| (it.container_id.as_str(), it.sandbox.as_path()));
        custom
            .or_else(|| self.first().map(|view| view.record.root()))
            .unwrap_or(("", Path::new("")))
    }

    fn name(&self) -> String {
        match (self.given(), self.first()) {
            (Some(given), _) => given.name.clone().unwrap_or_default(),
            (None, Some(view)) => name(view),
            (None, None) => String::new(),
        }
    }

    fn kind(&self) -> &'static str {
        match self.given() {
            None => "COMMAND",
            Some(given) if crate::executors::is_custom(given) => "CUSTOM",
            Some(_) => "DEFAULT",
        }
    }

    fn role(&self) -> String {
        let given = self.given().map(|given| given.resources.as_slice()).unwrap_or_default();
        let allocated = given.iter().find_map(|it| it.allocation_info.as_ref()?.role.clone());
        let framework = || self.framework()?.roles.first().cloned();
        let first = self.first().map(tasks::role);
        allocated.or(first).or_else(framework).unwrap_or_else(|| "*".into())
    }

    /// What it and its tasks that have not ended take.
    pub(super) fn resources(&self) -> Resources {
        let own = self.given().and_then(|it| resources_from_wire(&it.resources).ok());
        let all_ended =
            self.custom.is_none() && self.tasks.iter().all(|(view, _)| tasks::has_ended(view));
        let counted = self.tasks.iter().filter(|(view, _)| all_ended || !tasks::has_ended(view));
        let taken =
            counted.filter_map(|(view, _)| resources_from_wire(&view.record.task.resources).ok());
        taken.fold(own.unwrap_or_default(), |all, one| all + one)
    }

    /// As the operator API has it.
    pub(super) fn info(&self) -> ExecutorInfo {
        if let Some(given) = self.given() {
            return given.clone();
        }
        let task = self.first().map(|view| &view.record.task);
        ExecutorInfo {
            executor_id: ExecutorId { value: self.id().to_owned() },
            framework_id: Some(FrameworkId { value: self.framework_id().to_owned() }),
            command: task.and_then(|task| task.command.clone()),
            resources: task.map(|task| task.resources.clone()).unwrap_or_default(),
            name: Some(self.name()),
            ..ExecutorInfo::default()
        }
    }

    /// As `/state` has it.
    pub(super) fn legacy(&self) -> Value {
        let (container, directory) = self.root();
        let (ended, living): (Vec<&View>, Vec<&View>) =
            self.tasks.iter().map(|(view, _)| *view).partition(|view| tasks::has_ended(view));
        let is_queued =
            |view: &&View| self.custom.is_some_and(|custom| custom.queued.contains(view.task_id()));
        let (queued, running): (Vec<&View>, Vec<&View>) = living.into_iter().partition(is_queued);
        let list = |views: Vec<&View>| views.into_iter().map(tasks::legacy).collect::<Vec<_>>();
        json!({
            "id": self.id(),
            "name": self.name(),
            "source": self.given().and_then(source).unwrap_or(self.id()),
            "container": container,
            "directory": directory,
            "resources": tasks::resources(&self.resources()),
            "role": self.role(),
            "type": self.kind(),
            "tasks": list(running),
            "queued_tasks": list(queued),
            "completed_tasks": list(ended),
        })
    }
}

#[expect(deprecated, reason = "clients read the old field still")]
fn source(given: &ExecutorInfo) -> Option<&str> {
    given.source.as_deref()
}

/// A command runs as if under an executor of its own name.
pub(super) fn name(view: &View) -> String {
    match &view.record.member {
        None => format!("Command Executor (Task: {})", view.task_id()),
        Some(member) => member.executor.name.clone().unwrap_or_default(),
    }
}
