use karman_api::mesos::v1;
use karman_api::mesos::v1::value::{Range, Ranges, Scalar, Text, Type};
use proptest::prelude::*;

use super::*;

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: Type::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..v1::Resource::default()
    }
}

fn offer(i: usize, cpus: f64, ports: (u64, u64), zone: &str) -> Offer {
    let range = vec![Range { begin: ports.0, end: ports.1 }];
    let ports = v1::Resource {
        name: "ports".into(),
        r#type: Type::Ranges.into(),
        ranges: Some(Ranges { range }),
        ..v1::Resource::default()
    };
    let reservation =
        v1::resource::ReservationInfo { role: Some("other".into()), ..Default::default() };
    let reserved = v1::Resource { reservations: vec![reservation], ..scalar("cpus", 100.0) };
    Offer::from_wire(&v1::Offer {
        id: v1::OfferId { value: format!("o{i}") },
        agent_id: v1::AgentId { value: format!("a{i}") },
        hostname: format!("host{i}"),
        resources: vec![
            scalar("cpus", cpus),
            scalar("mem", 1024.0),
            scalar("disk", 0.0),
            ports,
            reserved,
        ],
        attributes: vec![v1::Attribute {
            name: "zone".into(),
            r#type: Type::Text.into(),
            text: Some(Text { value: zone.into() }),
            ..v1::Attribute::default()
        }],
        ..v1::Offer::default()
    })
}

fn need<'a>(instances: &[&'a str], constraints: &'a [Constraint]) -> Need<'a> {
    Need {
        app: "/web",
        instances: instances.to_vec(),
        cpus: Quantity::from_units(1),
        mem: Quantity::from_units(10),
        disk: Quantity::ZERO,
        ports: vec![PortNeed::Any],
        constraints,
        neighbours: Vec::new(),
    }
}

