use proptest::prelude::*;

use super::*;

/// `h` healthy, `r` running, `s` staging, `w` scheduled, `u` unreachable,
/// `i` inactive; upper case: of the configuration before; `x`: ending.
fn members(text: &str) -> Vec<Member> {
    let member = |(i, c): (usize, char)| Member {
        id: format!("{c}{i}"),
        is_current: !c.is_ascii_uppercase(),
        is_ending: c.eq_ignore_ascii_case(&'x'),
        sentenced: false,
        phase: match c.to_ascii_lowercase() {
            'h' => Phase::Healthy,
            'r' => Phase::Running,
            's' | 'x' => Phase::Staging,
            'w' => Phase::Scheduled,
            'u' => Phase::Unreachable,
            'i' => Phase::Inactive,
            other => panic!("{other}"),
        },
        started: Timestamp(i as u64),
        place: None,
    };
    text.chars().enumerate().map(member).collect()
}

fn wanted(instances: u32, min: f64, over: f64) -> Wanted {
    Wanted {
        instances,
        strategy: UpgradeStrategy { minimum_health_capacity: min, maximum_over_capacity: over },
        kill_selection: KillSelection::YoungestFirst,
    }
}

#[track_caller]
fn check(now: &str, wanted: Wanted, launch: usize, kill: &[&str], done: bool) {
    let actions = step(&members(now), &wanted);
    assert_eq!(
        (actions.launch, actions.kill, actions.done),
        (launch, kill.iter().map(|&id| id.to_owned()).collect(), done)
    );
}

#[test]
fn scaling_adds_what_lacks_and_takes_what_is_too_much() {
    let three = wanted(3, 1.0, 1.0);
    check("", three, 3, &[], false);
    check("hw", three, 1, &[], false);
    check("hhr", three, 0, &[], false);
    check("hhh", three, 0, &[], true);
    check("hhhx", three, 0, &[], false);
    check("hhhh", three, 0, &["h3"], false);
    check("hshwh", three, 0, &["w3", "s1"], false);
    check("hhu", three, 0, &[], false);
    check("hhi", three, 1, &[], false);
    check("hh", wanted(0, 1.0, 1.0), 0, &["h1", "h0"], false);
    check("", wanted(0, 1.0, 1.0), 0, &[], true);
}

#[test]
fn a_rollout_follows_the_strategy() {
    // Everything new first, old ones go as new ones become healthy.
    check("HHH", wanted(3, 1.0, 1.0), 3, &[], false);
    check("HHHsss", wanted(3, 1.0, 1.0), 0, &[], false);
    check("HHHhss", wanted(3, 1.0, 1.0), 0, &["H2"], false);
    // Half may go, none may come on top.
    check("HHHH", wanted(4, 0.5, 0.0), 0, &["H3", "H2"], false);
    check("HHXX", wanted(4, 0.5, 0.0), 0, &[], false);
    check("HH", wanted(4, 0.5, 0.0), 2, &[], false);
    // Nothing could move without one more.
    check("HH", wanted(2, 1.0, 0.0), 1, &[], false);
    check("HHh", wanted(2, 1.0, 0.0), 0, &["H1"], false);
    // All old ones before any new one.
    check("H", wanted(1, 0.0, 0.0), 0, &["H0"], false);
    check("X", wanted(1, 0.0, 0.0), 0, &[], false);
    check("x", wanted(1, 0.0, 0.0), 1, &[], false);
    // Broken old ones are of no use to anybody.
    check("HRU", wanted(3, 1.0, 1.0), 3, &["U2", "R1"], false);
    check("HHHHH", wanted(2, 1.0, 1.0), 0, &["H4", "H3", "H2"], false);
}

