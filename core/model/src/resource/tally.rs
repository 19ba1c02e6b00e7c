//! A running sum of resources.
#![deny(clippy::disallowed_methods)]

use super::{Kind, Resource, Resources, Value};
use crate::quantity::Quantity;
use crate::ranges::{Range, Ranges};
use crate::shared_map::SharedMap;

/// The sum of many [`Resources`], of which each can be taken out again: where
/// two hold the same port of different machines, the port stays until both are
/// gone. Cheap to copy and to change, however much is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    scalars: SharedMap<Kind, Quantity>,
    /// By number: how many more hold it than hold the one before.
    ranges: SharedMap<Kind, SharedMap<u64, i64>>,
    /// How often each is held.
    sets: SharedMap<Kind, SharedMap<String, u64>>,
    /// What is there once however many hold it, and how many do.
    shared: SharedMap<Kind, (Value, u64)>,
}

impl Tally {
    pub fn add(&mut self, resources: &Resources) {
        for Resource { kind, value } in resources {
            match value {
                _once if kind.shared => {
                    let held = self.shared.get(kind).cloned();
                    let (first, holders) = held.unwrap_or_else(|| (value.clone(), 0));
                    put(&mut self.shared, kind, Some((first, holders + 1)));
                }
                Value::Scalar(amount) => {
                    let sum = self.scalars.get(kind).copied().unwrap_or_default() + *amount;
                    put(&mut self.scalars, kind, (!sum.is_zero()).then_some(sum));
                }
                Value::Ranges(ranges) => self.step_ranges(kind, ranges, 1),
                Value::Set(items) => {
                    let held = group(&mut self.sets, kind);
                    for item in items {
                        let n = held.get(item).copied().unwrap_or_default();
                        held.insert(item.clone(), n + 1);
                    }
                }
            }
        }
    }

    /// Takes out what was added before.
    pub fn subtract(&mut self, resources: &Resources) {
        for Resource { kind, value } in resources {
            match value {
                _once if kind.shared => {
                    let held = self.shared.get(kind).cloned().filter(|(_, holders)| *holders > 1);
                    put(&mut self.shared, kind, held.map(|(first, holders)| (first, holders - 1)));
                }
                Value::Scalar(amount) => {
                    let left = self.scalars.get(kind).copied().unwrap_or_default() - *amount;
                    put(&mut self.scalars, kind, (!left.is_zero()).then_some(left));
                }
                Value::Ranges(ranges) => self.step_ranges(kind, ranges, -1),
                Value::Set(items) => {
                    let held = group(&mut self.sets, kind);
                    for item in items {
                        let n = held.get(item).copied().unwrap_or_default().saturating_sub(1);
                        put(held, item, (n > 0).then_some(n));
                    }
                    if held.is_empty() {
                        self.sets.remove(kind);
                    }
                }
            }
        }
    }

    fn step_ranges(&mut self, kind: &Kind, ranges: &Ranges, step: i64) {
        let steps = group(&mut self.ranges, kind);
        let mut change = |at: u64, by: i64| {
            let sum = steps.get(&at).copied().unwrap_or_default() + by;
            put(steps, &at, (sum != 0).then_some(sum));
        };
        for Range { begin, end } in ranges.iter() {
            change(begin, step);
            // The last number of all has none after it.
            if let Some(after) = end.checked_add(1) {
                change(after, -step);
            }
        }
        if steps.is_empty() {
            self.ranges.remove(kind);
        }
    }

    /// Everything that somebody holds, each number and name once.
    pub fn total(&self) -> Resources {
        let scalars = self.scalars.iter().map(|(kind, sum)| (kind, Value::Scalar(*sum)));
        let ranges = self.ranges.iter().map(|(kind, steps)| (kind, Value::Ranges(union(steps))));
        let sets =
            self.sets.iter().map(|(kind, held)| (kind, Value::Set(held.keys().cloned().collect())));
        let shared = self.shared.iter().map(|(kind, (value, _))| (kind, value.clone()));
        scalars
            .chain(ranges)
            .chain(sets)
            .chain(shared)
            .map(|(kind, value)| Resource { kind: kind.clone(), value })
            .collect()
    }
}

fn put<K: Ord + Clone, V: Clone>(map: &mut SharedMap<K, V>, key: &K, value: Option<V>) {
    match value {
        Some(value) => match map.get_mut(key) {
            Some(old) => *old = value,
            None => {
                map.insert(key.clone(), value);
            }
        },
        None => {
            map.remove(key);
        }
    }
}

fn group<'a, K: Ord + Clone, V: Clone>(
    map: &'a mut SharedMap<Kind, SharedMap<K, V>>,
    kind: &Kind,
) -> &'a mut SharedMap<K, V> {
    if !map.contains_key(kind) {
        map.insert(kind.clone(), SharedMap::new());
    }
    map.get_mut(kind).expect("the group was put in")
}

fn union(steps: &SharedMap<u64, i64>) -> Ranges {
    let (mut all, mut holders, mut begin) = (Vec::new(), 0, 0);
    for (at, step) in steps {
        if holders == 0 {
            begin = *at;
        }
        holders += step;
        if holders == 0 {
            all.push(Range { begin, end: at - 1 });
        }
    }
    if holders > 0 {
        all.push(Range { begin, end: u64::MAX });
    }
    Ranges::new(all).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    fn parse(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    #[test]
    fn what_two_hold_stays_until_both_are_gone() {
        let (first, second) =
            (parse("cpus:1;ports:[1-9];x:{a,b}"), parse("cpus:2;ports:[5-12];x:{b}"));
        let mut tally = Tally::default();
        tally.add(&first);
        tally.add(&second);
        assert_eq!(tally.total(), parse("cpus:3;ports:[1-12];x:{a,b}"));
        tally.subtract(&first);
        assert_eq!(tally.total(), second);
        tally.subtract(&second);
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn what_is_shared_is_there_once() {
        let mut volume = parse("disk:5").iter().next().unwrap().clone();
        volume.kind.shared = true;
        let volume = Resources::from(volume);
        let mut tally = Tally::default();
        tally.add(&volume);
        tally.add(&volume);
        assert_eq!(tally.total(), volume);
        tally.subtract(&volume);
        assert_eq!(tally.total(), volume);
        tally.subtract(&volume);
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn the_largest_number_is_counted_too() {
        let mut tally = Tally::default();
        let all = parse(&format!("ports:[0-{}]", u64::MAX));
        tally.add(&all);
        assert_eq!(tally.total(), all);
        tally.subtract(&all);
        assert_eq!(tally, Tally::default());
    }

    proptest! {
        #[test]
        fn a_tally_is_the_sum_of_what_is_in_it(
            all in prop::collection::vec(strategies::resources(), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut tally = Tally::default();
            all.iter().for_each(|it| tally.add(it));
            prop_assert_eq!(tally.total(), all.iter().sum());
            let (gone, left) = all.split_at(if all.is_empty() { 0 } else { cut.index(all.len()) });
            gone.iter().for_each(|it| tally.subtract(it));
            prop_assert_eq!(tally.total(), left.iter().sum());
        }
    }
}
