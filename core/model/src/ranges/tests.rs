use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::strategies;

#[track_caller]
fn check(text: &str, expected: &str) {
    let result =
        Ranges::parse(text).map_or_else(|error| error.to_string(), |ranges| ranges.to_string());
    assert_eq!(result, expected);
}

#[test]
fn text_is_read_and_made_canonical() {
    check("[31000-32000]", "[31000-32000]");
    check(" [ 5-6, 1-2,3-4 , 9 ] ", "[1-6, 9-9]");
    check("[]", "[]");
    check("[2-1]", "range 2-1 ends before it begins");
    check("1-2", "'1-2' must be written like [31000-32000, 8080-8080]");
    check("[a-2]", "'[a-2]' must be written like [31000-32000, 8080-8080]");
    check("[1--2]", "'[1--2]' must be written like [31000-32000, 8080-8080]");
}

#[test]
fn the_whole_of_u64_is_fine() {
    let all = Ranges::new([Range { begin: 0, end: u64::MAX }]).unwrap();
    assert_eq!(all.count(), u64::MAX);
    assert_eq!(
        all.difference(&Ranges::single(u64::MAX)).to_string(),
        format!("[0-{}]", u64::MAX - 1)
    );
    assert_eq!(all.union(&all), all);
}

fn numbers(ranges: &Ranges) -> BTreeSet<u64> {
    ranges.numbers().collect()
}

proptest! {
    #[test]
    fn operations_are_those_of_sets(a in strategies::ranges(), b in strategies::ranges()) {
        let (sa, sb) = (numbers(&a), numbers(&b));
        prop_assert_eq!(numbers(&a.union(&b)), &sa | &sb);
        prop_assert_eq!(numbers(&a.difference(&b)), &sa - &sb);
        prop_assert_eq!(numbers(&a.intersection(&b)), &sa & &sb);
        prop_assert_eq!(a.contains(&b), sb.is_subset(&sa));
        prop_assert_eq!(a.count(), sa.len() as u64);
        prop_assert_eq!(a.union(&b), b.union(&a));
    }

    #[test]
    fn text_round_trips(a in strategies::ranges()) {
        prop_assert_eq!(Ranges::parse(&a.to_string()), Ok(a));
    }
}
