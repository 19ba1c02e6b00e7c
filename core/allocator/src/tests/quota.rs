//! Guarantees are kept, limits hold, at every level of the tree.

use super::*;

fn amounts(text: &str) -> Quantities {
    Quantities::of(&resources(text))
}

fn quota(guarantees: &str, limits: &str) -> Option<Quota> {
    let limits = amounts(limits).iter().map(|(name, amount)| (name.clone(), amount)).collect();
    Some(Quota { guarantees: amounts(guarantees), limits })
}

fn take(allocator: &mut Allocator, grant: &Grant) {
    allocator.settle(&grant.framework, &grant.role, &grant.resources);
}

#[test]
fn a_guarantee_is_kept_free_from_others() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100"), ("b", "cpus:4;mem:100")]);
    join(&mut allocator, "f1", "hoarder");
    allocator.set_quota(&"owner".into(), quota("cpus:6;mem:100", ""));
    check(&allocator.allocate(NOW), &["a f1 hoarder: cpus:2;mem:100"]);
    join(&mut allocator, "f2", "owner");
    check(&allocator.allocate(NOW), &["a f2 owner: cpus:2", "b f2 owner: cpus:4;mem:100"]);
}

#[test]
fn who_is_guaranteed_gets_what_becomes_free_at_once() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100"), ("b", "cpus:4;mem:100")]);
    join(&mut allocator, "f1", "hoarder");
    let mut held = allocator.allocate(NOW);
    assert_eq!(held.len(), 2);
    held.iter().for_each(|grant| take(&mut allocator, grant));
    allocator.set_quota(&"owner".into(), quota("cpus:2;mem:50", ""));
    join(&mut allocator, "f2", "owner");
    check(&allocator.allocate(NOW), &[]);
    // The hoarder is owed nothing of what it gives back, though it asks first.
    let back = Grant { resources: resources("cpus:2;mem:50"), ..held.remove(0) };
    allocator.release(&back.agent, &back.framework, &back.role, &back.resources);
    check(&allocator.allocate(NOW), &["a f2 owner: cpus:2;mem:50"]);
}

#[test]
fn a_limit_counts_offers_and_idle_reservations() {
    let mut allocator =
        with_agents(&[("a", "cpus:4;mem:100;cpus(eng/web):3"), ("b", "cpus:4;mem:100")]);
    allocator.set_quota(&"eng".into(), quota("", "cpus:5"));
    join(&mut allocator, "f1", "eng");
    check(&allocator.allocate(NOW), &["a f1 eng: cpus:2;mem:100", "b f1 eng: mem:100"]);
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:3");
    join(&mut allocator, "f2", "eng/web");
    // What is reserved for it is in the limit already.
    check(&allocator.allocate(NOW), &["a f2 eng/web: cpus(eng/web):3"]);
}

#[test]
fn limits_hold_at_every_level() {
    let mut allocator = with_agents(&[("a", "cpus:10;mem:100")]);
    allocator.set_quota(&"eng".into(), quota("", "cpus:6"));
    allocator.set_quota(&"eng/web".into(), quota("", "cpus:4"));
    join(&mut allocator, "f1", "eng/web");
    check(&allocator.allocate(NOW), &["a f1 eng/web: cpus:4;mem:100"]);
    join(&mut allocator, "f2", "eng/db");
    check(&allocator.allocate(NOW), &["a f2 eng/db: cpus:2"]);
    assert_eq!(allocator.limiting("eng/db", &amounts("cpus:1")), Some("eng".into()));
    assert_eq!(allocator.limiting("eng/new", &amounts("cpus:1")), Some("eng".into()));
    assert_eq!(allocator.limiting("ops", &amounts("cpus:1")), None);
}

#[test]
fn a_raised_limit_and_a_freed_part_of_it_are_used_at_once() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100"), ("b", "cpus:4;mem:100")]);
    allocator.set_quota(&"eng".into(), quota("", "cpus:4"));
    let f1 = join(&mut allocator, "f1", "eng");
    let grants = allocator.allocate(NOW);
    check(&grants, &["a f1 eng: cpus:4;mem:100", "b f1 eng: mem:100"]);
    grants.iter().for_each(|grant| take(&mut allocator, grant));
    allocator.set_quota(&"eng".into(), quota("", "cpus:5"));
    check(&allocator.allocate(NOW), &["b f1 eng: cpus:1"]);
    // Freed on an agent that goes away: there is room for the same elsewhere.
    let (agent, role) = (AgentId::from("a"), "eng".into());
    allocator.release(&agent, &f1, &role, &resources("cpus:4;mem:100"));
    allocator.remove_agent(&agent);
    check(&allocator.allocate(NOW), &["b f1 eng: cpus:3"]);
}

