//! The tasks of a framework, with what they use and how many are in which state.
#![deny(clippy::disallowed_methods)]

use std::borrow::Borrow;
use std::ops::Index;
use std::sync::Arc;

use karman_api::mesos::v1::TaskState;
use karman_model::id::TaskId;
use karman_model::resource::{Resources, Tally};
use karman_model::shared_map::SharedMap;

use super::Task;

/// One more than the largest number of a state.
const STATES: usize = 14;

/// How many tasks are in which state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States([usize; STATES]);

impl States {
    pub fn count(&self, state: TaskState) -> usize {
        usize::try_from(i32::from(state)).ok().and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }

    pub fn add(&mut self, state: TaskState) {
        if let Some(count) = self.slot(state) {
            *count += 1;
        }
    }

    fn remove(&mut self, state: TaskState) {
        if let Some(count) = self.slot(state) {
            *count = count.saturating_sub(1);
        }
    }

    fn slot(&mut self, state: TaskState) -> Option<&mut usize> {
        self.0.get_mut(usize::try_from(i32::from(state)).ok()?)
    }
}

/// Tasks by id; their sums are kept up to date with every change.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    by_id: SharedMap<TaskId, Arc<Task>>,
    states: States,
    used: Tally,
}

impl Tasks {
    pub const fn len(&self) -> usize {
        self.by_id.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn get<Q: Ord + ?Sized>(&self, id: &Q) -> Option<&Arc<Task>>
    where
        TaskId: Borrow<Q>,
    {
        self.by_id.get(id)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, id: &Q) -> bool
    where
        TaskId: Borrow<Q>,
    {
        self.by_id.contains_key(id)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TaskId, &Arc<Task>)> {
        self.by_id.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &TaskId> {
        self.by_id.keys()
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.by_id.values()
    }

    /// How many are in which state.
    pub const fn states(&self) -> &States {
        &self.states
    }

    /// What those that are not terminal hold; the same ports of two agents are
    /// one in the sum.
    pub fn used(&self) -> Resources {
        self.used.total()
    }

    /// Changes the task, and the sums with it; `None` if it is not here.
    pub fn change<Q: Ord + ?Sized, R>(
        &mut self,
        id: &Q,
        change: impl FnOnce(&mut Task) -> R,
    ) -> Option<R>
    where
        TaskId: Borrow<Q>,
    {
        let task = Arc::make_mut(self.by_id.get_mut(id)?);
        task.shown.forget();
        let before = task.state;
        let result = change(task);
        if before != task.state {
            self.states.remove(before);
            self.states.add(task.state);
            match (super::is_terminal(before), task.is_terminal()) {
                (false, true) => self.used.subtract(&task.resources),
                (true, false) => self.used.add(&task.resources),
                (false, false) | (true, true) => {}
            }
        }
        Some(result)
    }

    pub fn insert(&mut self, task: Arc<Task>) {
        self.count(&task);
        if let Some(old) = self.by_id.insert(task.id.clone(), task) {
            self.discount(&old);
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, id: &Q) -> Option<Arc<Task>>
    where
        TaskId: Borrow<Q>,
    {
        if self.by_id.is_empty() {
            return None;
        }
        let task = self.by_id.remove(id)?;
        self.discount(&task);
        Some(task)
    }

    fn count(&mut self, task: &Task) {
        self.states.add(task.state);
        if !task.is_terminal() {
            self.used.add(&task.resources);
        }
    }

    fn discount(&mut self, task: &Task) {
        self.states.remove(task.state);
        if !task.is_terminal() {
            self.used.subtract(&task.resources);
        }
    }

    /// Panics if a sum is wrong.
    pub(super) fn check(&self) {
        let mut fresh = Self::default();
        self.values().for_each(|task| fresh.insert(Arc::clone(task)));
        assert_eq!(self.states, fresh.states, "tasks are counted by state");
        assert_eq!(self.used(), fresh.used(), "the use of tasks adds up");
    }
}

impl<Q: Ord + ?Sized> Index<&Q> for Tasks
where
    TaskId: Borrow<Q>,
{
    type Output = Arc<Task>;

    fn index(&self, id: &Q) -> &Arc<Task> {
        &self.by_id[id]
    }
}

/// Tasks that are over, the oldest first; so many are remembered.
#[derive(Clone, Debug, Default)]
pub struct Completed {
    tasks: SharedMap<u64, Arc<Task>>,
    made: u64,
}

impl Completed {
    pub const fn len(&self) -> usize {
        self.tasks.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> {
        self.tasks.iter().map(|(_, task)| task)
    }

    /// The oldest make room.
    pub fn push(&mut self, task: Arc<Task>, max: usize) {
        self.tasks.insert(self.made, task);
        self.made += 1;
        while self.tasks.len() > max {
            self.tasks.pop_first();
        }
    }
}

impl<'a> IntoIterator for &'a Completed {
    type Item = &'a Arc<Task>;
    type IntoIter = Box<dyn Iterator<Item = &'a Arc<Task>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}
