use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::datacenter::{Datacenter, Options};
use crate::{binaries, requirement};

/// How long a script may take.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs `tests/python/<script>` and fails with its output.
async fn run(python: &Path, script: &str, args: &[&str]) {
    let script = binaries::root().join("tests/python").join(script);
    let output = Command::new(python).arg("-u").arg(&script).args(args).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, output).await;
    let output = output
        .unwrap_or_else(|_| panic!("{} took longer than {LIMIT:?}", script.display()))
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{} failed:\n{text}", script.display());
}

fn python() -> Option<std::path::PathBuf> {
    let python = requirement::python();
    if python.is_none() {
        requirement::missing(
            "the Python environment that `cargo xtask test` makes (KARMAN_TEST_VENV)",
        );
    }
    python
}

#[tokio::test]
async fn a_pymesos_scheduler_runs_100_tasks_on_2_agents() {
    let Some(python) = python() else { return };
    let dc = Datacenter::with(Options { agents: 2, ..Options::default() }).await;
    run(
        &python,
        "pymesos_scheduler.py",
        &[dc.ready.master.trim_start_matches("http://"), "100", "2"],
    )
    .await;
}

#[tokio::test]
async fn a_mesoshttp_scheduler_runs_kills_and_reconciles_tasks() {
    let Some(python) = python() else { return };
    let dc = Datacenter::start().await;
    run(&python, "mesoshttp_scheduler.py", &[&dc.ready.master, "20"]).await;
}

#[tokio::test]
async fn a_pymesos_operator_reads_changes_and_watches() {
    let Some(python) = python() else { return };
    let dc = Datacenter::start().await;
    let [master, agent] =
        [&dc.ready.master, &dc.ready.agents[0]].map(|url| url.trim_start_matches("http://"));
    run(&python, "pymesos_operator.py", &[master, agent]).await;
}

#[tokio::test]
async fn the_marathon_client_manages_apps() {
    let Some(python) = python() else { return };
    let dc = Datacenter::start().await;
    run(&python, "marathon_client.py", &[&dc.ready.marathon]).await;
    run(&python, "marathon_client.py", &[&format!("{}/service/marathon", dc.ready.gateway)]).await;
}
