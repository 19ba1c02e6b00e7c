//! The records of a zip archive.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::super::Error;
use super::super::meter::reason;
use super::super::tar::{Entry, Kind, Modified};
use super::damaged;

pub(super) const CENTRAL_BYTES: usize = 46;
pub(super) const LOCAL_BYTES: usize = 30;
const END_BYTES: usize = 22;
/// A comment may follow the last record.
const END_BYTES_MAX: usize = END_BYTES + u16::MAX as usize;
const LOCATOR_BYTES: usize = 20;
const END64_BYTES: usize = 56;

/// The record of the large form that holds what does not fit into 32 bits.
const EXTRA_LARGE: u16 = 1;
/// Seconds since 1970, as Info-ZIP writes them.
const EXTRA_TIME: u16 = 0x5455;

/// `S_IFMT` and `S_IFLNK`.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_DIRECTORY: u32 = 0o040_000;

/// Where the list of entries is.
pub(super) struct Listing {
    /// What offsets count from: a program may precede the archive.
    pub(super) base: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) count: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|part| part.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

pub(super) fn listing(file: &File) -> Result<Listing, Error> {
    let length = file.metadata().map_err(reason)?.len();
    let tail_length = usize::try_from(length).unwrap_or(usize::MAX).min(END_BYTES_MAX);
    let tail_start = length - tail_length as u64;
    let mut tail = vec![0; tail_length];
    file.read_exact_at(&mut tail, tail_start).map_err(reason)?;
    let at = find_end(&tail).ok_or(damaged("it is not a zip archive, or its end is missing"))?;
    let record = tail.get(at..).unwrap_or_default();
    let end = tail_start + at as u64;
    if u16_at(record, 4) != 0 || u16_at(record, 6) != 0 {
        return Err(damaged("it is one part of several"));
    }
    let (count, size, offset) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    if count == u16::MAX || size == u32::MAX || offset == u32::MAX {
        return large_listing(file, end);
    }
    place(end, u64::from(size), u64::from(offset), u64::from(count))
}

/// The last record that is followed by as long a comment as it says.
fn find_end(tail: &[u8]) -> Option<usize> {
    let fits = |at: &usize| {
        let record = tail.get(*at..).unwrap_or_default();
        record.starts_with(b"PK\x05\x06")
            && record.len() == END_BYTES + usize::from(u16_at(record, 20))
    };
    (0..=tail.len().checked_sub(END_BYTES)?).rev().find(fits)
}

fn large_listing(file: &File, end: u64) -> Result<Listing, Error> {
    let wrong = || damaged("its large form is not understood");
    let mut locator = [0; LOCATOR_BYTES];
    let at = end.checked_sub(LOCATOR_BYTES as u64).ok_or_else(wrong)?;
    file.read_exact_at(&mut locator, at).map_err(reason)?;
    let at = u64_at(&locator, 8);
    let mut record = [0; END64_BYTES];
    file.read_exact_at(&mut record, at).map_err(reason)?;
    if !locator.starts_with(b"PK\x06\x07") || !record.starts_with(b"PK\x06\x06") {
        return Err(wrong());
    }
    place(at, u64_at(&record, 40), u64_at(&record, 48), u64_at(&record, 32))
}

/// The list ends where its end is described.
fn place(end: u64, size: u64, offset: u64, count: u64) -> Result<Listing, Error> {
    let wrong = || damaged("the list of its entries lies nowhere");
    let start = end.checked_sub(size).ok_or_else(wrong)?;
    let base = start.checked_sub(offset).ok_or_else(wrong)?;
    Ok(Listing { base, start, end, count })
}

pub(super) struct Lengths {
    pub(super) name: u16,
    pub(super) extra: u16,
    pub(super) comment: u16,
}

pub(super) fn lengths(fixed: &[u8; CENTRAL_BYTES]) -> Result<Lengths, Error> {
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(damaged("the list of its entries is not understood"));
    }
    Ok(Lengths { name: u16_at(fixed, 28), extra: u16_at(fixed, 30), comment: u16_at(fixed, 32) })
}

