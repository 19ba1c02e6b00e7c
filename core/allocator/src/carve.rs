//! Which part of an agent a client gets.
#![deny(clippy::disallowed_methods)]

use karman_model::quantity::Quantity;
use karman_model::ranges::{Range, Ranges};
use karman_model::resource::{Kind, Resource, Resources, Value};

use crate::demand::Appetite;
use crate::dims::{Dims, Names};
use crate::pool::{Pool, is_common};
use crate::roles::Room;

/// Thousandths of one whole.
const ONE: i64 = 1000;

/// Who gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker<'a> {
    pub(crate) role: &'a str,
    pub(crate) appetite: Appetite,
}

impl Taker<'_> {
    pub(crate) fn may_use(self, kind: &Kind) -> bool {
        kind.is_usable_by(self.role)
            && (self.appetite.revocable || !kind.revocable)
            && (self.appetite.shared || !kind.shared)
            && (self.appetite.refined || !kind.is_refined())
    }

    /// How much there is for it.
    pub(crate) fn usable(self, pool: &Pool, names: &Names) -> Dims {
        names.sum(pool.available(), |resource| self.may_use(&resource.kind))
    }
}

/// All that the taker may use, as far as there is room for it.
pub(crate) fn whole(pool: &Pool, taker: Taker<'_>, room: Option<Room>, names: &Names) -> Resources {
    let mut room = room.unwrap_or_default();
    let usable = pool.available().iter().filter(|resource| taker.may_use(&resource.kind));
    usable.filter_map(|resource| clamp(resource, i64::MAX, &mut room, names)).collect()
}

/// No more than `most` and than there is room for.
fn clamp(resource: &Resource, most: i64, room: &mut Room, names: &Names) -> Option<Resource> {
    let Some((at, amount)) = names.amount(resource) else { return Some(resource.clone()) };
    let left = if is_common(resource) { room.get(at).unwrap_or(i64::MAX) } else { i64::MAX };
    let mut taken = amount.min(most).min(left);
    if taken < amount {
        if resource.kind.is_indivisible() {
            return None;
        }
        if &*resource.kind.name == "gpus" {
            taken -= taken % ONE;
        }
    }
    if taken <= 0 {
        return None;
    }
    if is_common(resource) {
        room.take(at, taken);
    }
    let value = Value::Scalar(Quantity::from_thousandths(taken));
    Some(Resource { kind: resource.kind.clone(), value })
}

/// So much of what the taker declared, and of everything else that can be divided
/// the same part. What is reserved for it comes first.
pub(crate) fn slice(
    pool: &Pool,
    taker: Taker<'_>,
    wanted: &Dims,
    room: Option<Room>,
    names: &Names,
) -> Resources {
    let mut room = room.unwrap_or_default();
    let part = Part::of(wanted, &taker.usable(pool, names));
    let mut left = wanted.clone();
    let mut slice = Resources::EMPTY;
    let usable = || {
        pool.available().iter().filter(|it| taker.may_use(&it.kind) && !it.kind.is_indivisible())
    };
    let reserved = |resource: &&Resource| !resource.kind.reservations.is_empty();
    for resource in usable().filter(reserved).chain(usable().filter(|it| !reserved(it))) {
        let taken = match &resource.value {
            Value::Scalar(_) => {
                let Some((at, amount)) = names.amount(resource) else { continue };
                let most = if wanted.get(at) > 0 { left.get(at) } else { part.of_amount(amount) };
                let taken = clamp(resource, most, &mut room, names);
                if let Some((at, amount)) = taken.as_ref().and_then(|it| names.amount(it)) {
                    left.add_at(at, -amount);
                }
                taken
            }
            Value::Ranges(ranges) => Some(Resource {
                kind: resource.kind.clone(),
                value: Value::Ranges(first(ranges, part.of_count(ranges.count()))),
            }),
            // Names stay together.
            Value::Set(_) => None,
        };
        if let Some(taken) = taken {
            slice.insert(taken);
        }
    }
    slice
}

/// The largest part of anything that was declared.
struct Part {
    amount: i64,
    whole: i64,
}

impl Part {
    fn of(wanted: &Dims, usable: &Dims) -> Self {
        let mut largest = Self { amount: 0, whole: 1 };
        for (at, amount) in wanted.iter() {
            let whole = usable.get(at).max(1);
            if i128::from(amount) * i128::from(largest.whole)
                > i128::from(largest.amount) * i128::from(whole)
            {
                largest = Self { amount: amount.min(whole), whole };
            }
        }
        largest
    }

    /// In whole units.
    fn of_amount(&self, all: i64) -> i64 {
        let part = i128::from(all) * i128::from(self.amount) / i128::from(self.whole);
        let part = i64::try_from(part).unwrap_or(all);
        if part == all { all } else { part - part % ONE }
    }

    fn of_count(&self, all: u64) -> u64 {
        let amount = u128::from(self.amount.unsigned_abs());
        let part = u128::from(all) * amount / u128::from(self.whole.unsigned_abs().max(1));
        u64::try_from(part).unwrap_or(all).max(1)
    }
}

/// The first `count` numbers.
fn first(ranges: &Ranges, mut count: u64) -> Ranges {
    let mut taken = Vec::new();
    for Range { begin, end } in ranges.iter() {
        if count == 0 {
            break;
        }
        let end = end.min(begin.saturating_add(count - 1));
        count -= end - begin + 1;
        taken.push(Range { begin, end });
    }
    Ranges::new(taken).unwrap_or_default()
}
