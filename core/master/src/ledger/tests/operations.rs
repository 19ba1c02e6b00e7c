//! Reservations and volumes, made by frameworks.

use serde_json::{Value, json};

use super::super::*;
use super::world::World;

pub(super) const RESOURCES: &str = "cpus:4;mem:1000;disk:1000";

/// So much, reserved to the roles one after the other.
pub(in crate::ledger) fn amount(name: &str, amount: f64, roles: &[&str]) -> Value {
    let stack: Vec<Value> =
        roles.iter().map(|role| json!({"type": "DYNAMIC", "role": role})).collect();
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount}, "reservations": stack})
}

pub(super) fn volume(id: &str, size: f64, shared: bool) -> Value {
    let mut volume = amount("disk", size, &["eng"]);
    volume["disk"] = json!({
        "persistence": {"id": id}, "volume": {"container_path": "data", "mode": "RW"},
    });
    if shared {
        volume["shared"] = json!({});
    }
    volume
}

pub(in crate::ledger) fn reserve(resources: &[Value]) -> Value {
    json!({"type": "RESERVE", "reserve": {"resources": resources}})
}

pub(super) fn create(volumes: &[Value]) -> Value {
    json!({"type": "CREATE", "create": {"volumes": volumes}})
}

pub(super) fn destroy(volumes: &[Value]) -> Value {
    json!({"type": "DESTROY", "destroy": {"volumes": volumes}})
}

pub(in crate::ledger) fn with_id(mut operation: Value, id: &str) -> Value {
    operation["id"] = json!({"value": id});
    operation
}

pub(super) fn launch(task: &str, resources: &[Value]) -> Value {
    let info = json!({
        "name": task, "task_id": {"value": task}, "agent_id": {"value": "m1-S0"},
        "command": {"value": "true"}, "resources": resources,
    });
    json!({"type": "LAUNCH", "launch": {"task_infos": [info]}})
}

/// A framework of the role `eng` and its first offer.
pub(in crate::ledger) fn start() -> (World, FrameworkId, SessionId, v1::Offer) {
    let mut world = World::new();
    let capabilities = json!([
        {"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}, {"type": "SHARED_RESOURCES"},
    ]);
    let info = json!({"roles": ["eng"], "capabilities": capabilities, "failover_timeout": 3600});
    let framework = world.subscribe("s1", info).unwrap();
    let session = world.agent_with(RESOURCES, None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.told(session);
    world.saved.clear();
    (world, framework, session, offer)
}

fn total(world: &World) -> String {
    world.ledger.agents["m1-S0"].total.to_string()
}

fn kinds(messages: &[Body]) -> Vec<&'static str> {
    let kind = |message: &Body| match message {
        Body::Resources(_) => "resources",
        Body::Launch(_) => "launch",
        _other => "other",
    };
    messages.iter().map(kind).collect()
}

#[test]
fn one_accept_reserves_creates_and_launches() {
    let (mut world, framework, session, offer) = start();
    let operations = json!([
        reserve(&[amount("cpus", 2.0, &["eng"]), amount("disk", 100.0, &["eng"])]),
        create(&[volume("v", 64.0, false)]),
        launch("t1", &[amount("cpus", 1.0, &["eng"]), volume("v", 64.0, false)]),
    ]);
    world.accept(&framework, &[offer], operations);
    assert_eq!(total(&world), "cpus:2;cpus(eng):2;disk:900;disk(eng):36;disk(eng):64;mem:1000");
    assert!(world.saved.contains(&Key::Agent("m1-S0".into())), "durable before it is said");
    let told = world.told(session);
    assert_eq!(kinds(&told), ["resources", "launch"], "said once, before it is used");
    assert!(world.ledger.frameworks[&framework].tasks.contains_key("t1"));
    // What was made and is left is offered again at once.
    let offers = world.offers("s1");
    let resources = karman_api::convert::resources_from_wire(&offers[0].resources).unwrap();
    assert_eq!(
        resources.unallocated().to_string(),
        "cpus:2;cpus(eng):1;disk:900;disk(eng):36;mem:1000"
    );
    assert_eq!(world.operations("s1"), [], "nobody asked");
}

#[test]
fn reservations_survive_the_master_and_the_agent() {
    let (mut world, framework, session, offer) = start();
    let operations = json!([
        reserve(&[amount("cpus", 2.0, &["eng"]), amount("disk", 100.0, &["eng"])]),
        with_id(create(&[volume("v", 64.0, false)]), "made"),
    ]);
    world.accept(&framework, &[offer], operations);
    let before = total(&world);
    world.apply(Event::SessionClosed { session });
    world.agent_with(RESOURCES, Some("m1-S0"), vec![], vec![]);
    assert_eq!(total(&world), before);

    let mut world = world.restart();
    assert_eq!(total(&world), before);
    world.agent_with("cpus:6;mem:1000;disk:1000", Some("m1-S0"), vec![], vec![]);
    assert_eq!(total(&world), "cpus:4;cpus(eng):2;disk:900;disk(eng):36;disk(eng):64;mem:1000");
    // What is not acknowledged is said again.
    world.subscribe(
        "s2",
        json!({"id": {"value": framework.as_str()}, "roles": ["eng"],
        "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": 3600}),
    );
    let told = world.operations("s2");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].operation_id.as_ref().unwrap().value, "made");
}

