use proptest::prelude::*;

use super::*;

fn status(number: u8) -> TaskStatus {
    TaskStatus { uuid: Some(vec![number; 16].into()), ..TaskStatus::default() }
}

fn number(status: Option<&TaskStatus>) -> Option<u8> {
    status.and_then(|status| status.uuid.as_deref()).map(|uuid| uuid[0])
}

#[test]
fn one_at_a_time_in_order_again_and_again() {
    let mut stream = Stream::default();
    stream.push(status(1));
    stream.push(status(2));
    assert_eq!(number(stream.due(0)), Some(1));
    assert_eq!(number(stream.due(9_999)), None);
    assert_eq!(number(stream.due(10_000)), Some(1));
    assert_eq!(number(stream.due(29_999)), None);
    assert_eq!(number(stream.due(30_000)), Some(1));
    assert_eq!(stream.acknowledge(&[2; 16]), Acknowledged::Ignored);
    assert_eq!(stream.acknowledge(&[1; 16]), Acknowledged::Taken);
    assert_eq!(stream.acknowledge(&[1; 16]), Acknowledged::Ignored);
    assert_eq!(number(stream.due(30_001)), Some(2));
    assert_eq!(number(stream.due(40_000)), None);
    stream.reconnected();
    assert_eq!(number(stream.due(40_000)), Some(2));
    assert!(!stream.is_delivered());
    assert_eq!(stream.acknowledge(&[2; 16]), Acknowledged::Taken);
    assert!(stream.is_delivered());
    assert_eq!(number(stream.outstanding()), Some(2));
    assert_eq!(number(stream.due(90_000)), None);
}

#[test]
fn waits_grow_to_ten_minutes() {
    let mut stream = Stream::default();
    stream.push(status(1));
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        stream.due(now).unwrap();
        let due = stream.retry_at_ms.unwrap();
        waits.push((due - now) / 1000);
        now = due;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
}

proptest! {
    #[test]
    fn every_update_is_acknowledged_in_order(acks in prop::collection::vec(any::<u8>(), 0..200), count in 1u8..20) {
        let mut stream = Stream::default();
        for update in 0..count {
            stream.push(status(update));
        }
        let mut next = 0;
        for ack in acks {
            let ack = ack % count;
            let taken = stream.acknowledge(&[ack; 16]) == Acknowledged::Taken;
            prop_assert_eq!(taken, ack == next && next < count);
            next += u8::from(taken);
        }
        prop_assert_eq!(stream.is_delivered(), next == count);
    }
}
