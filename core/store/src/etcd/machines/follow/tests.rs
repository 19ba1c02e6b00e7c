use super::*;

fn put(key: &str, revision: i64) -> Changed {
    Changed { key: key.to_owned(), value: Some(Bytes::from_static(b"v")), revision }
}

fn gone(key: &str, revision: i64) -> Changed {
    Changed { value: None, ..put(key, revision) }
}

fn answer(changed: Vec<Changed>) -> Event {
    Event::Answer(Answer { changed, ..Answer::default() })
}

fn found(revision: i64, value: &'static str) -> Option<Found> {
    Some(Found { value: Bytes::from_static(value.as_bytes()), revision })
}

/// A watch that streams from revision 11.
fn streaming() -> Follow {
    let mut follow = Follow::new("/p/".to_owned(), 10);
    assert_eq!(follow.apply(Event::Start), [Effect::Check { key: "/p/".to_owned(), revision: 10 }]);
    let known = Event::Checked(Checked::Known { found: None });
    assert_eq!(follow.apply(known), [Effect::Open { from: 11 }]);
    follow
}

#[test]
fn changes_of_one_revision_come_together_and_once() {
    let mut follow = streaming();
    let effects = follow.apply(answer(vec![put("/p/a", 11), gone("/p/b", 11), put("/p/a", 13)]));
    let change = |key: &str| Change::Put { key: key.to_owned(), value: Bytes::from_static(b"v") };
    let deleted = Change::Delete { key: "/p/b".to_owned() };
    assert_eq!(
        effects,
        [
            Effect::Deliver { revision: 11, changes: vec![change("/p/a"), deleted] },
            Effect::Deliver { revision: 13, changes: vec![change("/p/a")] },
        ]
    );
    assert_eq!(follow.apply(answer(vec![put("/p/a", 13)])), []);
}

#[test]
fn pieces_are_put_together() {
    let mut follow = streaming();
    let piece = Answer { unfinished: true, changed: vec![put("/p/a", 11)], ..Answer::default() };
    assert_eq!(follow.apply(Event::Answer(piece.clone())), []);
    let effects = follow.apply(answer(vec![put("/p/b", 11)]));
    assert!(
        matches!(&effects[..], [Effect::Deliver { revision: 11, changes }] if changes.len() == 2)
    );
    // A stream that breaks between two pieces begins again before both.
    let piece = Answer { changed: vec![put("/p/a", 12)], ..piece };
    follow.apply(Event::Answer(piece));
    assert_eq!(
        follow.apply(Event::Broken),
        [Effect::Check { key: "/p/b".to_owned(), revision: 11 }]
    );
    follow.apply(Event::Checked(Checked::Known { found: found(11, "v") }));
    let effects = follow.apply(answer(vec![put("/p/a", 12), put("/p/b", 12)]));
    assert!(
        matches!(&effects[..], [Effect::Deliver { revision: 12, changes }] if changes.len() == 2)
    );
}

#[test]
fn a_broken_stream_goes_on_where_history_is_the_same() {
    for (last, found, goes_on) in [
        (put("/p/a", 11), found(11, "v"), true),
        (put("/p/a", 11), found(11, "w"), false),
        (put("/p/a", 11), found(9, "v"), false),
        (put("/p/a", 11), None, false),
        (gone("/p/a", 11), None, true),
        (gone("/p/a", 11), found(9, "v"), false),
    ] {
        let mut follow = streaming();
        follow.apply(answer(vec![last]));
        assert!(matches!(&follow.apply(Event::Broken)[..], [Effect::Check { revision: 11, .. }]));
        let unreachable = follow.apply(Event::Checked(Checked::Unreachable));
        assert!(matches!(&unreachable[..], [Effect::Check { .. }]));
        let next = follow.apply(Event::Checked(Checked::Known { found }));
        let expected = if goes_on { Effect::Open { from: 12 } } else { Effect::Relist };
        assert_eq!(next, [expected]);
    }
}

#[test]
fn what_cannot_be_followed_lists_again() {
    for event in [
        Event::Checked(Checked::Compacted),
        Event::Checked(Checked::Future),
        Event::Answer(Answer { compacted: true, ..Answer::default() }),
    ] {
        assert_eq!(streaming().apply(event), [Effect::Relist]);
    }
    let large = Changed { value: Some(vec![0; 1 << 20].into()), ..put("/p/a", 11) };
    let piece = Answer { unfinished: true, changed: vec![large], ..Answer::default() };
    let mut follow = streaming();
    let answers = (0..100).map(|_| follow.apply(Event::Answer(piece.clone())));
    assert!(answers.into_iter().any(|effects| effects == [Effect::Relist]));
}