/// Of the data after its own header.
pub(super) fn data_offset(local: &[u8; LOCAL_BYTES]) -> Result<u64, Error> {
    if !local.starts_with(b"PK\x03\x04") {
        return Err(damaged("an entry is not where the list says"));
    }
    Ok(LOCAL_BYTES as u64 + u64::from(u16_at(local, 26)) + u64::from(u16_at(local, 28)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
    Bzip2,
    Zstd,
    Other,
}

/// What the list says of one entry.
pub(super) struct Central {
    pub(super) name: Vec<u8>,
    pub(super) encrypted: bool,
    pub(super) method: Method,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    mode: Option<u32>,
    modified: Modified,
}

impl Central {
    pub(super) fn parse(
        fixed: &[u8; CENTRAL_BYTES],
        name: Vec<u8>,
        extra: &[u8],
    ) -> Result<Self, Error> {
        let method = match u16_at(fixed, 10) {
            0 => Method::Stored,
            8 => Method::Deflated,
            12 => Method::Bzip2,
            93 => Method::Zstd,
            _ => Method::Other,
        };
        // Made by a system that knows modes.
        let unix = matches!(fixed.get(5), Some(3 | 19));
        let attributes = u32_at(fixed, 38) >> 16;
        let mut central = Self {
            name,
            encrypted: u16_at(fixed, 8) & 1 != 0,
            method,
            crc: u32_at(fixed, 16),
            packed: u32_at(fixed, 20).into(),
            size: u32_at(fixed, 24).into(),
            offset: u32_at(fixed, 42).into(),
            mode: (unix && attributes != 0).then_some(attributes),
            modified: dos_time(u16_at(fixed, 14), u16_at(fixed, 12)),
        };
        central.extend(extra)?;
        Ok(central)
    }

    fn extend(&mut self, mut extra: &[u8]) -> Result<(), Error> {
        while extra.len() >= 4 {
            let end = 4 + usize::from(u16_at(extra, 2));
            let Some(field) = extra.get(4..end) else { return Ok(()) };
            match u16_at(extra, 0) {
                EXTRA_LARGE => self.enlarge(field)?,
                EXTRA_TIME if field.len() >= 5 && field.first().is_some_and(|has| has & 1 != 0) => {
                    self.modified = Modified { seconds: u32_at(field, 1).into(), nanoseconds: 0 };
                }
                _ => {}
            }
            extra = extra.get(end..).unwrap_or_default();
        }
        Ok(())
    }

    /// Only what did not fit is there, in this order.
    fn enlarge(&mut self, field: &[u8]) -> Result<(), Error> {
        let mut at = 0;
        for value in [&mut self.size, &mut self.packed, &mut self.offset] {
            if *value == u64::from(u32::MAX) {
                if field.len() < at + 8 {
                    return Err(damaged("a large size is missing"));
                }
                *value = u64_at(field, at);
                at += 8;
            }
        }
        Ok(())
    }

    pub(super) fn kind(&self) -> Kind {
        match self.mode.map(|mode| mode & TYPE_MASK) {
            _ if self.name.ends_with(b"/") => Kind::Directory,
            Some(TYPE_DIRECTORY) => Kind::Directory,
            Some(TYPE_LINK) => Kind::Symlink { target: Vec::new() },
            _ => Kind::File { size: self.size },
        }
    }

    pub(super) fn entry(&self, kind: Kind) -> Entry {
        let usual = if kind == Kind::Directory { 0o755 } else { 0o644 };
        Entry {
            path: self.name.clone(),
            kind,
            mode: self.mode.map_or(usual, |mode| mode & 0o7777),
            uid: 0,
            gid: 0,
            modified: self.modified,
            attributes: Vec::new(),
        }
    }
}

/// Two seconds are the finest that it tells, and no zone: read as UTC.
fn dos_time(date: u16, time: u16) -> Modified {
    let (day, month, year) = (date & 31, date >> 5 & 15, date >> 9);
    let (second, minute, hour) = (time & 31, time >> 5 & 63, time >> 11);
    // Days of the civil calendar, reckoned with years that begin in March.
    let (month, day) = (i64::from(month).clamp(1, 12), i64::from(day).max(1));
    let year = 1980 + i64::from(year) - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second) * 2;
    Modified { seconds: days * 86_400 + seconds, nanoseconds: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_dos_are_read() {
        let at = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        let seconds = |date, time| dos_time(date, time).seconds;
        assert_eq!(seconds(at(1980, 1, 1), 0), 315_532_800);
        assert_eq!(seconds(at(2024, 2, 29), 12 << 11 | 34 << 5 | 28), 1_709_210_096);
        assert_eq!(seconds(0, 0), 315_532_800);
    }
}
