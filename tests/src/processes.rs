//! The processes of this machine, as `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One living process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
}

/// All living processes that may be read.
pub fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read)
        .collect()
}

fn read(pid: i32) -> Option<Process> {
    let proc = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let words = |file: &str| -> Vec<String> {
        let bytes = std::fs::read(proc.join(file)).unwrap_or_default();
        bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    };
    let env = words("environ")
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let cwd = std::fs::read_link(proc.join("cwd")).unwrap_or_default();
    Some(Process { pid, parent, args: words("cmdline"), env, cwd })
}

/// The processes of tasks with this variable in their environment, by task id.
pub fn of_tasks(name: &str, value: &str) -> BTreeMap<String, BTreeSet<i32>> {
    let mut tasks: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for process in all() {
        // A shim that is about to run the task may have its environment already.
        let is_task =
            process.env.get(name).is_some_and(|found| found == value) && !is_shim(&process);
        if let (true, Some(task)) = (is_task, process.env.get("MESOS_TASK_ID")) {
            tasks.entry(task.clone()).or_default().insert(process.pid);
        }
    }
    tasks
}

/// What runs on a data folder: shims and all below them, and whatever works in
/// a sandbox.
pub fn of_folder(folder: &Path) -> Vec<Process> {
    let all = all();
    let mut inside: BTreeSet<i32> = all
        .iter()
        .filter(|process| {
            process.cwd.starts_with(folder) || (is_shim(process) && runs_in(process, folder))
        })
        .map(|process| process.pid)
        .collect();
    loop {
        let before = inside.len();
        inside.extend(
            all.iter()
                .filter(|process| inside.contains(&process.parent))
                .map(|process| process.pid)
                .collect::<Vec<_>>(),
        );
        if inside.len() == before {
            break;
        }
    }
    all.into_iter().filter(|process| inside.contains(&process.pid)).collect()
}

fn is_shim(process: &Process) -> bool {
    process.args.get(1).is_some_and(|arg| arg == "shim")
}

fn runs_in(process: &Process, folder: &Path) -> bool {
    process.args.get(2).is_some_and(|dir| Path::new(dir).starts_with(folder))
}

/// Sends SIGKILL.
pub fn kill_9(pid: i32) {
    // One that is gone already is what is wanted.
    let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Kills all that runs on a data folder: tasks first, because their shims then
/// clean up and end by themselves.
pub fn kill_folder(folder: &Path) {
    for round in 0..200 {
        let left = of_folder(folder);
        if left.is_empty() {
            return;
        }
        for process in left.iter().filter(|process| round >= 100 || !is_shim(process)) {
            kill_9(process.pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