#[test]
fn what_is_guaranteed_above_is_for_all_below_but_not_for_others() {
    let mut allocator = with_agents(&[("a", "cpus:10;mem:100")]);
    allocator.set_quota(&"eng".into(), quota("cpus:8", ""));
    allocator.set_quota(&"eng/db".into(), quota("cpus:5", ""));
    join(&mut allocator, "f1", "ops");
    check(&allocator.allocate(NOW), &["a f1 ops: cpus:2;mem:100"]);
    join(&mut allocator, "f2", "eng/web");
    check(&allocator.allocate(NOW), &["a f2 eng/web: cpus:3"]);
    join(&mut allocator, "f3", "eng/db");
    check(&allocator.allocate(NOW), &["a f3 eng/db: cpus:5"]);
}

#[test]
fn an_idle_reservation_fulfils_a_guarantee() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100;cpus(owner):4")]);
    allocator.set_quota(&"owner".into(), quota("cpus:4", ""));
    join(&mut allocator, "f1", "other");
    check(&allocator.allocate(NOW), &["a f1 other: cpus:4;mem:100"]);
}

#[test]
fn what_is_offered_is_not_consumed_yet() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let f1 = join(&mut allocator, "f1", "eng");
    let grants = allocator.allocate(NOW);
    assert_eq!(allocator.consumption("eng").to_string(), "");
    assert_eq!(allocator.role("eng").unwrap().offered.to_string(), "cpus:4;mem:100");
    take(&mut allocator, &grants[0]);
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:4;mem:100");
    let reserved = Resources::parse("cpus:1", "eng").unwrap();
    let (agent, role) = (AgentId::from("a"), "eng".into());
    allocator.convert(&agent, &f1, &role, &resources("cpus:1"), &reserved);
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:4;mem:100");
    allocator.release(&agent, &f1, &role, &resources("cpus:3;mem:100"));
    allocator.release(&agent, &f1, &role, &reserved);
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:1");
    check(&allocator.allocate(NOW), &["a f1 eng: cpus:3;cpus(eng):1;mem:100"]);
}

#[test]
fn nothing_is_offered_while_paused() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    join(&mut allocator, "f1", "eng");
    allocator.pause();
    check(&allocator.allocate(NOW), &[]);
    assert_eq!(allocator.next_deadline(), None);
    allocator.resume();
    check(&allocator.allocate(NOW), &["a f1 eng: cpus:4;mem:100"]);
}

#[test]
fn what_may_be_taken_back_is_no_matter_of_quota() {
    let mut total = resources("cpus:2;mem:100");
    let mut spare = karman_model::resource::Resource::scalar("cpus", Quantity::from_units(6));
    spare.kind.revocable = true;
    total.insert(spare);
    let mut allocator = Allocator::default();
    allocator.add_agent(&"a".into(), Machine { total, ..Machine::default() });
    allocator.set_quota(&"eng".into(), quota("", "cpus:1"));
    let appetite = Appetite { revocable: true, ..Appetite::default() };
    allocator.put_framework(&"f1".into(), Demand { appetite, ..demand("eng") });
    check(&allocator.allocate(NOW), &["a f1 eng: cpus:1;cpus:6;mem:100"]);
}

#[test]
fn what_is_expected_counts_before_it_is_there() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let total = Resources::parse("cpus:2;cpus(eng/web):3;mem(ops):7", "*").unwrap();
    allocator.expect_agent(&"b".into(), &total);
    assert_eq!(allocator.capacity().to_string(), "cpus:9;mem:107");
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:3");
    allocator.set_quota(&"eng".into(), quota("", "cpus:4"));
    join(&mut allocator, "f1", "eng");
    check(&allocator.allocate(NOW), &["a f1 eng: cpus:1;mem:100"]);
    assert_eq!(allocator.claimed("eng").to_string(), "cpus:4;mem:100");
    // It comes, and is counted once.
    let machine = Machine { total, ..Machine::default() };
    allocator.add_agent(&"b".into(), machine);
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:3");
    assert_eq!(allocator.capacity().to_string(), "cpus:9;mem:107");
    allocator.remove_agent(&"b".into());
    assert_eq!(allocator.consumption("eng").to_string(), "");
    assert_eq!(allocator.capacity().to_string(), "cpus:4;mem:100");
}

#[test]
fn what_is_expected_and_does_not_come_counts_no_longer() {
    let mut allocator = with_agents(&[]);
    allocator.expect_agent(&"b".into(), &Resources::parse("cpus(eng):3", "*").unwrap());
    allocator.expect_agent(&"b".into(), &Resources::parse("cpus(eng):2", "*").unwrap());
    assert_eq!(allocator.consumption("eng").to_string(), "cpus:2");
    allocator.remove_agent(&"b".into());
    assert_eq!(allocator.consumption("eng").to_string(), "");
    assert!(allocator.roles().is_empty(), "nothing is left of the role");
}
