//! Programs of mesos-go, unchanged: the Go client, which speaks protobuf.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::datacenter::Datacenter;
use crate::requirement;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What `msh` ends with when its task does not end well.
const TASK_FAILED: i32 = 3;

/// Runs a command as a task: `msh` subscribes, takes an offer, and ends with its
/// task.
async fn msh(msh: &Path, dc: &Datacenter, options: &[&str], command: &[&str]) -> (i32, String) {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    let master = dc.ready.master.trim_start_matches("http://");
    let run = Command::new(msh)
        .args(["-master", master, "-user", &user])
        .args(options)
        .arg("--")
        .args(command)
        .kill_on_drop(true)
        .output();
    let output: Output =
        tokio::time::timeout(LIMIT, run).await.expect("msh ends with its task").expect("msh runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[tokio::test]
async fn msh_runs_commands_in_protobuf() {
    let Some(program) = requirement::mesos_go("msh") else { return };
    let dc = Datacenter::start().await;
    let mark = dc.file("mark");
    let text = mark.display().to_string();
    let (code, log) =
        msh(&program, &dc, &[], &["sh", "-c", &format!("echo it ran > {text}")]).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(std::fs::read_to_string(&mark).expect("the task wrote a file"), "it ran\n");
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        assert!(log.contains(state), "{state} is missing:\n{log}");
    }

    let (code, log) = msh(&program, &dc, &[], &["sh", "-c", "exit 7"]).await;
    assert_eq!(code, TASK_FAILED, "{log}");
    assert!(log.contains("TASK_FAILED") && log.contains("status 7"), "{log}");

    let (code, log) = msh(&program, &dc, &["-cpus", "0.5", "-memory", "64"], &["true"]).await;
    assert_eq!(code, 0, "{log}");
}

#[tokio::test]
async fn msh_runs_commands_in_pods() {
    let Some(program) = requirement::mesos_go("msh") else { return };
    let dc = Datacenter::start().await;
    let mark = dc.file("mark");
    let write = format!("echo it ran > {}", mark.display());
    let (code, log) = msh(&program, &dc, &["-pod"], &["sh", "-c", &write]).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(std::fs::read_to_string(&mark).expect("the task wrote a file"), "it ran\n");
    for state in ["TASK_RUNNING", "TASK_FINISHED"] {
        assert!(log.contains(state), "{state} is missing:\n{log}");
    }

    let (code, log) = msh(&program, &dc, &["-pod"], &["sh", "-c", "exit 7"]).await;
    assert_eq!(code, TASK_FAILED, "{log}");
    assert!(log.contains("TASK_FAILED") && log.contains("status 7"), "{log}");
}

/// Reads on until there was a line with each of these, in this order.
async fn shown(lines: &mut Lines<BufReader<ChildStdout>>, parts: &[&str]) {
    let mut before = String::new();
    for part in parts {
        loop {
            let line = tokio::time::timeout(LIMIT, lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{part} is missing after:\n{before}"));
            let Some(line) = line.expect("mwatch writes text") else {
                panic!("mwatch ended before {part}, after:\n{before}")
            };
            before.push_str(&line);
            before.push('\n');
            if line.contains(part) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn mwatch_sees_what_msh_does() {
    let (Some(mwatch), Some(program)) =
        (requirement::mesos_go("mwatch"), requirement::mesos_go("msh"))
    else {
        return;
    };
    let dc = Datacenter::start().await;
    let (host, port) =
        dc.ready.master.trim_start_matches("http://").split_once(':').expect("host and port");
    let mut watching = Command::new(mwatch)
        .args(["-master", host, "-port", port])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("mwatch runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    shown(&mut lines, &["SUBSCRIBED"]).await;
    let (code, log) = msh(&program, &dc, &["-framework_name", "watched"], &["true"]).await;
    assert_eq!(code, 0, "{log}");
    let events =
        ["FRAMEWORK_ADDED", "TASK_ADDED", "TASK_RUNNING", "TASK_FINISHED", "FRAMEWORK_REMOVED"];
    shown(&mut lines, &events).await;
}
