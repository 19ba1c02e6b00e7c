//! What is said on the socket of a shim: a byte for the kind, four for the length,
//! the payload. Pure.
#![deny(clippy::disallowed_methods)]

/// The longest payload; more is said in several frames.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

const HEAD_BYTES: usize = 5;

/// What somebody who connects wants, in the payload of [`Kind::Hello`].
pub const SENDS_INPUT: u8 = 1;
pub const WANTS_OUTPUT: u8 = 2;

/// Who connects says the first three, the shim the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first frame: what is wanted.
    Hello,
    /// For the process; empty is the end of its input.
    Stdin,
    /// The new size of the terminal: rows and columns, two bytes each.
    Resize,
    Stdout,
    Stderr,
    /// Instead of [`Kind::Welcome`]: why not.
    Refused,
    /// All that the process wrote was said before.
    Ended,
    Welcome,
}

const KINDS: [Kind; 8] = [
    Kind::Hello,
    Kind::Stdin,
    Kind::Resize,
    Kind::Stdout,
    Kind::Stderr,
    Kind::Refused,
    Kind::Ended,
    Kind::Welcome,
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// The other side is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is longer than {PAYLOAD_BYTES_MAX}")]
pub struct TooLong(usize);

/// Appends what is said; as several frames if it is long.
pub fn encode(kind: Kind, payload: &[u8], out: &mut impl Extend<u8>) {
    let mut rest = payload;
    loop {
        let (part, more) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
        let number = KINDS.iter().position(|it| *it == kind).unwrap_or(0);
        let length = u32::try_from(part.len()).unwrap_or(0);
        out.extend([u8::try_from(number).unwrap_or(0)]);
        out.extend(length.to_be_bytes());
        out.extend(part.iter().copied());
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// The payload of [`Kind::Resize`].
pub fn size(rows: u16, columns: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
    [a, b, c, d]
}

/// Rows and columns.
pub fn read_size(payload: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = payload.try_into().ok()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Cuts the bytes of a connection into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame of a kind that is known, or `None` until more bytes are
    /// pushed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TooLong> {
        loop {
            let Some((head, rest)) = self.buffer.split_first_chunk::<HEAD_BYTES>() else {
                return Ok(None);
            };
            let [kind, a, b, c, d] = *head;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if length > PAYLOAD_BYTES_MAX {
                return Err(TooLong(length));
            }
            let Some(payload) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
            self.buffer.drain(..HEAD_BYTES + length);
            if let Some(kind) = KINDS.get(usize::from(kind)).copied() {
                return Ok(Some(Frame { kind, payload }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_long_is_said_in_parts() {
        let mut out = Vec::new();
        encode(Kind::Stdout, &vec![7; PAYLOAD_BYTES_MAX + 1], &mut out);
        let mut decoder = Decoder::default();
        decoder.push(&out);
        let lengths: Vec<usize> = std::iter::from_fn(|| decoder.next_frame().unwrap())
            .map(|frame| frame.payload.len())
            .collect();
        assert_eq!(lengths, [PAYLOAD_BYTES_MAX, 1]);
    }

    #[test]
    fn the_end_of_input_is_a_frame() {
        let mut out = Vec::new();
        encode(Kind::Stdin, b"", &mut out);
        assert_eq!(out, [1, 0, 0, 0, 0]);
    }

    #[test]
    fn strangers_are_noticed_and_news_are_skipped() {
        let mut decoder = Decoder::default();
        decoder.push(&[3, 0xff, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(TooLong(0xff00_0000)));
        let mut decoder = Decoder::default();
        decoder.push(&[99, 0, 0, 0, 1, 5, 6, 0, 0, 0, 0]);
        let ended = Frame { kind: Kind::Ended, payload: Vec::new() };
        assert_eq!(decoder.next_frame(), Ok(Some(ended)));
        assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn sizes_survive() {
        assert_eq!(read_size(&size(24, 300)), Some((24, 300)));
        assert_eq!(read_size(b"abc"), None);
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            cut in 1usize..16,
        ) {
            let mut out = Vec::new();
            for payload in &payloads {
                encode(Kind::Stdout, payload, &mut out);
            }
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for part in out.chunks(cut) {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    read.push(frame.payload);
                }
            }
            prop_assert_eq!(read, payloads);
        }
    }
}
