use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn id(number: u8) -> Digest {
    Digest::of(&[number])
}

fn image(number: u8, used_ms: u64, kept: bool, layers: &[u8]) -> Candidate {
    let layers = layers.iter().map(|layer| id(*layer)).collect();
    Candidate { digest: id(100 + number), used_ms, kept, layers }
}

#[test]
fn the_longest_unused_goes_first_and_shared_layers_last() {
    let candidates =
        [image(1, 30, false, &[1, 2]), image(2, 10, false, &[1, 3]), image(3, 5, true, &[4])];
    let layers = BTreeMap::from([(id(1), 100), (id(2), 10), (id(3), 20), (id(4), 50), (id(5), 7)]);
    let run = |needed| plan(&candidates, &layers, |_| false, needed);
    assert_eq!(run(0), Plan::default());
    let plan = run(1);
    assert_eq!((plan.images, plan.layers, plan.freed_bytes), (vec![], vec![id(5)], 7));
    let plan = run(20);
    assert_eq!((plan.images, plan.freed_bytes), (vec![id(102)], 27));
    let plan = run(1000);
    assert_eq!((plan.images, plan.freed_bytes), (vec![id(102), id(101)], 137));
}

proptest! {
    #[test]
    fn what_is_kept_stays_whole(
        images in prop::collection::vec((0..50_u64, any::<bool>(), prop::collection::btree_set(0..8_u8, 1..4)), 0..8),
        pinned in prop::collection::btree_set(0..8_u8, 0..3),
        needed in 0..1000_u64,
    ) {
        let candidates: Vec<Candidate> = images.iter().zip(0..).map(|((used, kept, layers), number)| {
            let layers: Vec<u8> = layers.iter().copied().collect();
            image(number, *used, *kept, &layers)
        }).collect();
        let layers: BTreeMap<Digest, u64> = (0..8).map(|n| (id(n), 10 + u64::from(n))).collect();
        let pinned: BTreeSet<Digest> = pinned.into_iter().map(id).collect();
        let plan = plan(&candidates, &layers, |layer| pinned.contains(layer), needed);
        let stays: Vec<&Candidate> =
            candidates.iter().filter(|image| !plan.images.contains(&image.digest)).collect();
        for image in &stays {
            prop_assert!(image.layers.iter().all(|layer| !plan.layers.contains(layer)));
        }
        prop_assert!(candidates.iter().filter(|image| image.kept).all(|image| stays.contains(&image)));
        prop_assert!(plan.layers.iter().all(|layer| !pinned.contains(layer)));
        let freed: u64 = plan.layers.iter().map(|layer| layers[layer]).sum();
        prop_assert_eq!(freed, plan.freed_bytes);
        let once: BTreeSet<&Digest> = plan.layers.iter().collect();
        prop_assert_eq!(once.len(), plan.layers.len());
    }
}
