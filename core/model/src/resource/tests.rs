use proptest::prelude::*;

use super::*;
use crate::quantity::Quantity;
use crate::strategies;

#[track_caller]
fn check(text: &str, expected: &str) {
    let result = Resources::parse(text, "*").map_or_else(
        |error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        |resources| resources.to_string(),
    );
    assert_eq!(result, expected);
}

#[test]
fn text_is_read() {
    check(
        "cpus:4;mem:1024.5; disk(web):1000 ;ports:[31000-32000];zones:{b, a}",
        "cpus:4;disk(web):1000;mem:1024.5;ports:[31000-32000];zones:{a, b}",
    );
    check("", "");
    check("cpus:0", "");
}

#[test]
fn mistakes_name_the_resource() {
    check("cpus", "'cpus' must be written like name:value, for example cpus:4");
    check("cpus:four", "the value of 'cpus': 'four' is not a number");
    check("cpus:-1", "the value of 'cpus' must not be negative");
    check("cpus:[1-2]", "'cpus' must be a number");
    check("ports:5", "'ports' must be ranges, for example [31000-32000]");
    check("ports:[2-1]", "the value of 'ports': range 2-1 ends before it begins");
    check("cpus:1;cpus:2", "'cpus' is given twice");
    check(
        "cpus(a b):1",
        "the role of 'cpus': role 'a b' must not contain white space or control characters",
    );
    check("cpus(a:1", "'cpus(a:1' must be written like name:value, for example cpus:4");
    check("mem:inf", "the value of 'mem': must be a finite number");
}

