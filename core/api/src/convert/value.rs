//! Scalars, ranges and labels.
#![deny(clippy::disallowed_methods)]

use karman_model::quantity::Quantity;
use karman_model::ranges::{Range, Ranges};
use karman_model::resource::Label;

use super::{Error, Problem, error};
use crate::mesos::v1;

pub(super) fn scalar_from_wire(
    name: &str,
    scalar: Option<&v1::value::Scalar>,
) -> Result<Quantity, Error> {
    let v1::value::Scalar { value } =
        scalar.ok_or_else(|| error(name, "scalar", Problem::Missing))?;
    Quantity::from_f64(*value).map_err(|problem| error(name, "scalar", Problem::Amount(problem)))
}

pub(super) fn scalar_to_wire(quantity: Quantity) -> v1::value::Scalar {
    v1::value::Scalar { value: quantity.as_f64() }
}

pub(super) fn ranges_from_wire(
    name: &str,
    ranges: Option<&v1::value::Ranges>,
) -> Result<Ranges, Error> {
    let v1::value::Ranges { range } =
        ranges.ok_or_else(|| error(name, "ranges", Problem::Missing))?;
    let ranges =
        range.iter().map(|v1::value::Range { begin, end }| Range { begin: *begin, end: *end });
    Ranges::new(ranges).map_err(|problem| error(name, "ranges", Problem::Ranges(problem)))
}

pub(super) fn ranges_to_wire(ranges: &Ranges) -> v1::value::Ranges {
    v1::value::Ranges {
        range: ranges.iter().map(|Range { begin, end }| v1::value::Range { begin, end }).collect(),
    }
}

pub(super) fn set_to_wire<'a>(items: impl IntoIterator<Item = &'a String>) -> v1::value::Set {
    v1::value::Set { item: items.into_iter().cloned().collect() }
}

pub(super) fn labels_from_wire(labels: Option<&v1::Labels>) -> Vec<Label> {
    let Some(v1::Labels { labels }) = labels else { return Vec::new() };
    labels
        .iter()
        .map(|v1::Label { key, value }| Label { key: key.clone(), value: value.clone() })
        .collect()
}

pub(super) fn labels_to_wire(labels: &[Label]) -> Option<v1::Labels> {
    let labels: Vec<v1::Label> = labels
        .iter()
        .map(|Label { key, value }| v1::Label { key: key.clone(), value: value.clone() })
        .collect();
    (!labels.is_empty()).then_some(v1::Labels { labels })
}
