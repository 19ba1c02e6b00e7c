use bytes::Bytes;

use super::super::call::Compare;
use super::*;
use crate::Change;

const LEASE: Lease = 7;

fn at(ms: u64) -> Now {
    Now { uptime: Duration::from_millis(ms), wall_ms: 1_000_000 + ms }
}

fn candidate(holder: &str) -> Candidate {
    Candidate::new(Setup {
        keys: Keys::new("/k").unwrap(),
        name: "test".into(),
        holder: holder.into(),
        nonce: 0xa,
        ttl: Duration::from_secs(3),
    })
}

fn found(value: Bytes, revision: i64) -> Option<Found> {
    Some(Found { value, revision })
}

fn record(token: u64, sequence: u64) -> Record {
    Record { token, sequence, nonce: 0xa }
}

fn changes(key: &str) -> Checked {
    limits_of(vec![Change::Put { key: key.to_owned(), value: Bytes::from_static(b"v") }])
}

fn limits_of(changes: Vec<Change>) -> Checked {
    crate::limits::check(changes).unwrap()
}

fn answered(call: CallId, answer: Answer) -> Event {
    Event::Outcome { call, outcome: Outcome::Answered(answer) }
}

fn unknown(call: CallId) -> Event {
    Event::Outcome { call, outcome: Outcome::Unknown { reason: "lost".into() } }
}

fn applied(call: CallId, revision: i64) -> Event {
    answered(call, Answer::Txn { applied: true, revision, found: vec![] })
}

fn differs(call: CallId, fence: Option<Found>) -> Event {
    answered(call, Answer::Txn { applied: false, revision: 99, found: vec![fence] })
}

/// The only request among the effects.
#[track_caller]
fn call(effects: &[Effect]) -> (CallId, Call) {
    let calls: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Call { id, call } => Some((*id, call.clone())),
            _ => None,
        })
        .collect();
    let [call] = &calls[..] else { panic!("{effects:?}") };
    call.clone()
}

#[track_caller]
fn txn(effects: &[Effect]) -> (CallId, Txn) {
    let (id, Call::Txn(txn)) = call(effects) else { panic!("{effects:?}") };
    (id, txn)
}

/// The fence that a transaction expects and the one that it writes.
#[track_caller]
fn step(txn: &Txn) -> (Record, Record) {
    let [Compare::ValueIs { value: expected, .. }] = &txn.compare[..] else { panic!("{txn:?}") };
    let Some(Op::Put { key, value: next, .. }) = txn.then.first() else { panic!("{txn:?}") };
    assert_eq!(key, "/k/fence/test");
    (Record::decode(expected).unwrap(), Record::decode(next).unwrap())
}

/// A candidate that leads with the first token its clock gives.
fn leading() -> Candidate {
    let mut candidate = candidate("me");
    let (id, read) = call(&candidate.apply(at(0), Event::Start));
    assert_eq!(read, Call::Read(vec!["/k/fence/test".into(), "/k/leader/test".into()]));
    let none = Answer::Read { found: vec![None, None] };
    let (id, grant) = call(&candidate.apply(at(0), answered(id, none)));
    assert_eq!(grant, Call::Grant { ttl: Duration::from_secs(3) });
    let granted = Answer::Granted { lease: LEASE, ttl: Duration::from_secs(3) };
    let (id, take) = txn(&candidate.apply(at(0), answered(id, granted)));
    assert_eq!(
        take.compare,
        [
            Compare::Missing { key: "/k/fence/test".into() },
            Compare::Missing { key: "/k/leader/test".into() }
        ]
    );
    let effects = candidate.apply(at(0), applied(id, 5));
    assert_eq!(effects, [Effect::Leads { token: 1_000_000 }]);
    candidate
}

fn commit(candidate: &mut Candidate, now: u64, id: CommitId) -> Vec<Effect> {
    candidate.apply(at(now), Event::Commit { id, changes: changes(&format!("/{id}")) })
}

const TOKEN: u64 = 1_000_000;

