//! What goes into an offer, and why there is none.

use karman_model::attribute::Attributes;
use karman_model::resource::{
    Disk, Kind, Persistence, Reservation, ReservationType, Resource, Value,
};

use super::*;
use crate::constraints::{Predicate, Selector};

fn sized(role: &str, sizes: &[&str]) -> Demand {
    let size = |text: &&str| {
        let amounts = Quantities::of(&resources(text));
        amounts.iter().map(|(name, amount)| (name.to_string(), amount)).collect()
    };
    let minimums = Minimums::from([(role.into(), sizes.iter().map(size).collect())]);
    Demand { minimums, ..demand(role) }
}

#[test]
fn a_machine_is_cut_for_those_who_say_what_they_need() {
    let mut allocator = with_agents(&[("a", "cpus:10;mem:100;disk:100;ports:[1-100]")]);
    allocator.put_framework(&"f1".into(), sized("*", &["cpus:2;mem:10"]));
    allocator.put_framework(&"f2".into(), sized("*", &["cpus:4;mem:10"]));
    // Slices of 2, 4, 2 and 2; the rest goes to the one that is owed more.
    check(
        &allocator.allocate(NOW),
        &[
            "a f1 *: cpus:6;disk:60;mem:30;ports:[1-20, 61-100]",
            "a f2 *: cpus:4;disk:40;mem:70;ports:[21-60]",
        ],
    );
}

#[test]
fn a_lone_framework_gets_the_whole_machine_in_one_offer() {
    let mut allocator = with_agents(&[("a", "cpus:10;mem:100")]);
    allocator.put_framework(&"f1".into(), sized("*", &["cpus:2"]));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:10;mem:100"]);
}

#[test]
fn machines_stay_whole_while_there_are_enough_of_them() {
    let mut allocator = with_agents(&[("a", "cpus:10;mem:100"), ("b", "cpus:10;mem:100")]);
    allocator.put_framework(&"f1".into(), sized("*", &["cpus:2"]));
    allocator.put_framework(&"f2".into(), sized("*", &["cpus:2"]));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:10;mem:100", "b f2 *: cpus:10;mem:100"]);
}

#[test]
fn small_needs_do_not_make_crumbs_of_a_large_machine() {
    let mut allocator = with_agents(&[("a", "cpus:1000;mem:1000")]);
    let ids: Vec<String> = (0..4).map(|at| format!("f{at}")).collect();
    for id in &ids {
        allocator.put_framework(&id.as_str().into(), sized("*", &["cpus:0.1"]));
    }
    let grants = allocator.allocate(NOW);
    assert_eq!(grants.len(), 4);
    for grant in &grants {
        assert_eq!(grant.resources.scalar("cpus"), Quantity::from_units(250));
    }
}

#[test]
fn constraints_are_pushed_down() {
    let mut allocator = Allocator::default();
    for (id, attributes) in [("a", "rack:r1"), ("b", "rack:r2")] {
        let machine = Machine {
            total: resources("cpus:4;mem:100"),
            attributes: Attributes::parse(attributes).unwrap(),
            ..Machine::default()
        };
        allocator.add_agent(&id.into(), machine);
    }
    let rule = (Selector::Attribute("rack".into()), Predicate::TextEquals("r2".into()));
    let constraints = Constraints::from_parts([("*".into(), vec![vec![rule]])]).unwrap();
    allocator.put_framework(&"f1".into(), Demand { constraints, ..demand("*") });
    check(&allocator.allocate(NOW), &["b f1 *: cpus:4;mem:100"]);
    // The agent says something else about itself now.
    let machine = Machine {
        total: resources("cpus:4;mem:100"),
        attributes: Attributes::parse("rack:r2").unwrap(),
        ..Machine::default()
    };
    allocator.update_agent(&"a".into(), machine);
    check(&allocator.allocate(NOW), &["a f1 *: cpus:4;mem:100"]);
}

#[test]
fn other_regions_are_for_those_who_know_of_regions() {
    let mut allocator = Allocator::default();
    allocator.set_home_region(Some("eu".into()));
    let place = |region: &str| Machine {
        total: resources("cpus:4;mem:100"),
        domain: Some(Domain { region: region.into(), zone: "z".into() }),
        ..Machine::default()
    };
    allocator.add_agent(&"near".into(), place("eu"));
    allocator.add_agent(&"far".into(), place("us"));
    join(&mut allocator, "f1", "*");
    check(&allocator.allocate(NOW), &["near f1 *: cpus:4;mem:100"]);
    let appetite = Appetite { region_aware: true, ..Appetite::default() };
    allocator.put_framework(&"f2".into(), Demand { appetite, ..demand("*") });
    check(&allocator.allocate(NOW), &["far f2 *: cpus:4;mem:100"]);
}

fn volume(shared: bool) -> Resource {
    let mut kind = Kind::named("disk");
    kind.shared = shared;
    kind.reservations.push(Reservation {
        kind: ReservationType::Dynamic,
        role: "eng".into(),
        principal: None,
        labels: Vec::new(),
    });
    let persistence = Some(Persistence { id: "v".into(), principal: None });
    kind.disk = Some(Box::new(Disk { persistence, volume: None, source: None }));
    Resource { kind, value: Value::Scalar(Quantity::from_units(10)) }
}

