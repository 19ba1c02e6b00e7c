use super::super::fixture::{NOW_MS, app, queued, snapshot};
use super::*;

#[track_caller]
fn check(filter: (&str, &str), expected: &[&str]) {
    let filter = Filter { q: filter.0.into(), group: filter.1.into() };
    let Services { groups, rows, .. } = services(&snapshot(), &filter);
    let groups = groups.iter().map(|group| {
        format!(
            "{}/ {} {} {}/{}",
            group.name, group.services, group.badge.label, group.running, group.target
        )
    });
    let rows = rows
        .iter()
        .map(|row| format!("{} {} {}/{}", row.name, row.badge.label, row.running, row.target));
    assert_eq!(groups.chain(rows).collect::<Vec<_>>(), expected);
}

#[test]
fn groups_are_folders_and_searches_look_into_all() {
    check(("", ""), &["shop/ 3 Unhealthy 2/6", "idle Suspended 0/0", "web Running 3/3"]);
    check(("", "/shop"), &["backend/ 1 Waiting 0/2", "cart Deploying 1/2", "front Unhealthy 1/2"]);
    check(("", "/shop/backend/"), &["db Waiting 0/2"]);
    check(
        ("SHOP", ""),
        &["shop/backend/db Waiting 0/2", "shop/cart Deploying 1/2", "shop/front Unhealthy 1/2"],
    );
    check(("front", "/shop"), &["front Unhealthy 1/2"]);
    check(("nothing", ""), &[]);
    // A group is no prefix of letters.
    check(("", "/sho"), &[]);
}

#[track_caller]
fn check_status(app: App, queued: Option<Queued>, expected: (&str, &str)) {
    let snapshot = Snapshot {
        taken_ms: NOW_MS,
        apps: vec![app.clone()],
        queue: queued.into_iter().collect(),
        ..Snapshot::default()
    };
    let badge = status(&snapshot, &app);
    assert_eq!((badge.label.as_str(), badge.detail.as_str()), expected);
}

#[test]
fn a_status_gives_its_reason() {
    let deploying = || App { deployments: vec![Default::default()], ..app("/a", 2, 0) };
    check_status(app("/a", 2, 2), None, ("Running", ""));
    check_status(app("/a", 0, 0), None, ("Suspended", "scaled to no instances"));
    check_status(app("/a", 2, 1), None, ("Starting", "1 of 2 instances run"));
    check_status(deploying(), None, ("Deploying", "a deployment is changing this service"));
    // Offers need a moment; only then it is said to wait.
    check_status(
        deploying(),
        Some(queued("/a", 2, NOW_MS - 5_000)),
        ("Deploying", "a deployment is changing this service"),
    );
    check_status(
        deploying(),
        Some(queued("/a", 2, NOW_MS - 20_000)),
        ("Waiting", "no agent has offered resources yet"),
    );
    let mut short = queued("/a", 2, NOW_MS);
    short.processed_offers_summary.reject_summary_last_offers = vec![
        crate::wire::marathon::Rejection {
            reason: "InsufficientCpus".into(),
            declined: 1,
            processed: 4,
        },
        crate::wire::marathon::Rejection {
            reason: "InsufficientMemory".into(),
            declined: 3,
            processed: 3,
        },
    ];
    check_status(deploying(), Some(short), ("Waiting", "not enough memory is free on any agent"));
    let mut late = queued("/a", 2, NOW_MS);
    late.delay.time_left_seconds = 12.3;
    late.delay.overdue = false;
    check_status(
        app("/a", 2, 0),
        Some(late),
        ("Delayed", "its instances failed; the next start is in 13 s"),
    );
    let sick = App {
        tasks_healthy: 1,
        tasks_unhealthy: 1,
        health_checks: vec![Default::default()],
        ..app("/a", 2, 2)
    };
    check_status(sick, None, ("Unhealthy", "1 instance is failing its health check"));
}