#[test]
fn outcomes_are_said_until_they_are_acknowledged() {
    let (mut world, framework, _, offer) = start();
    let operation = with_id(reserve(&[amount("cpus", 2.0, &["eng"])]), "r1");
    world.accept(&framework, &[offer], json!([operation]));
    let status = world.operations("s1").remove(0);
    assert_eq!(status.state().as_str_name(), "OPERATION_FINISHED");
    assert_eq!(status.agent_id.as_ref().unwrap().value, "m1-S0");
    assert_eq!(status.converted_resources.len(), 1);
    let uuid = status.uuid.unwrap().value;
    assert_eq!(uuid.len(), 16);
    let mut said = Vec::new();
    for second in 1..=80 {
        world.wait(1000);
        said.extend(world.operations("s1").iter().map(|_| second));
    }
    assert_eq!(said, [10, 30, 70], "twice as long each time");
    let ask = json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": [
        {"operation_id": {"value": "r1"}}, {"operation_id": {"value": "r2"}, "agent_id": {"value": "m1-S0"}},
    ]}});
    world.call(&framework, ask);
    let states: Vec<_> = world
        .operations("s1")
        .iter()
        .map(|it| (it.state().as_str_name(), it.uuid.is_some()))
        .collect();
    assert_eq!(states, [("OPERATION_FINISHED", false), ("OPERATION_UNKNOWN", false)]);

    let acknowledge = |uuid: &[u8]| {
        use base64::Engine as _;
        let uuid = base64::engine::general_purpose::STANDARD.encode(uuid);
        json!({"type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status":
            {"agent_id": {"value": "m1-S0"}, "operation_id": {"value": "r1"}, "uuid": uuid}})
    };
    world.call(&framework, acknowledge(&[0; 16]));
    assert_eq!(world.ledger.agents["m1-S0"].operations.len(), 1, "not that one");
    world.call(&framework, acknowledge(&uuid));
    assert!(world.ledger.agents["m1-S0"].operations.is_empty());
    world.wait(2_000_000);
    assert_eq!(world.operations("s1"), []);
}

#[test]
fn operations_of_a_removed_framework_are_dropped() {
    let (mut world, framework, _, offer) = start();
    let operation = with_id(reserve(&[amount("cpus", 2.0, &["eng"])]), "r1");
    world.accept(&framework, &[offer], json!([operation]));
    world.call(&framework, json!({"type": "TEARDOWN"}));
    assert!(world.ledger.agents["m1-S0"].operations.is_empty());
    assert_eq!(total(&world), "cpus:2;cpus(eng):2;disk:1000;mem:1000", "the reservation stays");
}

