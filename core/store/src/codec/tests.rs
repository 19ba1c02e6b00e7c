use proptest::prelude::*;

use super::*;

/// Version 1 stays readable for ever, byte for byte.
#[test]
fn the_first_version_stays_readable() {
    let stored = [1, 7, 1, 0, 0, 0, 0, 0, 0, b'{', b'}'];
    assert_eq!(decode(&stored), Ok(Object { revision: 263, value: b"{}" }));
    assert_eq!(encode(Object { revision: 263, value: b"{}" }), stored);
}

#[test]
fn what_is_not_an_object_is_an_error() {
    assert_eq!(decode(&[]), Err(DecodeError::Truncated { bytes: 0 }));
    assert_eq!(decode(&[1, 0, 0]), Err(DecodeError::Truncated { bytes: 3 }));
    assert_eq!(decode(&[9, 0, 0]), Err(DecodeError::Version { version: 9 }));
}

proptest! {
    #[test]
    fn decoding_returns_what_was_encoded(revision: u64, value: Vec<u8>) {
        let bytes = encode(Object { revision, value: &value });
        prop_assert_eq!(decode(&bytes), Ok(Object { revision, value: &value }));
    }

    #[test]
    fn any_bytes_decode_without_panic_and_encode_to_themselves(bytes: Vec<u8>) {
        if let Ok(object) = decode(&bytes) {
            prop_assert_eq!(encode(object), bytes);
        }
    }
}
