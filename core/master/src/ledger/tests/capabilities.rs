//! What is offered to whom: frameworks get nothing that they cannot handle.

use karman_api::convert;
use serde_json::{Value, json};

use super::super::*;
use super::operations::{amount, volume};
use super::world::{World, register};

/// A world with one agent of these resources, in the region `far`.
fn world(resources: &[Value]) -> World {
    let region =
        |name: &str| json!({"fault_domain": {"region": {"name": name}, "zone": {"name": "z"}}});
    let home = serde_json::from_value(region("home")).unwrap();
    let settings = Settings { domain: Some(home), ..Settings::default() };
    let mut world = World::with("m1", Timestamp(1_000_000), settings);
    let mut back = register(Some("a1"), "host", vec![], vec![]);
    let agent = back.agent.as_mut().unwrap();
    agent.resources = serde_json::from_value(json!(resources)).unwrap();
    agent.domain = Some(serde_json::from_value(region("far")).unwrap());
    world.register(back);
    world
}

/// What a framework of the role `eng` is offered that can do this and all that
/// is needed in `far`.
fn offered(world: &mut World, capabilities: &[&str]) -> String {
    let capabilities: Vec<Value> = capabilities
        .iter()
        .chain(&["MULTI_ROLE", "REGION_AWARE"])
        .map(|kind| json!({"type": kind}))
        .collect();
    world.subscribe("s1", json!({"roles": ["eng"], "capabilities": capabilities})).unwrap();
    let offers = world.offers("s1");
    let resources = offers.iter().flat_map(|offer| &offer.resources).cloned().collect::<Vec<_>>();
    convert::resources_from_wire(&resources).unwrap().unallocated().to_string()
}

#[track_caller]
fn check(resources: &[Value], capability: &str, without: &str, with: &str) {
    assert_eq!(offered(&mut world(resources), &[]), without, "without {capability}");
    assert_eq!(offered(&mut world(resources), &[capability]), with, "with {capability}");
}

#[test]
fn resources_are_for_those_who_know_of_them() {
    let plain = amount("cpus", 2.0, &[]);
    let gpus = amount("gpus", 1.0, &[]);
    check(&[plain.clone(), gpus], "GPU_RESOURCES", "", "cpus:2;gpus:1");
    let mut revocable = amount("mem", 100.0, &[]);
    revocable["revocable"] = json!({});
    check(&[plain.clone(), revocable], "REVOCABLE_RESOURCES", "cpus:2", "cpus:2;mem:100");
    let refined = amount("mem", 100.0, &["eng", "eng/web"]);
    let reserved = amount("mem", 50.0, &["eng"]);
    check(
        &[plain.clone(), reserved, refined],
        "RESERVATION_REFINEMENT",
        "cpus:2;mem(eng):50",
        "cpus:2;mem(eng):50",
    );
    let shared = volume("v", 64.0, true);
    let own = volume("w", 32.0, false);
    check(
        &[plain, shared, own],
        "SHARED_RESOURCES",
        "cpus:2;disk(eng):32",
        "cpus:2;disk(eng):64;disk(eng):32",
    );
}

#[test]
fn refined_reservations_are_for_those_below_who_know_of_stacks() {
    let refined = [amount("mem", 100.0, &["eng", "eng/web"])];
    let offered = |capabilities: Value| {
        let mut world = world(&refined);
        world.subscribe("s1", json!({"roles": ["eng/web"], "capabilities": capabilities})).unwrap();
        world.offers("s1")
    };
    let (multi, aware) = (json!({"type": "MULTI_ROLE"}), json!({"type": "REGION_AWARE"}));
    assert_eq!(offered(json!([multi, aware])), []);
    let offers = offered(json!([multi, aware, {"type": "RESERVATION_REFINEMENT"}]));
    let stack = &offers[0].resources[0].reservations;
    let roles: Vec<_> = stack.iter().filter_map(|level| level.role.as_deref()).collect();
    assert_eq!(roles, ["eng", "eng/web"]);
}

#[test]
fn other_regions_are_for_those_who_know_of_them() {
    let mut world = world(&[amount("cpus", 2.0, &[])]);
    world.subscribe("s1", json!({"role": "eng"})).unwrap();
    assert_eq!(world.offers("s1"), []);
    let aware = json!([{"type": "REGION_AWARE"}]);
    world.subscribe("s2", json!({"role": "eng", "capabilities": aware})).unwrap();
    let offer = world.offers("s2").remove(0);
    let domain = offer.domain.unwrap().fault_domain.unwrap();
    assert_eq!(domain.region.name, "far");
    assert!(offer.allocation_info.is_none(), "it has one role and knows it");
}