fn constraint(parts: &[&str]) -> Constraint {
    Constraint::parse(&parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Hosts in order of launch, then the refusals.
#[track_caller]
fn check(offers: &[Offer], need: &Need<'_>, hosts: &[usize], refused: &[(usize, RejectReason)]) {
    let solution = solve(offers, std::slice::from_ref(need), &mut || 7);
    let placed: Vec<usize> = solution.launches.iter().map(|launch| launch.offer).collect();
    assert_eq!(placed, hosts);
    let report = &solution.reports["/web"];
    assert_eq!(report.refused.clone().into_iter().collect::<Vec<_>>(), refused);
}

#[test]
fn instances_are_spread_over_agents() {
    let offers = [offer(0, 4.0, (1, 9), "a"), offer(1, 4.0, (1, 9), "b")];
    check(&offers, &need(&["1", "2", "3", "4"], &[]), &[0, 1, 0, 1], &[]);
    let crowded = Need { neighbours: vec![offers[0].site(); 2], ..need(&["1", "2", "3"], &[]) };
    check(&offers, &crowded, &[1, 1, 0], &[]);
}

#[test]
fn refusals_name_the_first_reason() {
    use RejectReason::{InsufficientCpus, InsufficientDisk, InsufficientMemory, InsufficientPorts};
    let offers = [offer(0, 1.5, (1, 9), "a"), offer(1, 0.5, (1, 9), "b")];
    check(&offers, &need(&["1", "2"], &[]), &[0], &[(0, InsufficientCpus), (1, InsufficientCpus)]);
    let big = |mem, disk, ports| Need {
        mem: Quantity::from_units(mem),
        disk: Quantity::from_units(disk),
        ports: vec![PortNeed::Any; ports],
        ..need(&["1"], &[])
    };
    let one = std::slice::from_ref(&offers[0]);
    check(one, &big(2000, 0, 1), &[], &[(0, InsufficientMemory)]);
    check(one, &big(1, 1, 1), &[], &[(0, InsufficientDisk)]);
    check(one, &big(1, 0, 10), &[], &[(0, InsufficientPorts)]);
    check(&[], &need(&["1"], &[]), &[], &[]);
}

#[test]
fn constraints_decide_where() {
    use RejectReason::UnfulfilledConstraint as Unfulfilled;
    let offers: Vec<Offer> =
        ["a", "a", "b"].iter().enumerate().map(|(i, zone)| offer(i, 9.0, (1, 99), zone)).collect();
    let three = ["1", "2", "3", "4"];
    let all = [(0, Unfulfilled), (1, Unfulfilled), (2, Unfulfilled)];
    for (parts, hosts, refused) in [
        (&["hostname", "UNIQUE"][..], &[0, 1, 2][..], &all[..]),
        (&["zone", "UNIQUE"], &[0, 2], &all),
        (&["zone", "CLUSTER", "b"], &[2, 2, 2, 2], &[]),
        (&["zone", "CLUSTER"], &[0, 1, 0, 1], &[]),
        (&["zone", "GROUP_BY"], &[0, 2, 1, 2], &[]),
        (&["zone", "MAX_PER", "1"], &[0, 2], &all),
        (&["zone", "LIKE", "[ab]"], &[0, 1, 2, 0], &[]),
        (&["zone", "LIKE", ""], &[], &all),
        (&["zone", "UNLIKE", "a"], &[2, 2, 2, 2], &[]),
        (&["rack", "UNLIKE", "a"], &[0, 1, 2, 0], &[]),
        (&["rack", "UNIQUE"], &[], &all),
        (&["@hostname", "IS", "host1"], &[1, 1, 1, 1], &[]),
        (&["@zone", "IS", "a"], &[], &all),
    ] {
        let constraints = [constraint(parts)];
        check(&offers, &need(&three, &constraints), hosts, refused);
    }
    assert!(Constraint::parse(&["a".into(), "LIKE".into(), "(".into()]).is_err());
    assert!(constraint(&["n", "IS", "3.0"]).admits(
        &Site { attributes: [("n".into(), "3".into())].into(), ..Site::default() },
        &[],
        &[]
    ));
}

#[test]
fn ports_start_anywhere_and_pins_hold() {
    let ranges = karman_model::ranges::Ranges::parse("[10-12, 20-21]").unwrap();
    let any = PortNeed::Any;
    assert_eq!(ports::allocate(&ranges, &[any, any, any], 4), Some(vec![21, 10, 11]));
    assert_eq!(ports::allocate(&ranges, &[any, PortNeed::Exactly(10)], 5), Some(vec![12, 10]));
    assert_eq!(ports::allocate(&ranges, &[PortNeed::Exactly(13)], 0), None);
    assert_eq!(ports::allocate(&ranges, &[any; 6], 0), None);
    assert_eq!(ports::allocate(&ranges, &[], 3), Some(vec![]));
}

proptest! {
    #[test]
    fn offers_are_never_overbooked(
        cpus in prop::collection::vec(0u32..5, 0..5), instances in 0usize..20, seed in any::<u64>(),
    ) {
        let offers: Vec<Offer> =
            cpus.iter().enumerate().map(|(i, cpus)| offer(i, f64::from(*cpus), (31_000, 31_003), "a")).collect();
        let names: Vec<String> = (0..instances).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut random = seed;
        let solution = solve(&offers, &[need(&names, &[])], &mut || { random = random.wrapping_mul(31).wrapping_add(7); random });
        let room: usize = cpus.iter().map(|cpus| (*cpus).min(4) as usize).sum();
        prop_assert_eq!(solution.launches.len(), instances.min(room));
        for (i, cpus) in cpus.iter().enumerate() {
            let mut ports: Vec<u16> = solution.launches.iter().filter(|one| one.offer == i).flat_map(|one| one.ports.clone()).collect();
            prop_assert!(ports.len() <= *cpus as usize);
            ports.sort_unstable();
            let all = ports.len();
            ports.dedup();
            prop_assert_eq!(ports.len(), all);
            prop_assert!(ports.iter().all(|port| (31_000..=31_003).contains(port)));
        }
        prop_assert_eq!(solve(&offers, &[need(&names, &[])], &mut || 1), solve(&offers, &[need(&names, &[])], &mut || 1));
    }
}
