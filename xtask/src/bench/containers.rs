//! Containers by our shim, by crun and by runc: the same image, namespaces,
//! limits and command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::tree;

const MEMORY_BYTES: u64 = 128 << 20;
const PIDS: u64 = 100;
const SHARES: u64 = 512;
const QUOTA_US: u64 = 50_000;
const PERIOD_US: u64 = 100_000;
const GROUP: &str = "karman/bench";
const START_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// What containers may do in all three.
const RIGHTS: [&str; 3] = ["KILL", "NET_BIND_SERVICE", "AUDIT_WRITE"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Karman,
    Crun,
    Runc,
}

impl Runtime {
    pub(crate) const ALL: [Self; 3] = [Self::Karman, Self::Crun, Self::Runc];
}

/// A folder with an image, and all that runs of it.
pub(crate) struct Bench {
    shim: PathBuf,
    folder: PathBuf,
}

impl Bench {
    pub(crate) fn new(shim: &Path) -> Result<Self> {
        own_mounts().context("cannot have mounts of this thread's own; run as root")?;
        let folder = tree::target().join("bench-containers");
        let _absent = fs::remove_dir_all(&folder);
        let bin = folder.join("layer/bin");
        fs::create_dir_all(&bin)?;
        for name in ["proc", "sys", "dev"] {
            fs::create_dir_all(folder.join("layer").join(name))?;
        }
        let busybox = Path::new("/bin/busybox");
        fs::copy(busybox, bin.join("busybox")).context("cannot copy busybox")?;
        for name in ["true", "sleep"] {
            std::os::unix::fs::symlink("busybox", bin.join(name))?;
        }
        Ok(Self { shim: shim.to_owned(), folder })
    }

    /// How long it takes from the command to its end, with everything cleaned up.
    pub(crate) fn run(&self, runtime: Runtime, round: u32) -> Result<Duration> {
        let id = format!("karman-bench-{round}");
        match runtime {
            Runtime::Karman => self.ours(&id),
            Runtime::Crun => self.other("crun", &id),
            Runtime::Runc => self.other("runc", &id),
        }
    }

