//! RecordIO, the framing of Mesos event streams: the length of a record in
//! ASCII decimal, a newline, the record; the next follows directly. Chunk
//! boundaries of the transport carry no meaning.
#![deny(clippy::disallowed_methods)]

use bytes::{Buf, Bytes, BytesMut};

/// The longest length line that is a number of bytes anybody may send.
const LENGTH_DIGITS_MAX: usize = 20;

/// Why a stream of records cannot be read any further.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("record length is not a decimal number")]
    Length,
    #[error("record of {length} bytes is larger than the limit of {limit}")]
    TooLarge { length: usize, limit: usize },
}

/// One record as it is sent.
pub fn encode(record: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(record.len() + LENGTH_DIGITS_MAX + 1);
    out.extend_from_slice(record.len().to_string().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(record);
    out.into()
}

/// Cuts the bytes of a stream into records.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// `limit` is the size in bytes of the largest record to accept.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole record, or `None` until more bytes are pushed.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(end) =
            self.buffer.iter().take(LENGTH_DIGITS_MAX + 1).position(|byte| *byte == b'\n')
        else {
            return if self.buffer.len() > LENGTH_DIGITS_MAX {
                Err(Error::Length)
            } else {
                Ok(None)
            };
        };
        let digits = self.buffer.get(..end).unwrap_or_default();
        let length: usize = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(Error::Length)?;
        if length > self.limit {
            return Err(Error::TooLarge { length, limit: self.limit });
        }
        if self.buffer.len() < end + 1 + length {
            return Ok(None);
        }
        self.buffer.advance(end + 1);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_lengths_are_refused() {
        let mut decoder = Decoder::new(8);
        decoder.push(b"9\n123456789");
        assert_eq!(decoder.next_record(), Err(Error::TooLarge { length: 9, limit: 8 }));
        let mut decoder = Decoder::new(8);
        decoder.push(b"x\n");
        assert_eq!(decoder.next_record(), Err(Error::Length));
        let mut decoder = Decoder::new(8);
        decoder.push(&[b'1'; 30]);
        assert_eq!(decoder.next_record(), Err(Error::Length));
    }

    proptest! {
        #[test]
        fn records_survive_any_chunking(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..16),
            chunk in 1usize..32,
        ) {
            let stream: Vec<u8> = records.iter().flat_map(|record| encode(record).to_vec()).collect();
            let mut decoder = Decoder::new(64);
            let mut read = Vec::new();
            for part in stream.chunks(chunk) {
                decoder.push(part);
                while let Some(record) = decoder.next_record().unwrap() {
                    read.push(record.to_vec());
                }
            }
            prop_assert_eq!(read, records);
        }
    }
}
