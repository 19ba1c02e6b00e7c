//! The shim by itself.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use karman_agent::cgroup::{Hierarchy, Limits};
use karman_agent::lifecycle::StopCause;
use karman_agent::shim::records::{Cause, Claim, Exit, Kill, Launch, RunDir, Running, Stored};
use karman_container::Spec;
use karman_container::spec::{Process, User};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::support::{eventually, runs, shim};

/// A run folder with a sandbox beside it.
pub(crate) struct Run {
    pub(crate) folder: TempDir,
    pub(crate) dir: RunDir,
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    Some(serde_json::from_slice::<Stored<T>>(&bytes).unwrap().newest())
}

impl Run {
    pub(crate) fn new(command: &str) -> Self {
        Self::with(command, |_| {})
    }

    pub(crate) fn with(command: &str, change: impl FnOnce(&mut Launch)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::new(folder.path().join("run"));
        let sandbox = folder.path().join("sandbox");
        fs::create_dir(dir.path()).unwrap();
        fs::create_dir(&sandbox).unwrap();
        let process = Process {
            program: "/bin/sh".into(),
            arguments: vec!["sh".into(), "-c".into(), command.into()],
            environment: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("GREETING".into(), "hello".into()),
            ],
            directory: sandbox.clone(),
            terminal: None,
        };
        let mut launch = Launch {
            spec: Spec::plain(process),
            sandbox,
            grace_ms: 100,
            completion_ms_max: None,
            attach: None,
        };
        change(&mut launch);
        fs::write(dir.launch(), serde_json::to_vec(&Stored::V1(launch)).unwrap()).unwrap();
        Self { folder, dir }
    }

    pub(crate) fn start(&self) -> Child {
        Command::new(shim())
            .arg("shim")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// To its end.
    pub(crate) fn run(&self) -> Exit {
        let output = self.start().wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        read(&self.dir.exit()).unwrap()
    }

    pub(crate) fn running(&self) -> Running {
        eventually(|| read(&self.dir.running()).ok_or("not running"))
    }

    pub(crate) fn kill(&self, grace_ms: u64) {
        fs::write(
            self.dir.kill(),
            serde_json::to_vec(&Stored::V1(Kill {
                grace_ms,
                cause: StopCause::Asked,
                quiet: false,
            }))
            .unwrap(),
        )
        .unwrap();
        let claim: Claim = read(&self.dir.claim()).unwrap();
        assert!(Command::new("kill").arg(claim.shim.pid.to_string()).status().unwrap().success());
    }

    pub(crate) fn output(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("sandbox").join(name)).unwrap()
    }
}

#[test]
fn output_environment_folder_and_status_are_the_commands() {
    let run = Run::new("echo $GREETING; pwd; echo oops >&2; exit 7");
    assert_eq!(run.run().cause, Cause::Status(7));
    let sandbox = run.folder.path().join("sandbox").canonicalize().unwrap();
    assert_eq!(run.output("stdout"), format!("hello\n{}\n", sandbox.display()));
    assert_eq!(run.output("stderr"), "oops\n");
}

#[test]
fn a_signal_is_told_from_a_status() {
    assert_eq!(Run::new("kill -SEGV $$").run().cause, Cause::Signal(11));
}

#[test]
fn what_cannot_be_executed_is_named() {
    let program = |launch: &mut Launch| {
        launch.spec.process.program = "no-such-program".into();
        launch.spec.process.arguments = vec!["no-such-program".into()];
    };
    let Cause::NotStarted(reason) = Run::with("", program).run().cause else {
        panic!("it started")
    };
    assert_eq!(reason, "cannot execute 'no-such-program': No such file or directory (os error 2)");
    let nobody = |launch: &mut Launch| launch.spec.user = User::Named("no-such-user".into());
    let Cause::NotStarted(reason) = Run::with("true", nobody).run().cause else {
        panic!("it started")
    };
    assert_eq!(reason, "no user 'no-such-user' on this machine");
}

