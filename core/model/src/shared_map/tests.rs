use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    Remove(u16),
    Change(u16),
    Copy,
    PopFirst,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u16..600;
    prop_oneof![
        8 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        6 => key().prop_map(Step::Remove),
        3 => key().prop_map(Step::Change),
        1 => Just(Step::Copy),
        1 => Just(Step::PopFirst),
    ]
}

fn check(map: &SharedMap<u16, u32>, oracle: &BTreeMap<u16, u32>) {
    assert_eq!(map.len(), oracle.len());
    assert!(map.iter().eq(oracle.iter()), "{map:?} is not {oracle:?}");
    assert_eq!(map.first_key_value(), oracle.first_key_value());
    assert_eq!(map.last_key_value(), oracle.last_key_value());
    assert!(depth(&map.root).is_some(), "all leaves are on one level");
    for key in 0..600 {
        assert_eq!(map.get(&key), oracle.get(&key));
    }
}

/// `None`: leaves on several levels.
fn depth<K, V>(node: &Node<K, V>) -> Option<usize> {
    match node {
        Node::Leaf(entries) => (entries.len() <= LEAF_MAX).then_some(0),
        Node::Inner { bounds, children } => {
            let first = depth(children.first()?)?;
            let sound = bounds.len() + 1 == children.len() && children.len() <= CHILDREN_MAX;
            (sound && children.iter().all(|child| depth(child) == Some(first))).then_some(first + 1)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_is_a_sorted_map_and_copies_do_not_change(steps in prop::collection::vec(step(), 0..1500)) {
        let mut map = SharedMap::new();
        let mut oracle = BTreeMap::new();
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key, value) => prop_assert_eq!(map.insert(key, value), oracle.insert(key, value)),
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), oracle.remove(&key)),
                Step::Change(key) => {
                    prop_assert_eq!(map.get(&key), oracle.get(&key));
                    if let (Some(mine), Some(theirs)) = (map.get_mut(&key), oracle.get_mut(&key)) {
                        *mine ^= 1;
                        *theirs ^= 1;
                    }
                }
                Step::Copy => copies.push((map.clone(), oracle.clone())),
                Step::PopFirst => prop_assert_eq!(map.pop_first(), oracle.pop_first()),
            }
            prop_assert!(depth(&map.root).is_some());
        }
        check(&map, &oracle);
        for (map, oracle) in &copies {
            check(map, oracle);
        }
    }
}

#[test]
fn appended_entries_fill_their_leaves() {
    let map: SharedMap<u32, ()> = (0..10_000).map(|key| (key, ())).collect();
    fn leaves<K, V>(node: &Node<K, V>) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Inner { bounds: _, children } => children.iter().map(|it| leaves(it)).sum(),
        }
    }
    assert_eq!(leaves(&map.root), 10_000 / LEAF_MAX);
    let mut emptied = map.clone();
    for key in (0..10_000).rev() {
        assert_eq!(emptied.remove(&key), Some(()));
    }
    assert!(emptied.is_empty() && leaves(&emptied.root) == 1);
    assert_eq!(map.len(), 10_000);
}
