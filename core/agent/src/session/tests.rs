use super::*;

fn masters() -> Masters {
    Masters::new(["a", "b", "c"].map(str::to_owned).to_vec())
}

fn elsewhere(leader: &str) -> Ended {
    Ended::Elsewhere { leader: leader.to_owned() }
}

#[test]
fn masters_are_asked_in_turn_for_ever() {
    let mut masters = masters();
    let asked: Vec<String> = (0..4).filter_map(|_| masters.next()).collect();
    assert_eq!(asked, ["a", "b", "c", "a"]);
    assert_eq!(Masters::new(Vec::new()).next(), None);
}

#[test]
fn the_leader_is_asked_once_it_is_named() {
    let mut masters = masters();
    let first = masters.next().unwrap();
    masters.learn(first, false, false, &elsewhere("c"));
    assert_eq!(masters.next().unwrap(), "c");
    // It does not answer: whoever names it again is not believed at once.
    masters.learn("c".into(), false, true, &Ended::Silent);
    assert_eq!(masters.lost.as_deref(), Some("c"));
    assert_eq!(masters.next().unwrap(), "b");
    masters.learn("b".into(), false, false, &elsewhere("b"));
    assert_eq!(masters.next().unwrap(), "a", "nobody is sent to where it comes from");
}

#[test]
fn whoever_led_is_asked_after_the_others() {
    let mut masters = masters();
    let leader = masters.next().unwrap();
    masters.learn(leader, true, false, &Ended::Closed);
    let asked: Vec<String> = (0..3).filter_map(|_| masters.next()).collect();
    assert_eq!(asked, ["b", "c", "b"]);
    // The only one there is stays the one to ask.
    let mut alone = Masters::new(vec!["a".to_owned()]);
    let only = alone.next().unwrap();
    alone.learn(only, true, false, &Ended::Closed);
    assert_eq!(alone.next().unwrap(), "a");
}
