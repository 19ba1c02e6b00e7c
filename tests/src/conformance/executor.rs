//! An executor in Python, with the client library of the original, on a real
//! datacenter.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::binaries;
use crate::datacenter::Datacenter;
use crate::eventually::eventually;
use crate::requirement;

/// How long one answer may take: the library pauses for up to fifteen seconds
/// before it comes back.
const LIMIT: Duration = Duration::from_secs(60);

/// The framework, which does what it is told.
struct Framework {
    _child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    heard: Vec<String>,
}

impl Framework {
    fn start(python: &Path, dc: &Datacenter) -> Self {
        let scripts = binaries::root().join("tests/python");
        let executor =
            format!("{} {}", python.display(), scripts.join("pymesos_executor.py").display());
        let mut child = Command::new(python)
            .arg("-u")
            .arg(scripts.join("pymesos_framework.py"))
            .args([dc.ready.master.trim_start_matches("http://"), &executor])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let orders = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { _child: child, orders, lines, heard: Vec::new() }
    }

    async fn order(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("the script reads");
    }

    /// Reads on until there is a line that begins so.
    async fn says(&mut self, wanted: &str) -> String {
        loop {
            let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
            let heard = &mut self.heard;
            let line = line.unwrap_or_else(|_| panic!("no '{wanted}' after {heard:#?}"));
            let line = line.expect("the script writes text");
            let line = line.unwrap_or_else(|| panic!("it ended before '{wanted}': {heard:#?}"));
            heard.push(line.clone());
            if line.starts_with(wanted) {
                return line;
            }
        }
    }
}

/// What the executor wrote on its agent.
async fn output(dc: &Datacenter) -> String {
    let agent = &dc.ready.agents[0];
    let state: serde_json::Value =
        dc.http.get(format!("{agent}/state")).send().await.unwrap().json().await.unwrap();
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["type"], "CUSTOM", "{state}");
    let directory = executor["directory"].as_str().expect("a folder");
    std::fs::read_to_string(Path::new(directory).join("stdout")).expect("its output")
}

#[tokio::test]
async fn a_python_executor_runs_tasks_and_survives_karmand() {
    let Some(python) = requirement::python() else {
        return requirement::missing(
            "the Python environment that `cargo xtask test` makes (KARMAN_TEST_VENV)",
        );
    };
    let mut dc = Datacenter::start().await;
    let mut framework = Framework::start(&python, &dc);
    framework.says("registered").await;
    framework.order("launch short finish").await;
    framework.order("launch long wait").await;
    framework.says("short TASK_FINISHED").await;
    framework.order("launch other wait").await;
    let other = framework.says("other TASK_RUNNING").await;
    framework.order("say hello").await;
    framework.says("answer HELLO").await;

    dc.kill_9();
    dc.start_again_there().await;
    framework.says("registered again").await;
    framework.order("say again").await;
    framework.says("answer AGAIN").await;
    // The process is the one that it was, and has all of its tasks.
    framework.order("launch later wait").await;
    let later = framework.says("later TASK_RUNNING").await;
    let process = |line: &str| line.split("process ").last().map(ToOwned::to_owned);
    assert_eq!(process(&other), process(&later));
    let output = output(&dc).await;
    assert!(output.contains("checkpoint 1\nregistered python of with-executor\n"), "{output}");
    assert!(output.contains("registered again\n"), "{output}");
    assert_eq!(output.matches("launched").count(), 4, "{output}");

    framework.order("kill long").await;
    framework.says("long TASK_KILLED  as you wish").await;
    framework.order("tell finish other").await;
    framework.says("other TASK_FINISHED").await;
    framework.order("shutdown").await;
    framework.says("later TASK_KILLED REASON_EXECUTOR_TERMINATED").await;
    framework.says("lost python").await;
    framework.order("end").await;
    // Nothing of it is left on the books of the master.
    eventually("all is free again", LIMIT, async || {
        let state = dc.master().get("/master/state").await.expect(200);
        let used = state["slaves"][0]["used_resources"]["cpus"].as_f64();
        if used == Some(0.0) { Ok(()) } else { Err(format!("{used:?} cpus are used")) }
    })
    .await;
}