#[test]
fn no_more_operations_wait_than_can_be_stored() {
    let (mut world, framework, _, offer) = start();
    let mut labelled = amount("cpus", 0.001, &["eng"]);
    labelled["reservations"][0]["labels"] =
        json!({"labels": [{"key": "k", "value": "v".repeat(10_000)}]});
    let many: Vec<Value> =
        (0..20).map(|i| with_id(reserve(&[labelled.clone()]), &format!("o{i}"))).collect();
    world.accept(&framework, &[offer], json!(many));
    let statuses = world.operations("s1");
    let refused: Vec<_> = statuses.iter().filter(|it| it.uuid.is_none()).collect();
    assert!(!refused.is_empty(), "there is a limit");
    let message = refused[0].message.as_deref().unwrap();
    assert!(message.contains("unacknowledged operations on the agent"), "{message}");
    assert_eq!(world.ledger.agents["m1-S0"].operations.len(), 20 - refused.len());
    let stored = crate::stored::change(&world.ledger, &Key::Agent("m1-S0".into()));
    let karman_store::Change::Put { value, .. } = stored else { panic!("nothing to store") };
    assert!(value.len() < karman_store::VALUE_BYTES_MAX / 2);
}

#[track_caller]
fn check(operations: &[Value], expected: &str) {
    let (mut world, framework, _, offer) = start();
    let count = operations.len();
    let numbered: Vec<Value> = operations
        .iter()
        .enumerate()
        .map(|(i, it)| with_id(it.clone(), &format!("o{i}")))
        .collect();
    world.accept(&framework, &[offer], json!(numbered));
    let statuses = world.operations("s1");
    assert_eq!(statuses.len(), count);
    for status in &statuses[..count - 1] {
        assert_eq!(status.state().as_str_name(), "OPERATION_FINISHED", "{:?}", status.message);
    }
    let last = statuses.last().unwrap();
    assert_eq!(last.message.clone().unwrap_or_else(|| total(&world)), expected);
}

