use std::collections::BTreeMap;

use karman_api::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use serde_json::{Value, json};

use super::super::tests::world::World;
use super::super::{Command, Key, Refusal};
use super::*;

fn config(role: &str, guarantees: &Value, limits: &Value) -> QuotaConfig {
    serde_json::from_value(json!({"role": role, "guarantees": guarantees, "limits": limits}))
        .unwrap()
}

fn cpus(value: f64) -> Value {
    json!({"cpus": {"value": value}})
}

/// Of three roles: guarantee and limit of processors, if any.
fn tree(roles: &[(&str, Option<f64>, Option<f64>)]) -> Result<(), String> {
    let amounts = |value: Option<f64>| value.map_or(json!({}), cpus);
    let configs: Vec<QuotaConfig> = roles
        .iter()
        .map(|(role, guarantee, limit)| config(role, &amounts(*guarantee), &amounts(*limit)))
        .collect();
    tree::fits(&read::configs(&configs)?)
}

#[test]
fn what_roles_are_guaranteed_fits_into_the_roles_above() {
    let none = None;
    for (roles, expected) in [
        (
            &[("a", Some(4.0), none), ("a/b", Some(2.0), none), ("a/c", Some(2.0), none)][..],
            "Ok(())",
        ),
        (
            &[("a", Some(4.0), none), ("a/b", Some(3.0), none), ("a/c", Some(2.0), none)],
            r#"Err("Invalid QuotaConfig: guarantees.cpus 4 of role 'a' must not be less than the 5 guaranteed to the roles below it")"#,
        ),
        // What is not set does not restrict.
        (&[("a/b", Some(3.0), none), ("a/c/d", Some(2.0), none)], "Ok(())"),
        (
            &[("a", none, Some(4.0)), ("a/b", Some(3.0), none), ("a/c/d", Some(2.0), none)],
            r#"Err("Invalid QuotaConfig: limits.cpus 4 of role 'a' must not be less than the 5 guaranteed to the roles below it")"#,
        ),
        // A name that only begins alike is no child.
        (&[("a", Some(1.0), none), ("a-b", Some(3.0), none), ("a/b", Some(1.0), none)], "Ok(())"),
        // A limit above that of the parent is not reached, which harms nobody.
        (&[("a", none, Some(1.0)), ("a/b", none, Some(3.0))], "Ok(())"),
    ] {
        assert_eq!(format!("{:?}", tree(roles)), expected, "{roles:?}");
    }
}

#[test]
fn mistakes_name_the_role_and_the_amount() {
    let cases = [
        (config("*", &json!({}), &json!({})), "the role '*' of everybody cannot have a quota"),
        (config("", &json!({}), &json!({})), "role must not be empty"),
        (
            config("a", &cpus(-1.0), &json!({})),
            "guarantees.cpus -1 of role 'a' must not be negative",
        ),
        (config("a", &json!({}), &cpus(1e300)), "of role 'a' must be between -9e12 and 9e12"),
        (
            config("a", &cpus(2.0), &cpus(1.0)),
            "guarantees.cpus 2 of role 'a' must not be more than limits.cpus 1",
        ),
    ];
    for (config, expected) in cases {
        let problem = read::configs(&[config]).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    let twice = config("a", &cpus(1.0), &json!({}));
    let problem = read::configs(&[twice.clone(), twice]).unwrap_err();
    assert_eq!(problem, "Invalid QuotaConfig: role 'a' is named twice");
}

fn update(world: &mut World, force: bool, configs: Vec<QuotaConfig>) -> Result<(), Refusal> {
    world.command(Command::UpdateQuota { force, configs })
}

fn world() -> World {
    let mut world = World::new();
    world.agent(None, vec![], vec![]);
    world
}

#[test]
fn quota_is_set_and_stored_wholly_or_not_at_all() {
    let mut world = world();
    let good = config("a", &cpus(1.0), &cpus(2.0));
    let bad = config("b", &cpus(2.0), &cpus(1.0));
    world.saved.clear();
    assert!(update(&mut world, true, vec![good.clone(), bad]).is_err());
    assert!(world.saved.is_empty() && world.ledger.registry.quotas.is_empty());
    update(&mut world, false, vec![good.clone()]).unwrap();
    assert_eq!(world.saved, [Key::Quotas]);
    let next = world.restart();
    assert_eq!(next.ledger.registry.quotas, world.ledger.registry.quotas);
    assert_eq!(next.ledger.stored_quotas(), [good]);
    // The default removes it.
    update(&mut world, false, vec![config("a", &json!({}), &json!({}))]).unwrap();
    assert!(world.restart().ledger.registry.quotas.is_empty());
}

#[test]
fn a_cluster_guarantees_no_more_than_it_has_unless_forced() {
    let mut world = world();
    let much = vec![config("a", &cpus(5.0), &json!({}))];
    let refusal = update(&mut world, false, much.clone()).unwrap_err();
    assert!(refusal.to_string().contains("5 cpus would be guaranteed, more than the 4"));
    update(&mut world, true, much).unwrap();
    // After a restart agents that are awaited count.
    let mut world = world.restart();
    update(&mut world, false, vec![config("a", &cpus(4.0), &json!({}))]).unwrap();
}

#[test]
fn a_limit_below_what_is_used_needs_force() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"role": "eng"})).unwrap();
    world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 2.0);
    let limit = |limit| vec![config("eng", &json!({}), &cpus(limit))];
    let refusal = update(&mut world, false, limit(1.5)).unwrap_err().to_string();
    assert!(refusal.contains("role 'eng' already consumes 2 cpus, more than the limit 1.5"));
    update(&mut world, true, limit(1.5)).unwrap();
    update(&mut world, false, limit(2.0)).unwrap();
}