#[test]
fn commits_that_wait_share_a_transaction() {
    let mut leader = leading();
    let (id, first) = txn(&commit(&mut leader, 1, 1));
    assert_eq!(step(&first), (record(TOKEN, 0), record(TOKEN, 1)));
    for n in 2..=200 {
        assert_eq!(commit(&mut leader, 1, n), []);
    }
    let effects = leader.apply(at(2), applied(id, 6));
    assert_eq!(effects[0], Effect::Done { id: 1, result: Ok(6) });
    let (id, second) = txn(&effects);
    assert_eq!(second.then.len(), 128);
    let done = leader.apply(at(3), applied(id, 7));
    assert_eq!(done.iter().filter(|effect| matches!(effect, Effect::Done { .. })).count(), 127);
    assert_eq!(leader.backlog(), 72);
}

#[test]
fn a_commit_larger_than_a_batch_goes_alone() {
    let mut leader = leading();
    let (id, _) = txn(&commit(&mut leader, 1, 1));
    let many = (0..1000).map(|n| Change::Delete { key: format!("/{n}") }).collect();
    leader.apply(at(1), Event::Commit { id: 2, changes: limits_of(many) });
    commit(&mut leader, 1, 3);
    let (id, large) = txn(&leader.apply(at(2), applied(id, 6)));
    assert_eq!(large.then.len(), 1001);
    let (_, last) = txn(&leader.apply(at(2), applied(id, 7)));
    assert_eq!(last.then.len(), 2);
}

#[test]
fn without_an_answer_the_same_is_sent_again() {
    let mut leader = leading();
    let (id, first) = txn(&commit(&mut leader, 1, 1));
    let (id, again) = txn(&leader.apply(at(2), unknown(id)));
    assert_eq!(first, again);
    // It had applied: the fence is what it wrote.
    let effects = leader.apply(at(3), differs(id, found(record(TOKEN, 1).encode(), 6)));
    assert_eq!(effects, [Effect::Done { id: 1, result: Ok(6) }]);
    let (_, next) = txn(&commit(&mut leader, 4, 2));
    assert_eq!(step(&next), (record(TOKEN, 1), record(TOKEN, 2)));
}

#[test]
fn what_was_given_up_is_found_out_by_the_next() {
    for applied_late in [false, true] {
        let mut leader = leading();
        let (id, _) = txn(&commit(&mut leader, 0, 1));
        let deadline = leader.wake().unwrap();
        // The lease is renewed first; its answers do not matter here.
        let late = Now { uptime: Duration::from_secs(8), ..at(0) };
        assert!(deadline < late.uptime);
        let effects = leader.apply(late, Event::Tick);
        assert!(matches!(
            &effects[..],
            [
                Effect::Call { call: Call::KeepAlive(LEASE), .. },
                Effect::Done { id: 1, result: Err(Failure::Unavailable(_)) }
            ]
        ));
        commit(&mut leader, 8001, 2);
        let (id, next) = txn(&leader.apply(at(8002), unknown(id)));
        assert_eq!(step(&next), (record(TOKEN, 0), record(TOKEN, 2)));
        let done = if applied_late {
            let fence = found(record(TOKEN, 1).encode(), 6);
            let (id, next) = txn(&leader.apply(at(8003), differs(id, fence)));
            assert_eq!(step(&next), (record(TOKEN, 1), record(TOKEN, 2)));
            leader.apply(at(8004), applied(id, 7))
        } else {
            leader.apply(at(8003), applied(id, 7))
        };
        assert_eq!(done, [Effect::Done { id: 2, result: Ok(7) }]);
    }
}

#[test]
fn what_was_given_up_is_settled_when_nothing_follows() {
    let mut leader = leading();
    let (id, _) = txn(&commit(&mut leader, 0, 1));
    leader.apply(at(8000), Event::Tick);
    let (id, settle) = txn(&leader.apply(at(8001), unknown(id)));
    assert_eq!(step(&settle), (record(TOKEN, 0), record(TOKEN, 2)));
    assert_eq!(settle.then.len(), 1);
    assert_eq!(leader.apply(at(8002), applied(id, 6)), []);
}