#[test]
fn operations_are_done_or_say_why_not() {
    let r = |name: &str, of: f64| reserve(&[amount(name, of, &["eng"])]);
    let un = |name: &str, of: f64, roles: &[&str]| json!({"type": "UNRESERVE", "unreserve": {"resources": [amount(name, of, roles)]}});
    check(&[r("cpus", 3.0), un("cpus", 1.0, &["eng"])], "cpus:2;cpus(eng):2;disk:1000;mem:1000");
    check(
        &[r("cpus", 2.0), reserve(&[amount("cpus", 1.0, &["eng", "eng/web"])])],
        "cpus:2;cpus(eng):1;cpus(eng/web):1;disk:1000;mem:1000",
    );
    check(
        &[reserve(&[amount("cpus", 1.0, &["eng/web"])])],
        "cpus:3;cpus(eng/web):1;disk:1000;mem:1000",
    );
    check(&[r("cpus", 5.0)], "Invalid RESERVE operation: cpus:5 is not there");
    check(
        &[r("cpus", -1.0)],
        "Invalid RESERVE operation: reserve.resources: scalar of 'cpus' must not be negative",
    );
    check(
        &[r("cpus", 1e300)],
        "Invalid RESERVE operation: reserve.resources: scalar of 'cpus' is refused: must be between -9e12 and 9e12",
    );
    check(&[reserve(&[])], "Invalid RESERVE operation: reserve.resources must not be empty");
    check(
        &[json!({"type": "RESERVE"})],
        "Invalid RESERVE operation: 'operation.reserve' must be set",
    );
    check(
        &[reserve(&[amount("cpus", 1.0, &["ops"])])],
        "Invalid RESERVE operation: cpus is to be reserved to 'ops', the offer is of 'eng'",
    );
    check(
        &[reserve(&[amount("cpus", 1.0, &[])])],
        "Invalid RESERVE operation: cpus:1 is not dynamically reserved",
    );
    check(
        &[json!({"type": "RESERVE", "reserve": {"source": [amount("cpus", 1.0, &[])],
            "resources": [amount("cpus", 1.0, &["eng"])]}})],
        "Invalid RESERVE operation: reserve.source is only for operators",
    );
    check(
        &[r("disk", 100.0), create(&[volume("v", 100.0, false)]), un("disk", 100.0, &["eng"])],
        "Invalid UNRESERVE operation: disk(eng):100 is not there",
    );
    check(
        &[create(&[volume("v", 1.0, false)])],
        "Invalid CREATE operation: disk(eng):1 is not there",
    );
    let mut unable = volume("v", 10.0, false);
    unable["disk"]["volume"]["mode"] = json!("RO");
    check(
        &[r("disk", 100.0), create(&[unable])],
        "Invalid CREATE operation: the persistent volume 'v' must be of mode RW, not RO",
    );
    let mut unable = volume("v", 10.0, false);
    unable["disk"]["volume"]["host_path"] = json!("/etc");
    check(
        &[r("disk", 100.0), create(&[unable])],
        "Invalid CREATE operation: the persistent volume 'v' must not have a 'disk.volume.host_path'",
    );
    check(
        &[r("disk", 100.0), create(&[volume("../v", 10.0, false)])],
        "Invalid CREATE operation: create.volumes: the persistence id '../v' must not contain the character '/'",
    );
    check(
        &[
            r("disk", 100.0),
            create(&[volume("v", 10.0, false)]),
            create(&[volume("v", 10.0, false)]),
        ],
        "Invalid CREATE operation: the persistent volume 'v' exists on this agent for role 'eng' already",
    );
    check(
        &[
            r("disk", 100.0),
            create(&[volume("v", 10.0, false)]),
            destroy(&[volume("v", 10.0, false)]),
        ],
        "cpus:4;disk:900;disk(eng):100;mem:1000",
    );
    check(
        &[destroy(&[volume("v", 10.0, false)])],
        "Invalid DESTROY operation: the persistent volume 'v' is not on this agent",
    );
    check(
        &[
            json!({"type": "CREATE_DISK", "create_disk": {"source": amount("disk", 1.0, &[]), "target_type": "MOUNT"}}),
        ],
        "Invalid CREATE_DISK operation: there is no resource provider that could carry out CREATE_DISK",
    );
    check(
        &[json!({"type": "UNKNOWN"})],
        "Invalid UNKNOWN operation: an operation of type UNKNOWN cannot be carried out this way",
    );
}

#[test]
fn volumes_are_resized_or_the_reason_is_said() {
    let made = [
        reserve(&[amount("disk", 100.0, &["eng"])]),
        create(&[volume("v", 10.0, false), volume("s", 10.0, true)]),
    ];
    let grow = |volume: Value, by: Value| json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume, "addition": by}});
    let shrink = |volume: Value, by: f64| json!({"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume, "subtract": {"value": by}}});
    let check = |operation: Value, expected: &str| {
        check(&[made[0].clone(), made[1].clone(), operation], expected);
    };
    let v = || volume("v", 10.0, false);
    check(
        grow(v(), amount("disk", 5.0, &["eng"])),
        "cpus:4;disk:900;disk(eng):75;disk(eng):10;disk(eng):15;mem:1000",
    );
    check(
        grow(v(), amount("disk", 5.0, &[])),
        "Invalid GROW_VOLUME operation: grow_volume.addition is not of the same disk and reservation as the volume 'v'",
    );
    check(shrink(v(), 4.0), "cpus:4;disk:900;disk(eng):84;disk(eng):10;disk(eng):6;mem:1000");
    for by in ["10", "0", "-1"] {
        let expected = format!(
            "Invalid SHRINK_VOLUME operation: shrink_volume.subtract must be more than 0 and less than 10, not {by}"
        );
        check(shrink(v(), by.parse().unwrap()), &expected);
    }
    check(
        shrink(volume("s", 10.0, true), 4.0),
        "Invalid SHRINK_VOLUME operation: the persistent volume 's' is shared and cannot be resized",
    );
    check(
        shrink(volume("w", 10.0, false), 4.0),
        "Invalid SHRINK_VOLUME operation: the persistent volume 'w' is not on this agent",
    );
}

#[test]
fn principals_are_those_who_ask() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"role": "eng", "principal": "alice"})).unwrap();
    world.agent_with(RESOURCES, None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    let said = |principal: &str| {
        json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "role": "eng",
            "reservation": {"principal": principal}})
    };
    let operations = json!([
        with_id(reserve(&[said("bob")]), "bob"),
        with_id(reserve(&[said("alice")]), "alice")
    ]);
    world.accept(&framework, &[offer], operations);
    let statuses = world.operations("s1");
    assert_eq!(
        statuses[0].message.as_deref(),
        Some(
            "Invalid RESERVE operation: 'principal' of the reservation of cpus(eng):1 is 'bob', the principal that asks for it is 'alice'"
        )
    );
    assert_eq!(statuses[1].state().as_str_name(), "OPERATION_FINISHED");
    // The format that it understands.
    let offers = world.offers("s1");
    assert!(offers[0].resources.iter().all(|it| it.reservations.is_empty()));
}