    fn ours(&self, id: &str) -> Result<Duration> {
        let run = self.run_folder(id, &["/bin/true"])?;
        let started = Instant::now();
        let mut shim = self.start(&run)?;
        let status = shim.wait().context("cannot wait for a shim")?;
        let took = started.elapsed();
        let exit = fs::read_to_string(run.join("exit.json")).unwrap_or_default();
        ensure!(status.success() && exit.contains(r#""cause":{"status":0}"#), "it ended: {exit}");
        fs::remove_dir_all(self.folder.join("runs").join(id))?;
        Ok(took)
    }

    fn start(&self, run: &Path) -> Result<Child> {
        let mut command = Command::new(&self.shim);
        command.arg("shim").arg(run).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("cannot start {}", self.shim.display()))
    }

    /// What an agent leaves for a shim.
    fn run_folder(&self, id: &str, command: &[&str]) -> Result<PathBuf> {
        let base = self.folder.join("runs").join(id);
        let [run, sandbox, upper, work] =
            ["run", "sandbox", "upper", "work"].map(|name| base.join(name));
        for folder in [&run, &sandbox, &upper, &work] {
            fs::create_dir_all(folder)?;
        }
        let spec = json!({
            "process": {
                "program": command.first(), "arguments": command,
                "environment": [["PATH", "/bin"]], "directory": "/", "terminal": null,
            },
            "user": "own",
            "root": { "image": {
                "lower": [self.folder.join("layer")], "upper": upper, "work": work, "read_only": false,
            } },
            "mounts": [], "hidden": [],
            "namespaces": {
                "mount": "own", "pid": "own", "ipc": "own", "uts": "own", "cgroup": "own", "network": "own",
            },
            "hostname": null,
            "capabilities": { "set": { "effective": null, "bounding": RIGHTS } },
            "seccomp": "default", "no_new_privileges": false, "kernel_masked": true,
            "rlimits": [], "devices": { "only": [] },
            "group": group(id),
            "limits": {
                "cpu_shares": SHARES, "cpu_quota_us": QUOTA_US,
                "memory_bytes": MEMORY_BYTES, "memory_soft_bytes": null, "pids": PIDS,
            },
        });
        let launch = json!({
            "version": "V1", "spec": spec, "sandbox": sandbox, "grace_ms": 0, "completion_ms_max": null,
        });
        fs::write(run.join("launch.json"), launch.to_string())?;
        Ok(run)
    }

    fn other(&self, program: &str, id: &str) -> Result<Duration> {
        let bundle = self.folder.join("bundle");
        fs::create_dir_all(&bundle)?;
        fs::write(bundle.join("config.json"), self.bundle(id).to_string())?;
        let mut command = Command::new(program);
        command.arg("--root").arg(self.folder.join(program)).args(["run", "--bundle"]);
        command.arg(&bundle).arg(id).stdin(Stdio::null());
        let started = Instant::now();
        let output = command.output().with_context(|| format!("cannot run {program}"))?;
        let took = started.elapsed();
        if !output.status.success() {
            bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(took)
    }

    fn bundle(&self, id: &str) -> Value {
        let rights: Vec<String> = RIGHTS.iter().map(|name| format!("CAP_{name}")).collect();
        let namespaces = ["pid", "network", "ipc", "uts", "mount"];
        let namespaces = namespaces.map(|kind| json!({ "type": kind }));
        let flags = ["nosuid", "noexec", "nodev"];
        let point = |at: &str, kind: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": kind, "options": options });
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": ["/bin/true"],
                "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": false,
                "capabilities": { "bounding": rights, "effective": rights, "permitted": rights },
            },
            "root": { "path": self.folder.join("layer"), "readonly": false },
            "mounts": [
                point("/proc", "proc", &flags),
                point("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                point("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
                point("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                point("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            ],
            "linux": {
                "cgroupsPath": format!("/{GROUP}/{id}"),
                "namespaces": namespaces,
                "resources": {
                    "memory": { "limit": MEMORY_BYTES }, "pids": { "limit": PIDS },
                    "cpu": { "shares": SHARES, "quota": QUOTA_US, "period": PERIOD_US },
                    "devices": [{ "allow": false, "access": "rwm" }],
                },
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }

    /// What a container takes beside its own processes: the memory of its shim and
    /// of its first process, which share most of it, and their part of what all
    /// shims share. The mean of some that sleep.
    pub(crate) fn memory_mib(&self, number: u32) -> Result<f64> {
        let mut running = Vec::new();
        for index in 0..number {
            let id = format!("rest-{index}");
            let run = self.run_folder(&id, &["/bin/sleep", "600"])?;
            running.push((self.start(&run)?, run, id));
        }
        let kib = |(shim, run, _): &(Child, PathBuf, String)| -> Result<f64> {
            let first = first_process(run)?;
            Ok(proportional_kib(shim.id())? + proportional_kib(first)?)
        };
        let sum = running.iter().map(kib).sum::<Result<f64>>();
        for (mut shim, run, id) in running {
            self.stop(&mut shim, &run)?;
            fs::remove_dir_all(self.folder.join("runs").join(id))?;
        }
        Ok(sum? / f64::from(number) / 1024.0)
    }

    fn stop(&self, shim: &mut Child, run: &Path) -> Result<()> {
        fs::write(run.join("kill.json"), r#"{"version":"V1","grace_ms":0}"#)?;
        let number = nix::unistd::Pid::from_raw(i32::try_from(shim.id())?);
        nix::sys::signal::kill(number, nix::sys::signal::Signal::SIGTERM)?;
        shim.wait().context("cannot wait for a shim")?;
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is left says why, if it cannot be removed.
        drop(fs::remove_dir_all(&self.folder));
        for name in ["cpu", "cpuacct", "memory", "pids", "devices", ""] {
            drop(fs::remove_dir(Path::new("/sys/fs/cgroup").join(name).join(GROUP)));
        }
    }
}

fn own_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    let second = Path::new("/sys/fs/cgroup/unified");
    if second.join("cgroup.controllers").exists() {
        umount2(second, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

/// As the agent finds them on this machine.
fn group(id: &str) -> Value {
    let root = Path::new("/sys/fs/cgroup");
    let unified = root.join("cgroup.controllers").exists();
    let folder = |name: &str| {
        let above = if unified { root.to_owned() } else { root.join(name) };
        above.exists().then(|| above.join(GROUP).join(id))
    };
    json!({
        "unified": unified, "cpu": folder("cpu"), "cpuacct": folder("cpuacct"),
        "memory": folder("memory"), "pids": folder("pids"), "devices": folder("devices"),
    })
}

/// The number of the first process, once the command runs.
fn first_process(run: &Path) -> Result<u32> {
    let give_up = Instant::now() + START_LIMIT;
    loop {
        let record = fs::read(run.join("pid")).unwrap_or_default();
        let record: Value = serde_json::from_slice(&record).unwrap_or_default();
        if let Some(number) = record["init"]["pid"].as_u64() {
            return Ok(u32::try_from(number)?);
        }
        ensure!(Instant::now() < give_up, "a container was not started");
        thread::sleep(PAUSE);
    }
}

/// A page that several have counts in parts.
fn proportional_kib(number: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{number}/smaps_rollup"))
        .context("cannot look at a shim's memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("the kernel tells no proportional memory")
}
