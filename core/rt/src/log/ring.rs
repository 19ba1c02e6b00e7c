//! The end of a text that grows without end.

use std::collections::VecDeque;

const ESCAPE: u8 = 0x1b;

/// Keeps the last bytes that were written; positions count from the first byte
/// ever written.
#[derive(Debug)]
pub struct Ring {
    bytes: VecDeque<u8>,
    /// The position of the first byte that is still there.
    start: u64,
    limit: usize,
}

/// A part of the text, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Later than asked for if the text there is gone.
    pub offset: u64,
    pub data: Vec<u8>,
}

impl Ring {
    pub fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), start: 0, limit }
    }

    /// One past the last position.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Colours are left out.
    pub fn write(&mut self, text: &[u8]) {
        let mut coloured = false;
        for byte in text {
            match (coloured, *byte) {
                (false, ESCAPE) => coloured = true,
                (false, byte) => self.bytes.push_back(byte),
                (true, b'm') => coloured = false,
                (true, _) => {}
            }
        }
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
        self.start += surplus as u64;
    }

    /// Up to `length` bytes; nothing beyond the end.
    pub fn read(&self, offset: u64, length: usize) -> Excerpt {
        let offset = offset.max(self.start);
        let skipped = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Excerpt { offset, data: self.bytes.iter().skip(skipped).take(length).copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut ring = Ring::new(8);
        ring.write(b"12345");
        assert_eq!(ring.read(1, 2), Excerpt { offset: 1, data: b"23".to_vec() });
        ring.write(b"\x1b[31m6789\x1b[0mab");
        assert_eq!(ring.end(), 11);
        assert_eq!(ring.read(0, 100), Excerpt { offset: 3, data: b"456789ab".to_vec() });
        assert_eq!(ring.read(10, 100), Excerpt { offset: 10, data: b"b".to_vec() });
        assert_eq!(ring.read(99, 100).data, b"");
    }
}
