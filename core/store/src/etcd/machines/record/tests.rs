use proptest::prelude::*;

use super::*;

/// What is in the stores of others stays readable for ever.
#[test]
fn the_first_form_stays_readable() {
    let fence = "00000001763815863000 00000000000000000042 0000000000000000000000000000beef";
    let record = Record { token: 1_763_815_863_000, sequence: 42, nonce: 0xbeef };
    assert_eq!(Record::decode(fence.as_bytes()), Some(record));
    assert_eq!(record.encode(), fence);
    let claim = Claim { token: 7, holder: "http://10.0.0.1:5050 and more".into() };
    assert_eq!(Claim::decode(b"7 http://10.0.0.1:5050 and more"), Some(claim));
}

#[test]
fn what_is_no_record_is_none() {
    for bad in ["", "1 2 3", "1 2", "x", "00000000000000000001 00000000000000000001 g"] {
        assert_eq!(Record::decode(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(Record::decode(&[0xff; 74]), None);
    for bad in ["", "7", "x y"] {
        assert_eq!(Claim::decode(bad.as_bytes()), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn a_record_survives_and_sorts_by_its_token(
        token: u64, sequence: u64, nonce: u128, other: u64, other_sequence: u64,
    ) {
        let record = Record { token, sequence, nonce };
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        let stored = Record { token: other, sequence: other_sequence, nonce }.encode();
        prop_assert_eq!(stored < record.above_smaller_tokens(), other < token);
    }
}