#[test]
fn another_fence_ends_the_leadership() {
    let other = Record { token: TOKEN + 1, sequence: 0, nonce: 0xb };
    let set_back = record(TOKEN, 0);
    let restored = Record { token: TOKEN, sequence: 1, nonce: 0xb };
    for fence in [Some(other), Some(set_back), Some(restored), None] {
        let mut leader = leading();
        let (id, _) = txn(&commit(&mut leader, 0, 1));
        leader.apply(at(0), applied(id, 6));
        let (id, _) = txn(&commit(&mut leader, 0, 2));
        commit(&mut leader, 0, 3);
        let fence = fence.and_then(|record| found(record.encode(), 9));
        let effects = leader.apply(at(1), differs(id, fence));
        let fenced = |id| Effect::Done { id, result: Err(Failure::Fenced) };
        assert_eq!(effects[..3], [fenced(2), fenced(3), Effect::Lost]);
        let (id, revoke) = call(&effects);
        assert_eq!(revoke, Call::Revoke(LEASE));
        assert_eq!(commit(&mut leader, 2, 4), [fenced(4)]);
        assert_eq!(leader.apply(at(2), answered(id, Answer::Revoked)), [Effect::Ended]);
    }
}

/// It may have applied before the other took over, so nobody may say that it
/// did not.
#[test]
fn what_is_unknown_stays_so_when_another_leads() {
    let mut leader = leading();
    let (id, _) = txn(&commit(&mut leader, 0, 1));
    commit(&mut leader, 0, 2);
    let (id, _) = txn(&leader.apply(at(1), unknown(id)));
    let other = Record { token: TOKEN + 1, sequence: 0, nonce: 0xb };
    let effects = leader.apply(at(2), differs(id, found(other.encode(), 9)));
    assert!(matches!(
        &effects[..2],
        [
            Effect::Done { id: 1, result: Err(Failure::Unavailable(_)) },
            Effect::Done { id: 2, result: Err(Failure::Fenced) },
        ]
    ));
}

#[test]
fn a_claim_that_went_away_is_written_again() {
    let mut leader = leading();
    let (id, claim) = txn(&leader.apply(at(1), Event::ClaimSeen(None)));
    assert_eq!(step(&claim), (record(TOKEN, 0), record(TOKEN, 1)));
    let says = Claim { token: TOKEN, holder: "me".into() }.encode();
    let put = Op::Put { key: "/k/leader/test".into(), value: says, lease: Some(LEASE) };
    assert_eq!(claim.then[1..], [put]);
    // Its lease had ended.
    let gone = Event::Outcome { call: id, outcome: Outcome::LeaseGone };
    let (id, grant) = call(&leader.apply(at(2), gone));
    assert!(matches!(grant, Call::Grant { .. }));
    let granted = Answer::Granted { lease: 8, ttl: Duration::from_secs(3) };
    let (_, claim) = txn(&leader.apply(at(3), answered(id, granted)));
    assert!(matches!(&claim.then[1], Op::Put { lease: Some(8), .. }));
    assert_eq!(leader.apply(at(4), Event::ClaimSeen(Some(TOKEN))), []);
}

#[test]
fn who_finds_another_claim_waits_for_its_end() {
    let other = Claim { token: 9, holder: "other".into() }.encode();
    let fence = Record { token: 2_000_000, sequence: 4, nonce: 0xb }.encode();
    let mut candidate = candidate("me");
    let (id, _) = call(&candidate.apply(at(0), Event::Start));
    let read = Answer::Read { found: vec![found(fence.clone(), 3), found(other, 2)] };
    assert_eq!(candidate.apply(at(1), answered(id, read)), []);
    assert_eq!(candidate.wake(), Some(Duration::from_millis(3001)));
    let (id, _) = call(&candidate.apply(at(2), Event::ClaimSeen(None)));
    let read = Answer::Read { found: vec![found(fence, 3), None] };
    let (id, _) = call(&candidate.apply(at(3), answered(id, read)));
    let granted = Answer::Granted { lease: LEASE, ttl: Duration::from_secs(3) };
    let (id, take) = txn(&candidate.apply(at(4), answered(id, granted)));
    // The clock is behind; the token grows all the same.
    assert!(matches!(
        &take.compare[0],
        Compare::ValueBelow { value, .. } if value == "00000000000002000001"
    ));
    // The answer is lost, but the attempt had succeeded.
    let (id, _) = call(&candidate.apply(at(5), unknown(id)));
    let took = record(2_000_001, 0).encode();
    let claim = Claim { token: 2_000_001, holder: "me".into() }.encode();
    let read = Answer::Read { found: vec![found(took, 9), found(claim, 9)] };
    assert_eq!(candidate.apply(at(6), answered(id, read)), [Effect::Leads { token: 2_000_001 }]);
}

