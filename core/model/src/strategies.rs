//! Arbitrary nouns for property tests.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::quantity::Quantity;
use crate::ranges::{Range, Ranges};
use crate::resource::{
    Disk, Kind, Persistence, Reservation, ReservationType, Resource, Resources, Value,
};

pub(crate) fn ranges() -> impl Strategy<Value = Ranges> {
    vec((0u64..60, 0u64..8), 0..6).prop_map(|parts| {
        Ranges::new(parts.into_iter().map(|(begin, length)| Range { begin, end: begin + length }))
            .unwrap()
    })
}

fn reservations() -> impl Strategy<Value = Vec<Reservation>> {
    prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![reservation("eng", ReservationType::Static)]),
        1 => Just(vec![
            reservation("eng", ReservationType::Dynamic),
            reservation("eng/web", ReservationType::Dynamic),
        ]),
    ]
}

fn reservation(role: &str, kind: ReservationType) -> Reservation {
    Reservation { kind, role: role.into(), principal: None, labels: Vec::new() }
}

fn kind(name: &'static str) -> impl Strategy<Value = Kind> {
    (reservations(), any::<bool>(), prop::option::weighted(0.2, 0u8..2)).prop_map(
        move |(reservations, revocable, volume)| {
            let mut kind = Kind::named(name);
            kind.reservations = reservations;
            kind.revocable = revocable;
            kind.disk = volume.filter(|_| name == "disk").map(|id| {
                Box::new(Disk {
                    persistence: Some(Persistence { id: format!("volume-{id}"), principal: None }),
                    volume: None,
                    source: None,
                })
            });
            kind
        },
    )
}

pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    let scalar = prop::sample::select(vec!["cpus", "mem", "disk"])
        .prop_flat_map(|name| (kind(name), 1i64..100_000))
        .prop_map(|(kind, n)| Resource {
            kind,
            value: Value::Scalar(Quantity::from_thousandths(n)),
        });
    let ports = (kind("ports"), ranges())
        .prop_map(|(kind, ranges)| Resource { kind, value: Value::Ranges(ranges) });
    let set = (kind("zones"), prop::collection::btree_set("[a-d]", 0..3))
        .prop_map(|(kind, items)| Resource { kind, value: Value::Set(items) });
    prop_oneof![3 => scalar, 1 => ports, 1 => set]
}

pub(crate) fn resources() -> impl Strategy<Value = Resources> {
    vec(resource(), 0..8).prop_map(|list| list.into_iter().collect())
}
