use super::super::fixture::snapshot;
use super::*;

#[track_caller]
fn check(q: &str, state: &str, expected: &[&str]) {
    let filter = Filter { q: q.into(), state: state.into() };
    let Tasks { rows, matching, .. } = tasks(&snapshot(), &filter);
    assert_eq!(matching, rows.len());
    let shown: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {}", row.id, row.badge.label, row.health.label))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn tasks_are_found_by_any_of_their_names() {
    check(
        "node-b",
        "",
        &["cart.shop.instance-2._app.1 Staging –", "web.instance-3._app.1 Running –"],
    );
    check("FRONT", "active", &["front.shop.instance-1._app.1 Running Unhealthy"]);
    check(
        "",
        "completed",
        &["front.shop.instance-0._app.1 Failed –", "old.instance-0._app.1 Finished –"],
    );
    check(
        "instance-0",
        "all",
        &["front.shop.instance-0._app.1 Failed –", "old.instance-0._app.1 Finished –"],
    );
    check("nothing", "all", &[]);
}

#[test]
fn a_task_knows_its_service_and_where_it_listens() {
    let snapshot = snapshot();
    let task = detail(&snapshot, "web.instance-1._app.1").unwrap();
    assert_eq!(task.row.service.as_deref(), Some("web"));
    assert_eq!(
        task.endpoints,
        [Endpoint { url: "http://10.0.0.9:31000/".into(), label: "10.0.0.9:31000".into() }]
    );
    let lost = detail(&snapshot, "old.instance-0._app.1").unwrap();
    assert_eq!((lost.row.service, lost.row.host.as_str(), lost.active), (None, "S9", false));
    let failed = detail(&snapshot, "front.shop.instance-0._app.1").unwrap();
    assert_eq!(failed.row.service.as_deref(), Some("shop/front"), "by its name");
    assert!(detail(&snapshot, "nope").is_none());
}

#[test]
fn the_orchestrator_remembers_what_the_master_does_not_say() {
    let mut snapshot = snapshot();
    let mut task = snapshot.tasks[0].clone();
    task.id = "web.instance-0._app.1".into();
    snapshot.tasks.push(task);
    assert_eq!(
        detail(&snapshot, "web.instance-0._app.1").unwrap().message,
        "Command exited with status 1"
    );
}

#[test]
fn states_are_words() {
    for (name, expected) in [
        ("TASK_RUNNING", "Running"),
        ("TASK_GONE_BY_OPERATOR", "Gone"),
        ("TASK_SOMETHING_NEW", "SOMETHING_NEW"),
        ("odd", "odd"),
    ] {
        assert_eq!(state(name).label, expected);
    }
}
