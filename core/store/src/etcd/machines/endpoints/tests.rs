use proptest::prelude::*;

use super::*;

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn it_stays_with_who_answers() {
    let mut endpoints = Endpoints::new(3);
    for _ in 0..10 {
        endpoints.answered(0);
    }
    assert_eq!(endpoints.chosen(), Chosen { index: 0, epoch: 0, not_before: at(0) });
}

#[test]
fn a_failure_moves_everything_once() {
    let mut endpoints = Endpoints::new(3);
    assert!(endpoints.failed(0, at(1000), 0));
    assert!(!endpoints.failed(0, at(1000), 0));
    assert_eq!(endpoints.chosen(), Chosen { index: 1, epoch: 1, not_before: at(0) });
    // An answer that comes late from the first says nothing about the second.
    endpoints.answered(0);
    endpoints.failed(1, at(1001), 0);
    endpoints.failed(2, at(1002), 0);
    // All failed: the one that rests longest already, and not at once.
    let chosen = endpoints.chosen();
    assert_eq!((chosen.index, chosen.epoch), (0, 3));
    assert_eq!(chosen.not_before, at(1050));
}

#[test]
fn rests_grow_to_a_limit() {
    let mut endpoints = Endpoints::new(1);
    let mut rests = Vec::new();
    for epoch in 0..8 {
        endpoints.failed(epoch, at(0), 0);
        rests.push(endpoints.chosen().not_before.as_millis());
    }
    assert_eq!(rests, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    endpoints.answered(8);
    endpoints.failed(8, at(0), 255);
    assert_eq!(endpoints.chosen().not_before.as_millis(), 99);
}

proptest! {
    /// As long as one member answers, it is found within one round.
    #[test]
    fn the_living_are_found(alive in 0usize..5, failures: Vec<(u8, u16)>) {
        let mut endpoints = Endpoints::new(5);
        let mut now = at(0);
        for (chance, pause) in failures {
            now += at(u64::from(pause));
            let chosen = endpoints.chosen();
            if chosen.index == alive {
                endpoints.answered(chosen.epoch);
            } else {
                endpoints.failed(chosen.epoch, now, chance);
            }
        }
        let mut tries = 0;
        while endpoints.chosen().index != alive {
            let chosen = endpoints.chosen();
            now = now.max(chosen.not_before);
            endpoints.failed(chosen.epoch, now, 0);
            tries += 1;
            prop_assert!(tries <= 5);
        }
    }
}