#[test]
fn the_default_role_reserves_what_has_none() {
    let resources = Resources::parse("cpus:1;mem(*):5", "web").unwrap();
    assert_eq!(resources.reserved_to("web").to_string(), "cpus(web):1");
    assert_eq!(resources.unreserved().to_string(), "mem:5");
    assert_eq!(resources.reserved_roles().into_iter().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn sums_are_over_all_kinds_of_a_name() {
    let resources =
        Resources::parse("cpus:1;cpus(web):2;ports:[1-2];ports(web):[3-4]", "*").unwrap();
    assert_eq!(resources.scalar("cpus"), Quantity::from_units(3));
    assert_eq!(resources.ranges("ports").to_string(), "[1-4]");
    assert_eq!(resources.scalar("gpus"), Quantity::ZERO);
    assert_eq!(resources.names().collect::<Vec<_>>(), ["cpus", "ports"]);
}

#[test]
fn nothing_is_taken_that_is_not_there() {
    let pool = Resources::parse("cpus:1;ports:[1-5]", "*").unwrap();
    assert_eq!(pool.checked_sub(&Resources::parse("cpus:2", "*").unwrap()), None);
    assert_eq!(pool.checked_sub(&Resources::parse("ports:[5-6]", "*").unwrap()), None);
    assert_eq!(pool.checked_sub(&Resources::parse("cpus(web):1", "*").unwrap()), None);
    let left = pool.checked_sub(&Resources::parse("cpus:1;ports:[2-3]", "*").unwrap()).unwrap();
    assert_eq!(left.to_string(), "ports:[1-1, 4-5]");
}

/// Numbers and names are sets: what is already there is not added a second time.
/// A volume is there once or not at all.
fn disjoint(a: &Resources, b: &Resources) -> Resources {
    b.saturating_sub(&a.filter(|kind| matches!(&*kind.name, "ports" | "zones")))
        .filter(|kind| !kind.is_indivisible() || a.iter().all(|mine| mine.kind != *kind))
}

fn reservation(role: &str) -> Reservation {
    Reservation {
        kind: ReservationType::Dynamic,
        role: role.into(),
        principal: None,
        labels: Vec::new(),
    }
}

fn volume(id: &str, size: i64, shared: bool) -> Resource {
    let mut kind = Kind::named("disk");
    kind.reservations = vec![reservation("eng")];
    kind.shared = shared;
    kind.disk = Some(Box::new(Disk {
        persistence: Some(Persistence { id: id.to_owned(), principal: None }),
        volume: Some(Volume {
            container_path: "data".to_owned(),
            host_path: None,
            mode: VolumeMode::ReadWrite,
        }),
        source: None,
    }));
    Resource { kind, value: Value::Scalar(Quantity::from_units(size)) }
}

#[test]
fn a_volume_is_had_whole_or_not_at_all() {
    let pool = Resources::from(volume("v", 64, false));
    assert!(!pool.contains(&volume("v", 32, false).into()));
    assert!(pool.contains(&volume("v", 64, false).into()));
    let mut elsewhere = volume("v", 64, false);
    elsewhere.kind.disk.as_mut().unwrap().volume.as_mut().unwrap().container_path = "x".into();
    let elsewhere = Resources::from(elsewhere);
    assert!(!pool.contains(&elsewhere));
    assert_eq!(elsewhere.aligned_with(&pool), pool);
}

#[test]
fn what_is_shared_is_there_once() {
    let pool = Resources::from(volume("v", 64, true));
    assert_eq!(&pool + &pool, pool);
    assert!(pool.exclusive().is_empty());
    assert_eq!(pool.shared(), pool);
}

#[test]
fn volumes_grow_and_shrink() {
    let small = volume("v", 64, false);
    let more = Resource {
        kind: small.kind.without_volume(),
        value: Value::Scalar(Quantity::from_units(36)),
    };
    let grow = Conversion::grow(&small, &more).unwrap();
    assert!(grow.conserves());
    let large = grow.apply(&[small.clone(), more].into_iter().collect()).unwrap();
    assert_eq!(large, volume("v", 100, false).into());
    let shrink = Conversion::shrink(&volume("v", 100, false), Quantity::from_units(36)).unwrap();
    assert_eq!(shrink, grow.reversed());
    for by in [0, -1, 64, 65] {
        assert_eq!(Conversion::shrink(&small, Quantity::from_units(by)), None, "{by}");
    }
}

#[track_caller]
fn check_reconcile(own: &str, total: &str, lost: &str) {
    let reserve = Resources::parse("cpus:2;ports:[1-4];disk:10", "*").unwrap();
    let reserve = Conversion::reserve(
        &reserve.map_kinds(|kind| kind.reservations = vec![reservation("eng")]),
    );
    let known = Resources::parse("cpus:4;disk:200;ports:[1-9];mem(web):50", "*").unwrap();
    let known = reserve.apply(&known).unwrap();
    let known = Conversion::reserve(
        &[volume("v", 64, false)]
            .into_iter()
            .map(|mut it| {
                it.kind = it.kind.without_volume();
                it
            })
            .collect(),
    )
    .apply(&known)
    .unwrap();
    let known = Conversion::create(&volume("v", 64, false).into()).apply(&known).unwrap();
    let own = Resources::parse(own, "*").unwrap();
    let reconciled = reconcile(&own, &known);
    assert_eq!(
        (reconciled.total.to_string(), reconciled.lost.to_string()),
        (total.into(), lost.into())
    );
}

#[test]
fn what_an_agent_still_has_stays_reserved() {
    check_reconcile(
        "cpus:4;disk:200;ports:[1-9];mem(web):50",
        "cpus:2;cpus(eng):2;disk:126;disk(eng):10;disk(eng):64;mem(web):50;ports:[5-9];ports(eng):[1-4]",
        "",
    );
    check_reconcile(
        "cpus:1;disk:70;ports:[3-12]",
        "cpus(eng):1;disk(eng):6;disk(eng):64;ports:[5-12];ports(eng):[3-4]",
        "cpus(eng):1;disk(eng):4;ports(eng):[1-2]",
    );
    check_reconcile("disk:63", "disk:53;disk(eng):10", "cpus(eng):2;disk(eng):64;ports(eng):[1-4]");
}

proptest! {
    #[test]
    fn what_is_added_can_be_taken_out(a in strategies::resources(), b in strategies::resources()) {
        let b = disjoint(&a, &b);
        let sum = &a + &b;
        prop_assert!(sum.contains(&a));
        prop_assert!(sum.contains(&b));
        prop_assert_eq!(sum.checked_sub(&b), Some(a.clone()));
        prop_assert_eq!(sum.checked_sub(&a), Some(b));
    }

    #[test]
    fn sums_do_not_depend_on_order(
        list in prop::collection::vec(strategies::resource(), 0..10),
        seed in any::<prop::sample::Index>(),
    ) {
        let mut rotated = list.clone();
        if !rotated.is_empty() {
            let at = seed.index(rotated.len());
            rotated.rotate_left(at);
            rotated.reverse();
        }
        let a: Resources = list.into_iter().collect();
        let b: Resources = rotated.into_iter().collect();
        prop_assert_eq!(a, b);
    }

    #[test]
    fn what_both_have_is_in_both(a in strategies::resources(), b in strategies::resources()) {
        let common = a.common(&b);
        prop_assert!(a.contains(&common) && b.contains(&common));
        prop_assert_eq!(a.common(&a), a);
    }

    #[test]
    fn nothing_empty_is_kept(a in strategies::resources(), b in strategies::resources()) {
        let left = a.saturating_sub(&b);
        prop_assert!(left.iter().all(|resource| !resource.value.is_empty()));
        prop_assert!(a.contains(&left));
        prop_assert_eq!(a.saturating_sub(&a), Resources::EMPTY);
        prop_assert_eq!(a.contains(&b), a.checked_sub(&b).is_some());
    }

    #[test]
    fn conversions_conserve_and_can_be_undone(
        a in strategies::resources(),
        b in strategies::resources(),
    ) {
        let target = b.map_kinds(|kind| kind.reservations.push(reservation("eng/web/x")));
        for conversion in [
            Conversion::reserve(&target),
            Conversion::create(&b.filter(Kind::is_persistent_volume)),
        ] {
            prop_assume!(conversion.conserves());
            let pool = disjoint(&conversion.consumed, &a) + &conversion.consumed;
            let pool = disjoint(&conversion.converted, &pool.saturating_sub(&conversion.consumed))
                + &conversion.consumed;
            let after = conversion.apply(&pool).unwrap();
            let step = Conversion::reserve_from(&pool, &after);
            prop_assert!(step.conserves());
            prop_assert_eq!(conversion.clone().reversed().apply(&after), Some(pool));
        }
    }

    #[test]
    fn reconciling_loses_nothing_and_changes_nothing_twice(
        own in strategies::resources(),
        known in strategies::resources(),
    ) {
        let own = own.origin();
        let reconciled = reconcile(&own, &known);
        prop_assert_eq!(&reconciled.total.origin(), &own);
        let again = reconcile(&own, &reconciled.total);
        prop_assert_eq!(again, Reconciled { total: reconciled.total, lost: Resources::EMPTY });
    }

    #[test]
    fn accounts_do_not_change_amounts(a in strategies::resources()) {
        let allocated = a.allocated_to("web");
        prop_assert!(allocated.unallocated() == a);
        prop_assert_eq!(&a.clone().into_allocated_to(&"web".into()), &allocated);
        prop_assert_eq!(allocated.scalar("cpus"), a.scalar("cpus"));
        prop_assert_eq!(a.unreserved_view().scalar("mem"), a.scalar("mem"));
        prop_assert_eq!(a.unreserved() + a.filter(|kind| kind.reserved_to().is_some()), a);
    }
}