#[test]
fn places_that_hold_too_many_give_first() {
    let mut crowd = members("hhhh");
    for (member, place) in crowd.iter_mut().zip(["a", "a", "a", "b"]) {
        member.place = Some(place.into());
    }
    assert_eq!(step(&crowd, &wanted(2, 1.0, 1.0)).kill, ["h2", "h1"]);
    crowd[0].sentenced = true;
    assert_eq!(step(&crowd, &wanted(3, 1.0, 1.0)).kill, ["h0"]);
    let oldest = Wanted { kill_selection: KillSelection::OldestFirst, ..wanted(3, 1.0, 1.0) };
    assert_eq!(step(&members("hhhh"), &oldest).kill, ["h0"]);
}

/// What the world may do between two steps.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Start,
    BecomeHealthy,
    Die,
    Fail,
}

fn fate() -> impl Strategy<Value = (Fate, usize)> {
    let fate = prop_oneof![
        4 => Just(Fate::Start), 4 => Just(Fate::BecomeHealthy), 4 => Just(Fate::Die), 1 => Just(Fate::Fail)
    ];
    (fate, any::<usize>())
}

fn apply(members: &mut Vec<Member>, actions: &Actions, next_id: &mut usize) {
    for member in members.iter_mut().filter(|member| actions.kill.contains(&member.id)) {
        member.is_ending = true;
    }
    // What never started is gone at once.
    members.retain(|member| !(member.is_ending && member.phase == Phase::Scheduled));
    for _ in 0..actions.launch {
        *next_id += 1;
        members.push(Member { id: format!("n{next_id}"), ..members_template() });
    }
}

fn members_template() -> Member {
    Member {
        id: String::new(),
        is_current: true,
        is_ending: false,
        sentenced: false,
        phase: Phase::Staging,
        started: Timestamp(1000),
        place: None,
    }
}

fn healthy(members: &[Member]) -> usize {
    members.iter().filter(|one| one.phase == Phase::Healthy && !one.is_ending).count()
}

proptest! {
    #[test]
    fn rollouts_keep_their_promises_and_end(
        start in "[HhRrSswxX]{0,12}",
        instances in 0u32..10, min in 0.0f64..=1.0, over in 0.0f64..=1.0,
        fates in prop::collection::vec(fate(), 0..80),
    ) {
        let wanted = wanted(instances, min, over);
        let mut members = members(&start);
        let mut next_id = 0;
        let mut fates = fates.into_iter();
        loop {
            let healthy_before = healthy(&members);
            let replacing = members.iter().any(|one| !one.is_current);
            let actions = step(&members, &wanted);
            apply(&mut members, &actions, &mut next_id);
            prop_assert!(healthy(&members) >= min_healthy(&wanted).min(healthy_before));
            if actions.launch > 0 && replacing {
                prop_assert!(members.len() <= max_capacity(&wanted));
            }
            // Nothing changed, so nothing more is to be done.
            let again = step(&members, &wanted);
            prop_assert_eq!((again.launch, again.kill.len()), (0, 0), "{:?}", members);
            let Some((fate, at)) = fates.next() else { break };
            if members.is_empty() {
                continue;
            }
            let at = at % members.len();
            match fate {
                Fate::Start if members[at].phase < Phase::Running => members[at].phase = Phase::Running,
                Fate::BecomeHealthy if !members[at].is_ending => members[at].phase = Phase::Healthy,
                Fate::Die if members[at].is_ending => drop(members.remove(at)),
                // A task that failed waits to be launched again, at what is wanted now.
                Fate::Fail if !members[at].is_ending => {
                    members[at].phase = Phase::Scheduled;
                    members[at].is_current = true;
                }
                _ => {}
            }
        }
        // Left alone, with everything working, it converges.
        for _ in 0..200 {
            members.retain(|one| !one.is_ending);
            for member in &mut members {
                member.phase = Phase::Healthy;
            }
            let actions = step(&members, &wanted);
            if actions.done {
                break;
            }
            apply(&mut members, &actions, &mut next_id);
        }
        prop_assert!(step(&members, &wanted).done, "{:?}", members);
        prop_assert_eq!(members.len(), instances as usize);
        prop_assert!(members.iter().all(|one| one.is_current));
    }
}
