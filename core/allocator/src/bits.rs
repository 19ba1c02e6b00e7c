//! Sets of small numbers.
#![deny(clippy::disallowed_methods)]

const WORD: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

const fn split(at: u32) -> (usize, u64) {
    (at as usize / WORD, 1 << (at as usize % WORD))
}

impl Bits {
    pub(crate) fn has(&self, at: u32) -> bool {
        let (word, bit) = split(at);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn insert(&mut self, at: u32) {
        let (word, bit) = split(at);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(crate) fn remove(&mut self, at: u32) {
        let (word, bit) = split(at);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(crate) fn put(&mut self, at: u32, is_in: bool) {
        if is_in { self.insert(at) } else { self.remove(at) }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    pub(crate) fn keep(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine &= theirs;
        }
    }

    pub(crate) fn drop_all(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine &= !theirs;
        }
    }

    /// Whether anything is in here and not in `other`.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).any(|(mine, theirs)| mine & !theirs != 0)
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().zip(0u32..).flat_map(|(word, at)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(set: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::default();
        set.iter().for_each(|at| bits.insert(*at));
        bits
    }

    fn sets() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(0u32..300, 0..20)
    }

    proptest! {
        #[test]
        fn bits_are_sets(a in sets(), b in sets()) {
            let shown = |bits: &Bits| bits.iter().collect::<BTreeSet<u32>>();
            prop_assert_eq!(bits(&a).len(), a.len());
            let mut all = bits(&a);
            all.add_all(&bits(&b));
            prop_assert_eq!(shown(&all), &a | &b);
            let mut both = bits(&a);
            both.keep(&bits(&b));
            prop_assert_eq!(shown(&both), &a & &b);
            let mut rest = bits(&a);
            rest.drop_all(&bits(&b));
            prop_assert_eq!(shown(&rest), &a - &b);
            prop_assert_eq!(bits(&a).exceeds(&bits(&b)), !a.is_subset(&b));
            prop_assert_eq!(rest.is_empty(), a.is_subset(&b));
            prop_assert_eq!(shown(&bits(&a)), a);
        }
    }
}
