//! Tasks as the master knows them, and the files of their sandboxes. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{integer, list, number as number_at, text};
use super::{bytes, or_dash, table, time};

/// Which tasks a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Active,
    Completed,
    All,
}

/// The tasks in a master's state, newest first.
pub fn all(state: &Value, which: Which) -> Vec<Value> {
    let mut tasks = Vec::new();
    for frameworks in ["/frameworks", "/completed_frameworks"] {
        for framework in list(state, frameworks) {
            for member in ["/tasks", "/unreachable_tasks", "/completed_tasks"] {
                let completed =
                    member == "/completed_tasks" || frameworks == "/completed_frameworks";
                let wanted = match which {
                    Which::Active => !completed,
                    Which::Completed => completed,
                    Which::All => true,
                };
                if wanted {
                    tasks.extend_from_slice(list(framework, member));
                }
            }
        }
    }
    tasks.sort_by(|a, b| {
        started(b).total_cmp(&started(a)).then_with(|| text(a, "/id").cmp(text(b, "/id")))
    });
    tasks
}

/// The tasks that a word means: an id, else a name, else a part of either. A
/// `*` stands for anything.
pub fn matching(tasks: Vec<Value>, filter: &str) -> Vec<Value> {
    let by = |test: &dyn Fn(&str, &str) -> bool| -> Vec<Value> {
        tasks.iter().filter(|task| test(text(task, "/id"), text(task, "/name"))).cloned().collect()
    };
    if filter.contains('*') {
        return by(&|id, name| glob(filter, id) || glob(filter, name));
    }
    let exact = by(&|id, _| id == filter);
    if !exact.is_empty() {
        return exact;
    }
    let named = by(&|_, name| name == filter);
    if !named.is_empty() {
        return named;
    }
    by(&|id, name| id.contains(filter) || name.contains(filter))
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// The moment of the first status, in seconds since 1970.
fn started(task: &Value) -> f64 {
    list(task, "/statuses")
        .first()
        .map(|status| number_at(status, "/timestamp"))
        .unwrap_or_default()
}

/// Whether a task has ended for good.
pub fn ended(task: &Value) -> bool {
    !matches!(
        text(task, "/state"),
        "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
    )
}

/// Where in the datacenter the sandbox of a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub task: String,
    pub agent: String,
    pub framework: String,
    pub executor: String,
    pub container: Option<String>,
}

/// Where a task's sandbox is. An empty executor id means a command task, whose
/// executor is named like the task.
pub fn place(task: &Value) -> Place {
    let id = text(task, "/id").to_owned();
    let executor = text(task, "/executor_id");
    let container = list(task, "/statuses").iter().rev().find_map(|status| {
        let base = "/container_status/container_id";
        [format!("{base}/parent/value"), format!("{base}/value")]
            .iter()
            .map(|pointer| text(status, pointer))
            .find(|container| !container.is_empty())
            .map(str::to_owned)
    });
    Place {
        executor: if executor.is_empty() { id.clone() } else { executor.to_owned() },
        task: id,
        agent: text(task, "/slave_id").to_owned(),
        framework: text(task, "/framework_id").to_owned(),
        container,
    }
}

/// The virtual path of a sandbox among the paths that an agent has attached.
pub fn sandbox<'a>(attached: &'a Value, place: &Place) -> Option<&'a str> {
    let Value::Object(paths) = attached else { return None };
    let runs = format!("/frameworks/{}/executors/{}/runs/", place.framework, place.executor);
    let candidates: Vec<&str> =
        paths.keys().map(String::as_str).filter(|path| path.contains(&runs)).collect();
    let wanted = place.container.as_deref().unwrap_or("latest");
    let ends = |suffix: &str| {
        candidates
            .iter()
            .copied()
            .find(|path| path.strip_suffix(suffix).is_some_and(|rest| rest.ends_with(&runs)))
    };
    ends(wanted).or_else(|| ends("latest")).or_else(|| candidates.first().copied())
}

/// One line per task of a master's state.
pub fn table_of(tasks: &[Value], state: &Value, now_ms: i64) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let hosts = by_id(list(state, "/slaves"), "/hostname");
    let mut users = by_id(list(state, "/completed_frameworks"), "/user");
    users.extend(by_id(list(state, "/frameworks"), "/user"));
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            let moment = time::from_seconds(started(task));
            let look = |map: &BTreeMap<&str, &str>, id: &str| {
                map.get(text(task, id)).copied().unwrap_or_default().to_owned()
            };
            let user = match text(task, "/user") {
                "" => look(&users, "/framework_id"),
                user => user.to_owned(),
            };
            vec![
                text(task, "/name").to_owned(),
                or_dash(look(&hosts, "/slave_id")),
                or_dash(user),
                text(task, "/state").to_owned(),
                if started(task) > 0.0 { time::ago(now_ms, &moment) } else { "-".to_owned() },
                text(task, "/id").to_owned(),
            ]
        })
        .collect();
    table(&["NAME", "HOST", "USER", "STATE", "SINCE", "ID"], &rows)
}

fn by_id<'a>(documents: &'a [Value], member: &str) -> BTreeMap<&'a str, &'a str> {
    documents.iter().map(|document| (text(document, "/id"), text(document, member))).collect()
}

/// A file of a sandbox: its path below it, and whether it is a folder.
pub fn name<'a>(file: &'a Value, folder: &str) -> &'a str {
    let path = text(file, "/path");
    path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/')
}

pub fn is_folder(file: &Value) -> bool {
    text(file, "/mode").starts_with('d')
}

/// The names in a folder, or with `long` a line of facts for each.
pub fn files(files: &[Value], folder: &str, long: bool) -> String {
    if !long {
        return files
            .iter()
            .map(|file| {
                format!("{}{}\n", name(file, folder), if is_folder(file) { "/" } else { "" })
            })
            .collect();
    }
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            vec![
                text(file, "/mode").to_owned(),
                text(file, "/uid").to_owned(),
                text(file, "/gid").to_owned(),
                bytes(integer(file, "/size")),
                time::from_seconds(number_at(file, "/mtime")),
                name(file, folder).to_owned(),
            ]
        })
        .collect();
    table(&["MODE", "USER", "GROUP", "SIZE", "CHANGED", "NAME"], &rows)
}
