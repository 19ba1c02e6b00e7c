//! Sets of numbers as inclusive ranges, such as ports.
#![deny(clippy::disallowed_methods)]

use std::fmt;

/// A set of numbers: ranges sorted, disjoint and never adjacent, so that equal
/// sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<Range>);

/// The numbers from `begin` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

/// Why a text cannot be ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'{0}' must be written like [31000-32000, 8080-8080]")]
    Syntax(String),
    #[error("range {begin}-{end} ends before it begins")]
    Backwards { begin: u64, end: u64 },
}

impl Ranges {
    pub const EMPTY: Self = Self(Vec::new());

    /// The union of `ranges`, in any order, overlapping or not.
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Result<Self, Error> {
        let ranges: Vec<Range> = ranges.into_iter().collect();
        match ranges.iter().find(|range| range.begin > range.end) {
            Some(&Range { begin, end }) => Err(Error::Backwards { begin, end }),
            None => Ok(Self::coalesce(ranges)),
        }
    }

    pub fn single(number: u64) -> Self {
        Self(vec![Range { begin: number, end: number }])
    }

    /// Reads `[a-b, c-d]`; single numbers without a dash are accepted.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let syntax = || Error::Syntax(text.trim().to_owned());
        let inner = text
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(syntax)?;
        let mut ranges = Vec::new();
        for part in inner.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (begin, end) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u64>().map_err(|_| syntax());
            ranges.push(Range { begin: number(begin)?, end: number(end)? });
        }
        Self::new(ranges)
    }

    fn coalesce(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, range| {
            sum.saturating_add((range.end - range.begin).saturating_add(1))
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    /// Every single number, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|range| range.begin..=range.end)
    }

    pub fn has(&self, number: u64) -> bool {
        self.0.iter().any(|range| (range.begin..=range.end).contains(&number))
    }

    pub fn contains(&self, other: &Self) -> bool {
        // Ranges of `self` are never adjacent: one of them holds it all.
        other.0.iter().all(|wanted| {
            self.0.iter().any(|range| range.begin <= wanted.begin && wanted.end <= range.end)
        })
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::coalesce(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The numbers that are here but not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut cuts = other.0.iter().peekable();
        for range in &self.0 {
            let mut begin = Some(range.begin);
            while let (Some(from), Some(cut)) = (begin, cuts.peek()) {
                if cut.begin > range.end {
                    break;
                }
                if cut.end >= from {
                    if cut.begin > from {
                        left.push(Range { begin: from, end: cut.begin - 1 });
                    }
                    begin = cut.end.checked_add(1).filter(|next| *next <= range.end);
                    if begin.is_none() {
                        // The cut may reach into the next range too.
                        break;
                    }
                }
                cuts.next();
            }
            left.extend(begin.map(|begin| Range { begin, end: range.end }));
        }
        Self(left)
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.difference(&self.difference(other))
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, Range { begin, end }) in self.iter().enumerate() {
            write!(f, "{}{begin}-{end}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests;
