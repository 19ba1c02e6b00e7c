//! Nodes with Karman on them, as an admin works with them: the installer and
//! the command line, in the network of the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::binaries;
use crate::room::{Room, Said, Shape, run, until};

/// For whatever needs a few round trips, with an unoptimised build on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// For agents to be given up and their tasks to be replaced.
pub(super) const REPLACED: Duration = Duration::from_secs(240);
const CONFIG: &str = "config.yaml";
/// The first user.
const USER: &str = "admin";

/// What every file on a node is, by its path.
pub(super) type Tree = BTreeMap<String, String>;

/// What machines change by themselves while they run.
const RESTLESS: [&str; 13] = [
    "/etc/.pwd.lock",
    // What the tools for accounts keep of the last time.
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/root/.cache",
    "/var/cache/ldconfig",
    "/var/lib/systemd",
    "/var/lib/dbus",
    "/var/log",
    "/var/tmp",
    "/var/lib/private",
    "/var/cache/private",
];

pub(super) struct Cluster {
    pub(super) room: Room,
    installer: PathBuf,
    /// Whose gateway is asked.
    pub(super) master: String,
}

impl Cluster {
    /// Nodes that are prepared, with nothing on them; `None` where this machine cannot.
    #[track_caller]
    pub(super) fn prepared(name: &str, shape: Shape) -> Option<Self> {
        let room = Room::up(name, shape)?;
        let installer = std::env::var_os("KARMAN_TEST_INSTALLER").expect("a packed installer");
        Some(Self { room, installer: installer.into(), master: "10.77.0.11".to_owned() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.room.program(&self.installer, arguments);
        command.args(["--config", CONFIG]);
        command
    }

    /// A command of the installer.
    #[track_caller]
    pub(super) fn installer(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    /// The same, while something else happens.
    #[track_caller]
    pub(super) fn start_installer(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the installer starts")
    }

    /// Logs in.
    #[track_caller]
    pub(super) fn log_in(&self) {
        let password = self.room.folder.join(".karman/password");
        let password = password.to_str().expect("a path");
        let url = format!("https://{}", self.master);
        let setup = ["cluster", "setup", &url, "--username", USER, "--password-file", password];
        run(&mut self.karman_command(&setup)).ok();
    }

    /// What a gateway gave to whoever logged in: it holds at all masters.
    fn token(&self) -> Option<String> {
        let clusters = self.room.home().join("karman/clusters");
        let cluster = std::fs::read_dir(clusters).ok()?.flatten().next()?;
        let settings = std::fs::read_to_string(cluster.path().join("dcos.toml")).ok()?;
        let line = settings.lines().find(|line| line.contains("acs_token"))?;
        line.split('"').nth(1).map(str::to_owned)
    }

    fn karman_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.room.program(&binaries::path("karman"), arguments);
        command.arg("--ca-certs").arg(self.room.folder.join(".karman/ca.pem"));
        command
    }

    /// A command of `karman`.
    #[track_caller]
    pub(super) fn karman(&self, arguments: &[&str]) -> Said {
        let mut command = self.karman_command(arguments);
        command.env("KARMAN_URL", format!("https://{}", self.master));
        command.env("KARMAN_TOKEN", self.token().expect("somebody logged in"));
        run(&mut command)
    }

    /// Adds an app, from JSON.
    #[track_caller]
    pub(super) fn add(&self, app: &Value) {
        let path = self.room.folder.join("app.json");
        std::fs::write(&path, app.to_string()).expect("the folder can be written");
        let path = path.to_str().expect("a path");
        self.karman(&["app", "add", path, "--wait", "--timeout", "2m"]).ok();
    }

    #[track_caller]
    pub(super) fn scale(&self, app: &str, instances: usize) {
        until(&format!("{app} can be scaled"), SOON, || {
            let said = self.karman(&["app", "scale", app, &instances.to_string(), "--force"]);
            if said.code == Some(0) { Ok(()) } else { Err(said) }
        });
        self.settled(app, instances, REPLACED);
    }

    /// Waits until so many instances run, and nothing else is under way.
    #[track_caller]
    pub(super) fn settled(&self, app: &str, instances: usize, limit: Duration) -> Vec<Task> {
        let mut tasks = Vec::new();
        until(&format!("{app} has {instances} instances"), limit, || {
            let said = self.karman(&["app", "show", app, "--json"]);
            if said.code != Some(0) {
                return Err(said.to_string());
            }
            let shown = said.json();
            let deploying = shown["deployments"].as_array().is_some_and(|it| !it.is_empty());
            tasks = Task::list(&shown);
            if !deploying && tasks.len() == instances { Ok(()) } else { Err(format!("{shown:#}")) }
        });
        tasks
    }

    /// Waits until the cluster finds itself well.
    #[track_caller]
    pub(super) fn well(&self) {
        until("the cluster is well", REPLACED, || {
            let said = self.installer(&["postflight"]);
            if said.code == Some(0) { Ok(()) } else { Err(said) }
        });
    }

    /// All files of a node, save what it changes by itself.
    #[track_caller]
    pub(super) fn tree(&self, node: &str) -> Tree {
        let list = "find / /var -xdev ! -type d ! -type f -printf '%p\\t%y %m %u %g %l\\n'; \
             find / /var -xdev -type d -printf '%p\\t%y %m %u %g\\n'; \
             find / /var -xdev -type f -printf '%p\\t%y %m %u %g\\n'";
        let mut tree = Tree::new();
        let said = self.room.ssh(node, list).ok();
        for line in said.out.lines() {
            let (path, what) = line.split_once('\t').expect("a path and what it is");
            tree.insert(path.to_owned(), what.to_owned());
        }
        // Below /usr are the files of packages: their size and time say enough.
        let usr = "find /usr -xdev -type f -printf '%s-%T@  %p\\n'";
        let sums = "find / /var -xdev -path /usr -prune -o -type f -print0 | xargs -0 sha256sum";
        let sums = &format!("{usr}; {sums}");
        for line in self.room.ssh(node, sums).ok().out.lines() {
            let (sum, path) = line.split_once("  ").expect("a sum and a path");
            tree.entry(path.to_owned()).or_default().push_str(&format!(" {sum}"));
        }
        tree.retain(|path, _| !RESTLESS.iter().any(|folder| path.starts_with(folder)));
        tree
    }
}

/// # Panics
/// When a tree is not what it was, with what differs.
#[track_caller]
pub(super) fn same(node: &str, before: &Tree, after: &Tree) {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differences: Vec<String> = paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| format!("{path}: {:?} became {:?}", before.get(path), after.get(path)))
        .collect();
    assert!(differences.is_empty(), "{node} is not as it was:\n{}", differences.join("\n"));
}

/// One running instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) port: u64,
}

impl Task {
    fn list(app: &Value) -> Vec<Self> {
        let tasks = app["tasks"].as_array().cloned().unwrap_or_default();
        let running = tasks.iter().filter(|task| task["state"] == "TASK_RUNNING");
        running
            .map(|task| Self {
                id: task["id"].as_str().unwrap_or_default().to_owned(),
                host: task["host"].as_str().unwrap_or_default().to_owned(),
                port: task["ports"][0].as_u64().unwrap_or_default(),
            })
            .collect()
    }
}