#[test]
fn a_kill_waits_for_the_grace_period_and_no_longer() {
    // Not for the shell that runs the test's own folder away: each in its own.
    let run = Run::new("trap 'echo asked; exit 3' TERM; while :; do sleep 0.05; done");
    let mut shim = run.start();
    run.running();
    eventually(|| if runs(run.running().task.pid) { Ok(()) } else { Err("not running") });
    run.kill(60_000);
    shim.wait().unwrap();
    let exit: Exit = read(&run.dir.exit()).unwrap();
    // The trap may not have been set yet.
    assert!(matches!(exit.cause, Cause::Status(3) | Cause::Signal(15)), "{exit:?}");

    let run = Run::new("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let mut shim = run.start();
    run.running();
    eventually(|| if run.output("stdout") == "ready\n" { Ok(()) } else { Err("not ready") });
    run.kill(60_000);
    // A shorter one shortens.
    run.kill(1);
    shim.wait().unwrap();
    let exit: Exit = read(&run.dir.exit()).unwrap();
    assert_eq!(exit.cause, Cause::Signal(9));
}

#[test]
fn a_kill_from_before_the_start_prevents_it() {
    let run = Run::new("echo started");
    fs::write(
        run.dir.kill(),
        serde_json::to_vec(&Stored::V1(Kill {
            grace_ms: 0,
            cause: StopCause::Asked,
            quiet: false,
        }))
        .unwrap(),
    )
    .unwrap();
    assert_eq!(run.run().cause, Cause::NeverStarted);
}

#[test]
fn nothing_that_the_task_started_is_left() {
    let run = Run::new(
        "setsid sh -c 'setsid sleep 1000 & echo $! > deep; sleep 1000' & while [ ! -s deep ]; do sleep 0.01; done",
    );
    assert_eq!(run.run().cause, Cause::Status(0));
    let left: u32 = run.output("deep").trim().parse().unwrap();
    assert!(!runs(left));
}

#[test]
fn a_task_that_takes_too_long_is_ended() {
    let limit = |launch: &mut Launch| launch.completion_ms_max = Some(50);
    let exit = Run::with("sleep 1000", limit).run();
    assert!(exit.out_of_time);
    assert_eq!(exit.cause, Cause::Signal(15));
}

#[test]
fn of_two_shims_one_runs_the_task() {
    let run = Run::new("echo once");
    let shims = [run.start(), run.start()];
    let ended: Vec<bool> =
        shims.into_iter().map(|shim| shim.wait_with_output().unwrap().status.success()).collect();
    assert_eq!(ended.iter().filter(|success| **success).count(), 1, "{ended:?}");
    assert_eq!(run.output("stdout"), "once\n");
}

#[test]
fn the_shim_is_small_and_holds_nothing_of_its_parent() {
    let run = Run::new("sleep 1000");
    let mut shim = run.start();
    run.running();
    // Its output is let go of once the command runs.
    let link = |fd: &str| fs::read_link(format!("/proc/{}/fd/{fd}", shim.id())).unwrap();
    eventually(|| if link("1") == Path::new("/dev/null") { Ok(()) } else { Err(link("1")) });
    assert_eq!(link("0"), Path::new("/dev/null"));
    let status = fs::read_to_string(format!("/proc/{}/status", shim.id())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u64 = anonymous.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kib < 1024, "{kib} KiB");
    run.kill(0);
    shim.wait().unwrap();
}

#[test]
fn the_command_starts_with_a_clean_slate() {
    let run = Run::new("grep SigBlk /proc/self/status; ls /proc/self/fd; cat /proc/$$/stat");
    assert_eq!(run.run().cause, Cause::Status(0));
    let out = run.output("stdout");
    assert!(out.starts_with("SigBlk:\t0000000000000000\n"), "{out}");
    // Input, output, errors, and the folder that ls itself reads.
    assert_eq!(out.lines().filter(|line| line.parse::<u32>().is_ok()).count(), 4, "{out}");
    // The leader of its own group and session.
    let stat: Vec<&str> =
        out.lines().last().unwrap().rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(stat[2], stat[3]);
}

#[test]
fn another_user_owns_what_it_writes() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let nobody = |launch: &mut Launch| {
        launch.spec.user = User::Named("nobody".into());
    };
    let run = Run::with("id -un; echo again >> /dev/stdout", nobody);
    // As an agent does.
    let public = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(run.folder.path(), public).unwrap();
    assert_eq!(run.run().cause, Cause::Status(0), "{}", run.output("stderr"));
    assert_eq!(run.output("stdout"), "nobody\nagain\n");
}

/// Where this process may make control groups.
pub(crate) fn hierarchy() -> Option<Hierarchy> {
    Hierarchy::usable("karman-test-probe").ok()
}

#[test]
fn limits_hold_and_leave_nothing_behind() {
    let Some(hierarchy) = hierarchy() else { return };
    let group = hierarchy.group("karman-test-limits", "one");
    let limited = |launch: &mut Launch| {
        launch.spec.group = Some(group.clone());
        launch.spec.limits = Some(Limits {
            cpu_shares: 512,
            cpu_quota_us: Some(50_000),
            memory_bytes: Some(64 << 20),
            memory_soft_bytes: Some(64 << 20),
            ..Limits::default()
        });
    };
    let run = Run::with("cat /proc/self/cgroup; cat /proc/self/oom_score_adj", limited);
    let exit = run.run();
    assert_eq!(exit.cause, Cause::Status(0));
    assert!(exit.memory_peak_bytes.is_some());
    let out = run.output("stdout");
    assert!(out.contains("/karman/karman-test-limits/one"), "{out}");
    assert!(out.ends_with("\n0\n"), "{out}");
    let agent = group.memory.parent().unwrap();
    assert!(!agent.exists(), "{} is left", agent.display());
}

#[test]
fn lack_of_memory_is_told_even_if_a_part_dies_of_it() {
    let Some(hierarchy) = hierarchy() else { return };
    let group = hierarchy.group("karman-test-memory", "one");
    let limited = |launch: &mut Launch| {
        launch.spec.group = Some(group.clone());
        launch.spec.limits =
            Some(Limits { cpu_shares: 1024, memory_bytes: Some(32 << 20), ..Limits::default() });
    };
    // The child takes more than there is; its parent would go on for ever.
    let run = Run::with("head -c 200000000 /dev/zero | tail; sleep 1000", limited);
    let exit = run.run();
    assert!(exit.out_of_memory, "{exit:?}");
    assert!(exit.memory_peak_bytes.is_some_and(|peak| peak > 30 << 20), "{exit:?}");
    assert!(!group.memory.exists());
}