#[test]
fn offers_that_would_break_a_new_limit_are_taken_back() {
    let mut world = World::new();
    world.subscribe("s1", json!({"role": "eng"})).unwrap();
    world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    update(&mut world, false, vec![config("eng", &json!({}), &cpus(1.0))]).unwrap();
    let rescind = world.events["s1"].iter().find_map(|event| event.rescind.clone()).unwrap();
    assert_eq!(rescind.offer_id, offer.id);
}

#[test]
fn offers_are_taken_back_for_who_is_guaranteed() {
    let mut world = World::new();
    world.subscribe("s1", json!({"role": "eng"})).unwrap();
    world.agent(None, vec![], vec![]);
    world.agent(None, vec![], vec![]);
    assert_eq!(world.offers("s1").len(), 2);
    world.subscribe("s2", json!({"role": "ops"})).unwrap();
    update(&mut world, false, vec![config("ops", &cpus(3.0), &json!({}))]).unwrap();
    let rescinded = world.events["s1"].iter().filter(|event| event.rescind.is_some()).count();
    assert_eq!(rescinded, 1, "one offer has enough");
}

#[test]
fn the_old_calls_set_what_is_not_set_and_remove_what_is() {
    let mut world = world();
    let request = |guarantee: Value| {
        let request: QuotaRequest =
            serde_json::from_value(json!({"role": "a", "guarantee": guarantee})).unwrap();
        Command::SetQuota { request: Box::new(request) }
    };
    let scalar =
        |value: f64| json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": value}}]);
    assert!(matches!(world.command(request(scalar(9.0))), Err(Refusal::Conflict(_))));
    world.command(request(scalar(2.0))).unwrap();
    let quota = &world.ledger.registry.quotas["a"];
    assert_eq!(quota.guarantees, quota.limits);
    assert_eq!(quota.limits, BTreeMap::from([("cpus".to_owned(), Quantity::from_units(2))]));
    assert!(matches!(world.command(request(scalar(3.0))), Err(Refusal::Invalid(_))));
    let remove = |role: &str| Command::RemoveQuota { role: role.to_owned() };
    world.command(remove("a")).unwrap();
    let refusal = world.command(remove("a")).unwrap_err().to_string();
    assert_eq!(refusal, "Failed to remove quota: Role 'a' has no quota set");
    for wrong in [
        json!([]),
        json!([{"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}}]),
        json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "role": "x"}]),
    ] {
        assert!(
            matches!(world.command(request(wrong.clone())), Err(Refusal::Invalid(_))),
            "{wrong}"
        );
    }
}