#[test]
fn a_shared_volume_is_destroyed_when_nobody_uses_it() {
    let (mut world, framework, session, offer) = start();
    let s = || volume("s", 10.0, true);
    let cpu = || amount("cpus", 1.0, &[]);
    let operations = json!([
        reserve(&[amount("disk", 100.0, &["eng"])]),
        create(&[s()]),
        launch("t1", &[cpu(), s()]),
        launch("t2", &[cpu(), s()]),
        with_id(destroy(&[s()]), "d1"),
    ]);
    world.accept(&framework, &[offer], operations);
    let in_use = "Invalid DESTROY operation: the persistent volume 's' is in use";
    assert_eq!(world.operations("s1")[0].message.as_deref(), Some(in_use));
    world.status(session, &framework, "t1", "TASK_FINISHED");
    assert!(world.ledger.agents["m1-S0"].used.has_shared(), "the other one still uses it");
    let offers = world.offers("s1");
    world.accept(&framework, &offers, json!([with_id(destroy(&[s()]), "d2")]));
    assert_eq!(world.operations("s1")[0].message.as_deref(), Some(in_use));
    world.status(session, &framework, "t2", "TASK_FINISHED");
    assert!(!world.ledger.agents["m1-S0"].used.has_shared());
    world.call(&framework, json!({"type": "REVIVE"}));
    let offers = world.offers("s1");
    world.accept(&framework, &offers, json!([with_id(destroy(&[s()]), "d3")]));
    assert_eq!(world.operations("s1")[0].state().as_str_name(), "OPERATION_FINISHED");
}

