use std::collections::{BTreeMap, BTreeSet};

use karman_model::quantity::Quantity;

use super::*;

mod fairness;
mod offers;
mod quota;
mod random;
mod reference;

const NOW: Timestamp = Timestamp(1_000_000);

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().map(|name| (*name).into()).collect()
}

fn with_agents(agents: &[(&str, &str)]) -> Allocator {
    let mut allocator = Allocator::default();
    for (id, total) in agents {
        let machine = Machine { total: resources(total), ..Machine::default() };
        allocator.add_agent(&AgentId::from(*id), machine);
    }
    allocator
}

fn demand(role: &str) -> Demand {
    Demand { roles: roles(&[role]), active: true, ..Demand::default() }
}

fn join(allocator: &mut Allocator, id: &str, role: &str) -> FrameworkId {
    let framework = FrameworkId::from(id);
    allocator.put_framework(&framework, demand(role));
    framework
}

#[track_caller]
fn check(grants: &[Grant], expected: &[&str]) {
    let shown: Vec<String> = grants
        .iter()
        .map(|grant| {
            format!("{} {} {}: {}", grant.agent, grant.framework, grant.role, grant.resources)
        })
        .collect();
    assert_eq!(shown, expected);
}

fn give_back(allocator: &mut Allocator, grant: &Grant, refuse_for: Option<u64>) {
    let Grant { agent, framework, role, resources } = grant;
    if let Some(ms) = refuse_for {
        allocator.refuse(agent, framework, role, resources, Timestamp(NOW.0 + ms));
    }
    allocator.release(agent, framework, role, resources);
}

#[test]
fn everything_of_an_agent_goes_to_whom_most_is_owed() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100"), ("b", "cpus:4;mem:100")]);
    join(&mut allocator, "f1", "*");
    join(&mut allocator, "f2", "*");
    check(&allocator.allocate(NOW), &["a f1 *: cpus:4;mem:100", "b f2 *: cpus:4;mem:100"]);
    check(&allocator.allocate(NOW), &[]);
}

#[test]
fn roles_come_before_frameworks() {
    let mut allocator =
        with_agents(&[("a", "cpus:1;mem:50"), ("b", "cpus:1;mem:50"), ("c", "cpus:1;mem:50")]);
    join(&mut allocator, "f1", "eng");
    join(&mut allocator, "f2", "eng");
    join(&mut allocator, "f3", "ops");
    let grants = allocator.allocate(NOW);
    check(
        &grants,
        &["a f1 eng: cpus:1;mem:50", "b f3 ops: cpus:1;mem:50", "c f2 eng: cpus:1;mem:50"],
    );
}

#[test]
fn the_dominant_resource_decides() {
    let mut allocator = with_agents(&[("a", "cpus:9;mem:18")]);
    let (f1, f2) = (join(&mut allocator, "f1", "*"), join(&mut allocator, "f2", "*"));
    let agent = AgentId::from("a");
    let any: Role = "*".into();
    // A third of the processors against a sixth of the memory.
    allocator.charge(&agent, &f1, &any, &resources("cpus:3;mem:1"));
    allocator.charge(&agent, &f2, &any, &resources("cpus:1;mem:3"));
    check(&allocator.allocate(NOW), &["a f2 *: cpus:5;mem:14"]);
}

#[test]
fn who_declines_leaves_it_to_the_others_at_once() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    join(&mut allocator, "f1", "*");
    join(&mut allocator, "f2", "*");
    let first = allocator.allocate(NOW);
    check(&first, &["a f1 *: cpus:4;mem:100"]);
    give_back(&mut allocator, &first[0], Some(5000));
    let second = allocator.allocate(NOW);
    check(&second, &["a f2 *: cpus:4;mem:100"]);
    give_back(&mut allocator, &second[0], Some(60_000));
    check(&allocator.allocate(NOW), &[]);
    assert_eq!(allocator.next_deadline(), Some(Timestamp(NOW.0 + 5000)));
    check(&allocator.allocate(Timestamp(NOW.0 + 5000)), &["a f1 *: cpus:4;mem:100"]);
}

#[test]
fn more_than_was_declined_is_offered_again() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let f1 = join(&mut allocator, "f1", "*");
    let (agent, any): (AgentId, Role) = ("a".into(), "*".into());
    allocator.charge(&agent, &f1, &any, &resources("cpus:1;mem:10"));
    let grants = allocator.allocate(NOW);
    give_back(&mut allocator, &grants[0], Some(5000));
    check(&allocator.allocate(NOW), &[]);
    allocator.release(&agent, &f1, &any, &resources("cpus:1;mem:10"));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:4;mem:100"]);
}

#[test]
fn reviving_ends_suppression_and_filters() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let f1 = join(&mut allocator, "f1", "*");
    let grants = allocator.allocate(NOW);
    give_back(&mut allocator, &grants[0], Some(5000));
    allocator.suppress(&f1, &BTreeSet::new());
    check(&allocator.allocate(Timestamp(NOW.0 + 6000)), &[]);
    allocator.revive(&f1, &BTreeSet::new());
    check(&allocator.allocate(Timestamp(NOW.0 + 6000)), &["a f1 *: cpus:4;mem:100"]);
}

#[test]
fn crumbs_are_not_offered() {
    let mut allocator =
        with_agents(&[("a", "cpus:0.009;mem:31;disk:1000"), ("b", "cpus:0.01"), ("c", "mem:32")]);
    join(&mut allocator, "f1", "*");
    check(&allocator.allocate(NOW), &["b f1 *: cpus:0.01", "c f1 *: mem:32"]);
}

#[test]
fn a_framework_may_say_what_a_crumb_is() {
    let mut allocator = with_agents(&[("a", "cpus:2;mem:100"), ("b", "cpus:8;mem:100")]);
    let least = BTreeMap::from([("cpus".to_owned(), Quantity::from_units(4))]);
    let minimums = Minimums::from([("*".into(), vec![least])]);
    let framework = FrameworkId::from("f1");
    allocator.put_framework(&framework, Demand { minimums, ..demand("*") });
    check(&allocator.allocate(NOW), &["b f1 *: cpus:8;mem:100"]);
}

#[test]
fn reservations_are_for_their_role_and_those_below() {
    let mut allocator = with_agents(&[("a", "cpus:2;cpus(eng):2;mem(ops):100")]);
    join(&mut allocator, "f1", "eng/web");
    join(&mut allocator, "f2", "ops");
    check(
        &allocator.allocate(NOW),
        &["a f1 eng/web: cpus:2;cpus(eng):2", "a f2 ops: mem(ops):100"],
    );
}

#[test]
fn accelerators_are_for_those_who_ask() {
    let mut allocator = with_agents(&[("a", "cpus:2;mem:100;gpus:1")]);
    join(&mut allocator, "f1", "*");
    check(&allocator.allocate(NOW), &[]);
    let appetite = Appetite { gpu: true, ..Appetite::default() };
    let framework = FrameworkId::from("f2");
    allocator.put_framework(&framework, Demand { appetite, ..demand("*") });
    check(&allocator.allocate(NOW), &["a f2 *: cpus:2;gpus:1;mem:100"]);
}