/// The claim may have gone between the reading and its answer.
#[test]
fn news_that_overtake_an_answer_are_not_forgotten() {
    let mut candidate = candidate("me");
    let (id, _) = call(&candidate.apply(at(0), Event::Start));
    assert_eq!(candidate.apply(at(1), Event::ClaimSeen(None)), []);
    let other = Claim { token: 9, holder: "other".into() }.encode();
    let read = Answer::Read { found: vec![None, found(other, 2)] };
    let (_, again) = call(&candidate.apply(at(2), answered(id, read)));
    assert!(matches!(again, Call::Read(_)));
}

#[test]
fn who_resigns_finishes_and_gives_the_lease_back() {
    let mut leader = leading();
    let (id, _) = txn(&commit(&mut leader, 0, 1));
    assert_eq!(leader.apply(at(1), Event::Resign), []);
    let effects = leader.apply(at(2), applied(id, 6));
    assert_eq!(effects[0], Effect::Done { id: 1, result: Ok(6) });
    let (id, revoke) = call(&effects);
    assert_eq!(revoke, Call::Revoke(LEASE));
    assert_eq!(leader.apply(at(3), unknown(id)), [Effect::Ended]);
}

#[test]
fn who_gives_up_while_a_lease_is_granted_gives_it_back() {
    let mut candidate = candidate("me");
    let (id, _) = call(&candidate.apply(at(0), Event::Start));
    let none = Answer::Read { found: vec![None, None] };
    let (id, _) = call(&candidate.apply(at(0), answered(id, none)));
    assert_eq!(candidate.apply(at(1), Event::Resign), []);
    let granted = Answer::Granted { lease: LEASE, ttl: Duration::from_secs(3) };
    let (_, revoke) = call(&candidate.apply(at(2), answered(id, granted)));
    assert_eq!(revoke, Call::Revoke(LEASE));
}

#[test]
fn refusals_are_told_and_do_not_end_anything() {
    let mut leader = leading();
    let (id, _) = txn(&commit(&mut leader, 0, 1));
    let outcome = Outcome::TooLarge { reason: "large".into() };
    let effects = leader.apply(at(1), Event::Outcome { call: id, outcome });
    assert_eq!(effects, [Effect::Done { id: 1, result: Err(Failure::TooLarge("large".into())) }]);
    let (id, next) = txn(&commit(&mut leader, 2, 2));
    assert_eq!(step(&next), (record(TOKEN, 0), record(TOKEN, 2)));
    let outcome = Outcome::Refused { reason: "full".into() };
    let effects = leader.apply(at(3), Event::Outcome { call: id, outcome });
    let full = Err(Failure::Unavailable("full".into()));
    assert_eq!(effects, [Effect::Done { id: 2, result: full }]);
}

#[test]
fn a_fence_that_nobody_can_read_is_reported() {
    let mut candidate = candidate("me");
    let (id, _) = call(&candidate.apply(at(0), Event::Start));
    let read = Answer::Read { found: vec![found(Bytes::from_static(b"?"), 3), None] };
    let effects = candidate.apply(at(1), answered(id, read));
    assert_eq!(effects, [Effect::Note("'/k/fence/test' in etcd cannot be read".into())]);
    assert!(candidate.wake().is_some());
}