#[test]
fn a_volume_that_is_made_again_is_told_in_between() {
    let (mut world, framework, session, offer) = start();
    let v = || volume("v", 10.0, false);
    let operations = json!([
        reserve(&[amount("disk", 10.0, &["eng"])]),
        create(&[v()]),
        destroy(&[v()]),
        create(&[v()]),
    ]);
    world.accept(&framework, &[offer], operations);
    let volumes = |body: &Body| match body {
        Body::Resources(it) => it.resources.iter().filter(|it| it.disk.is_some()).count(),
        _other => panic!("something else is said"),
    };
    assert_eq!(world.told(session).iter().map(volumes).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_volume_may_be_mounted_otherwise_than_it_was_made() {
    let (mut world, framework, session, offer) = start();
    let mut elsewhere = volume("v", 10.0, false);
    elsewhere["disk"]["volume"] = json!({"container_path": "elsewhere", "mode": "RO"});
    let operations = json!([
        reserve(&[amount("disk", 10.0, &["eng"])]),
        create(&[volume("v", 10.0, false)]),
        launch("t1", &[amount("cpus", 1.0, &[]), elsewhere]),
    ]);
    world.accept(&framework, &[offer], operations);
    let told = world.told(session);
    let Some(Body::Launch(launch)) = told.last() else { panic!("no launch") };
    let disk = launch.tasks[0].resources[1].disk.as_ref().unwrap();
    assert_eq!(disk.volume.as_ref().unwrap().container_path, "elsewhere");
    assert_eq!(launch.tasks[0].resources[1].allocation_info.as_ref().unwrap().role(), "eng");
}

#[test]
fn void_offers_fail_their_operations() {
    let (mut world, framework, _, mut offer) = start();
    offer.id.value = "m1-O99".into();
    let operation = with_id(reserve(&[amount("cpus", 1.0, &["eng"])]), "r1");
    world.accept(&framework, &[offer], json!([operation]));
    let status = world.operations("s1").remove(0);
    assert_eq!(status.state().as_str_name(), "OPERATION_ERROR");
    assert_eq!(status.message.as_deref(), Some("Offer m1-O99 is no longer valid"));
}

#[test]
fn reservations_stay_below_the_limit_of_the_role() {
    let (mut world, framework, _, offer) = start();
    let config = json!({"role": "eng", "limits": {"cpus": {"value": 2}}});
    let configs = vec![serde_json::from_value(config).unwrap()];
    world.command(Command::UpdateQuota { force: true, configs }).unwrap();
    let mut offers = world.offers("s1");
    if world.ledger.offers.contains_key(offer.id.value.as_str()) {
        offers.push(offer);
    }
    let r = |of: f64, id: &str| with_id(reserve(&[amount("cpus", of, &["eng"])]), id);
    world.accept(&framework, &offers[..1], json!([r(1.5, "o1"), r(1.0, "o2"), r(0.5, "o3")]));
    let statuses = world.operations("s1");
    assert_eq!(
        statuses[1].message.as_deref(),
        Some(
            "Invalid RESERVE operation: 1 more cpus would be reserved for role 'eng', which consumes 1.5 and is limited to 2"
        )
    );
    assert_eq!(statuses[2].state().as_str_name(), "OPERATION_FINISHED");
}

#[test]
fn only_an_agent_without_a_record_says_itself_what_is_reserved_on_it() {
    let held = || serde_json::from_value(json!([amount("cpus", 3.0, &["eng"])])).unwrap();
    let plain = |id: &str| {
        let mut back = super::world::register(Some(id), "host", vec![], vec![]);
        let agent = back.agent.as_mut().unwrap();
        agent.resources = serde_json::from_value(json!([amount("cpus", 4.0, &[])])).unwrap();
        agent.id = Some(v1::AgentId { value: id.into() });
        karman_api::session::Register { held: held(), ..back }
    };
    let (mut world, framework, session, offer) = start();
    world.accept(&framework, &[offer], json!([reserve(&[amount("cpus", 1.0, &["eng"])])]));
    world.apply(Event::SessionClosed { session });
    world.agent_with(RESOURCES, Some("m1-S0"), vec![], vec![]);
    let known = total(&world);
    let mut back = plain("m1-S0");
    back.agent.as_mut().unwrap().resources = world.ledger.agents["m1-S0"].info.resources.clone();
    world.register(back);
    assert_eq!(total(&world), known, "the master knows better");
    world.register(plain("a9"));
    assert_eq!(world.ledger.agents["a9"].total.to_string(), "cpus:1;cpus(eng):3");
}

#[test]
fn reservations_that_an_agent_lost_are_reported() {
    let (mut world, ..) = start();
    let mut back = super::world::register(Some("a9"), "host", vec![], vec![]);
    back.held = serde_json::from_value(json!([amount("cpus", 7.0, &["eng"])])).unwrap();
    world.register(back);
    let [Report::ReservationsLost { agent, lost }] = &world.reports[..] else {
        panic!("{:?}", world.reports)
    };
    assert_eq!((agent.as_str(), lost.to_string()), ("a9", "cpus(eng):3".to_owned()));
}
