use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn app(id: &str, cmd: &str, instances: u32, dependencies: &[&str]) -> App {
    let body = json!({"id": id, "cmd": cmd, "instances": instances, "dependencies": dependencies});
    let serde_json::Value::Object(body) = body else { panic!("is an object") };
    karman_api::marathon::v2::app::read(&body, None).unwrap()
}

fn changes<'a>(before: &'a [App], after: &'a [App]) -> BTreeMap<String, Change<'a>> {
    let find = |apps: &'a [App], id: &str| apps.iter().find(|app| app.id == id);
    let ids: BTreeSet<&String> = before.iter().chain(after).map(|app| &app.id).collect();
    ids.into_iter()
        .map(|id| {
            (
                id.clone(),
                Change { before: find(before, id), after: find(after, id), restart: false },
            )
        })
        .collect()
}

fn plan_of(before: &[App], after: &[App]) -> String {
    let dependencies =
        after.iter().map(|app| (app.id.as_str(), app.dependencies.as_slice())).collect();
    let layers = layers::layers(&dependencies).unwrap();
    let steps = plan(&changes(before, after), &layers);
    let step = |step: &Step| {
        let actions = step.actions.iter().map(|one| format!("{:?} {}", one.action, one.app));
        actions.collect::<Vec<_>>().join(", ")
    };
    steps.iter().map(step).collect::<Vec<_>>().join(" | ")
}

#[test]
fn steps_stop_then_start_then_follow_dependencies() {
    let before =
        [app("/old", "sleep 1", 1, &[]), app("/db", "db", 1, &[]), app("/web", "web", 2, &[])];
    let after = [
        app("/api", "api", 1, &["/db"]),
        app("/db", "db2", 1, &[]),
        app("/web", "web", 3, &["/api"]),
        app("/same", "same", 1, &[]),
    ];
    assert_eq!(
        plan_of(&before, &after),
        "StopApplication /old | StartApplication /api, StartApplication /same | \
         RestartApplication /db, ScaleApplication /same | ScaleApplication /api | RestartApplication /web"
    );
}

#[test]
fn only_what_changed_is_touched() {
    let one = [app("/a", "aa", 1, &[])];
    assert_eq!(plan_of(&one, &one), "");
    assert_eq!(plan_of(&one, &[app("/a", "aa", 5, &[])]), "ScaleApplication /a");
    assert_eq!(plan_of(&one, &[app("/a", "bb", 1, &[])]), "RestartApplication /a");
    assert_eq!(plan_of(&one, &[app("/a", "bb", 0, &[])]), "ScaleApplication /a");
    let restart = BTreeMap::from([(
        "/a".to_owned(),
        Change { before: one.first(), after: one.first(), restart: true },
    )]);
    assert_eq!(plan(&restart, &BTreeMap::new()).len(), 1);
}

#[test]
fn circles_are_found_and_groups_stand_for_their_apps() {
    let deps = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let (a, b, none) = (deps(&["/b"]), deps(&["/a"]), deps(&[]));
    assert!(layers::layers(&BTreeMap::from([("/a", a.as_slice()), ("/b", b.as_slice())])).is_err());
    let group = deps(&["/data", "/missing"]);
    let apps = BTreeMap::from([("/web", group.as_slice()), ("/data/db", none.as_slice())]);
    assert_eq!(layers::layers(&apps).unwrap().get("/web"), Some(&1));
}

#[test]
fn service_ports_are_kept_and_never_doubled() {
    let mut first = app("/a", "aa", 1, &[]);
    service_ports::assign(&mut first, None, |port| port < 10_002).unwrap();
    assert_eq!(first.port_definitions[0].port, 10_002);
    let mut second = app("/a", "bb", 1, &[]);
    service_ports::assign(&mut second, Some(&first), |port| port == 10_002).unwrap();
    assert_eq!(second.port_definitions[0].port, 10_002);
    let mut third = app("/b", "bb", 1, &[]);
    assert_eq!(service_ports::assign(&mut third, None, |_| true), Err(service_ports::Exhausted));
}

proptest! {
    /// `plan(apply(plan(s))) = ∅`: once the target is there nothing is left.
    #[test]
    fn a_plan_that_was_carried_out_is_empty(
        before in prop::collection::btree_map("[abc]", (1u32..3, 1u32..3), 0..4),
        after in prop::collection::btree_map("[abc]", (1u32..3, 1u32..3), 0..4),
    ) {
        let apps = |spec: BTreeMap<String, (u32, u32)>| -> Vec<App> {
            let one = |(id, (cmd, n)): (String, (u32, u32))| app(&format!("/{id}"), &format!("run {cmd}"), n, &[]);
            spec.into_iter().map(one).collect()
        };
        let (before, after) = (apps(before), apps(after));
        prop_assert_eq!(plan_of(&after, &after), "");
        prop_assert_eq!(plan_of(&before, &after).is_empty(), before == after);
    }
}