#[test]
fn a_shared_volume_goes_along_and_is_never_used_up() {
    let mut total = resources("cpus:4;mem:100");
    total.insert(volume(true));
    let mut allocator = Allocator::default();
    allocator.add_agent(&"a".into(), Machine { total, ..Machine::default() });
    let appetite = Appetite { shared: true, ..Appetite::default() };
    let f1 = FrameworkId::from("f1");
    allocator.put_framework(&f1, Demand { appetite, ..demand("eng") });
    allocator.put_framework(&"f2".into(), Demand { appetite, ..demand("eng") });
    let grants = allocator.allocate(NOW);
    check(&grants, &["a f1 eng: cpus:4;disk(eng):10;mem:100"]);
    check(&allocator.allocate(NOW), &[]);
    // The task uses the volume; the other framework may have it all the same.
    let Grant { agent, framework, role, resources: offered } = &grants[0];
    let mut task = resources("cpus:1;mem:10");
    task.insert(volume(true));
    let rest = offered.unallocated().checked_sub(&resources("cpus:1;mem:10")).unwrap();
    allocator.settle(framework, role, offered);
    allocator.release(agent, framework, role, &rest);
    check(&allocator.allocate(NOW), &["a f2 eng: cpus:3;disk(eng):10;mem:90"]);
    allocator.release(agent, framework, role, &task);
    assert_eq!(allocator.available(agent), resources("cpus:1;mem:10"));
}

#[test]
fn an_agent_may_come_to_have_more_or_less() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let f1 = join(&mut allocator, "f1", "*");
    let (agent, any): (AgentId, Role) = ("a".into(), "*".into());
    allocator.charge(&agent, &f1, &any, &resources("cpus:3;mem:50"));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:1;mem:50"]);
    let machine = |text: &str| Machine { total: resources(text), ..Machine::default() };
    allocator.update_agent(&agent, machine("cpus:6;mem:100"));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:2"]);
    allocator.update_agent(&agent, machine("cpus:2;mem:100"));
    // It uses more than there is: what comes back first makes up for that.
    allocator.release(&agent, &f1, &any, &resources("cpus:3;mem:50"));
    check(&allocator.allocate(NOW), &["a f1 *: mem:50"]);
    allocator.release(&agent, &f1, &any, &resources("cpus:3"));
    check(&allocator.allocate(NOW), &["a f1 *: cpus:2"]);
}

#[track_caller]
fn check_why(allocator: &Allocator, framework: &str, role: &str, expected: &str) {
    let why = allocator.explain(&framework.into(), &role.into());
    let agents: Vec<String> =
        why.agents.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    assert_eq!(format!("{}: {}", why.standing, agents.join("; ")), expected);
}

#[test]
fn silence_is_explained() {
    let mut allocator = with_agents(&[
        ("a", "cpus:4;mem:100"),
        ("b", "cpus:1;mem:100"),
        ("c", "cpus:4;mem:100;gpus:1"),
    ]);
    let f1 = FrameworkId::from("f1");
    allocator.put_framework(&f1, sized("eng", &["cpus:2"]));
    check_why(
        &allocator,
        "f1",
        "eng",
        "waiting for offers: 1 has GPUs, framework has no GPU_RESOURCES; 1 not enough cpus; 1 about to be offered",
    );
    let grants = allocator.allocate(NOW);
    allocator.set_agent_active(&"b".into(), false);
    check_why(
        &allocator,
        "f1",
        "eng",
        "waiting for offers: 1 agent is away or deactivated; 1 has GPUs, framework has no GPU_RESOURCES; 1 everything is used or offered",
    );
    let part = allocator.explain_some(&f1, &"eng".into(), Some(&"aa".into()), 1);
    let seen: Vec<&str> = part.agents.iter().map(|(agent, ..)| agent.as_str()).collect();
    assert_eq!((seen.as_slice(), part.next), (&["b"][..], Some("c".into())));
    assert_eq!(allocator.explain_some(&f1, &"eng".into(), Some(&"c".into()), 9).next, None);
    give_back(&mut allocator, &grants[0], Some(5000));
    let why = allocator.explain(&f1, &"eng".into());
    assert_eq!(why.until, Some(Timestamp(NOW.0 + 5000)));
    assert!(why.agents.contains(&(Reason::Declined, 1)));
    allocator.set_quota(
        &"eng".into(),
        Some(Quota { limits: [("cpus".into(), Quantity::ZERO)].into(), ..Quota::default() }),
    );
    assert!(
        allocator.explain(&f1, &"eng".into()).agents.contains(&(Reason::Limit("eng".into()), 1))
    );
    check_why(&allocator, "f1", "ops", "framework is not in the role: ");
    check_why(&allocator, "f9", "ops", "unknown framework: ");
    allocator.suppress(&f1, &BTreeSet::new());
    assert_eq!(allocator.explain(&f1, &"eng".into()).standing, Standing::Suppressed);
    assert_eq!(allocator.suppressed(), BTreeMap::from([(f1, BTreeSet::from(["eng".into()]))]));
}

#[test]
fn names_that_come_later_count_too() {
    let mut allocator = Allocator::default();
    allocator.put_framework(&"f1".into(), sized("*", &["licences:1"]));
    let machine = |text: &str| Machine { total: resources(text), ..Machine::default() };
    allocator.add_agent(&"a".into(), machine("cpus:4;mem:100"));
    check(&allocator.allocate(NOW), &[]);
    allocator.add_agent(&"b".into(), machine("cpus:4;licences:2;n1:1;n2:1;n3:1;n4:1"));
    check(&allocator.allocate(NOW), &["b f1 *: cpus:4;licences:2;n1:1;n2:1;n3:1;n4:1"]);
}
