use super::super::fixture::app;
use super::*;
use crate::wire::marathon::{App, Health, Task};

fn task(version: &str, alive: Option<bool>) -> Task {
    let health = alive.map(|alive| Health { alive, ..Health::default() });
    Task {
        state: "TASK_RUNNING".into(),
        version: Some(version.into()),
        health_check_results: health.into_iter().collect(),
        ..Task::default()
    }
}

/// Two steps, the second of which is running.
#[track_caller]
fn check(app: App, expected: u8) {
    let deployment = marathon::Deployment {
        affected_apps: vec![app.id.clone()],
        current_step: 2,
        total_steps: 2,
        ..marathon::Deployment::default()
    };
    let snapshot =
        Snapshot { apps: vec![app], deployments: vec![deployment], ..Snapshot::default() };
    assert_eq!(deployments(&snapshot)[0].percent, expected);
}

#[test]
fn progress_counts_instances_that_are_as_wanted() {
    check(app("/a", 4, 0), 50);
    check(App { tasks: vec![task("1", None), task("1", None)], ..app("/a", 4, 2) }, 75);
    check(App { tasks: vec![task("1", None); 4], ..app("/a", 4, 4) }, 100);
    // Two too many are as far from the goal as two too few.
    check(App { tasks: vec![task("1", None); 4], ..app("/a", 2, 4) }, 75);
    check(App { tasks: vec![task("1", None)], ..app("/a", 0, 1) }, 50);
    check(app("/a", 0, 0), 100);
}

#[test]
fn instances_of_the_old_version_or_in_bad_health_do_not_count() {
    let mut rolling = App { tasks: vec![task("1", None), task("2", None)], ..app("/a", 2, 2) };
    rolling.version_info.last_config_change_at = "2".into();
    check(rolling, 75);
    let tasks =
        vec![task("1", Some(true)), task("1", Some(false)), task("1", None), task("1", None)];
    check(App { tasks, health_checks: vec![serde_json::Value::Null], ..app("/a", 4, 4) }, 63);
}
