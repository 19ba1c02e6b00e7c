//! What pax says of an entry beyond its header.

use super::{Error, Modified, damaged};

/// Names of extended attributes follow it.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// Of one entry.
const ATTRIBUTES_MAX: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Modified>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) is_sparse: bool,
}

impl Extensions {
    /// Adds the records of one header: `length key=value` and a line feed each.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let wrong = || damaged("an extended header is not understood");
            let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = rest.get(..space).and_then(number::<usize>).ok_or_else(wrong)?;
            let record = rest.get(space + 1..length).ok_or_else(wrong)?;
            let Some((b'\n', record)) = record.split_last() else { return Err(wrong()) };
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = record.split_at(equals);
            self.set(key, value.get(1..).unwrap_or_default())?;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let wrong = || damaged("a number of an extended header is not understood");
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = Some(number(value).ok_or_else(wrong)?),
            b"uid" => self.uid = Some(number(value).ok_or_else(wrong)?),
            b"gid" => self.gid = Some(number(value).ok_or_else(wrong)?),
            b"mtime" => self.modified = Some(modified(value).ok_or_else(wrong)?),
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(ATTRIBUTE).filter(|name| !name.is_empty()) {
                    if self.attributes.len() >= ATTRIBUTES_MAX {
                        return Err(damaged("an entry has too many extended attributes"));
                    }
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// What an entry says itself wins over what was said for all.
    pub(super) fn over(self, global: &Self) -> Self {
        let Self { path, link, size, uid, gid, modified, mut attributes, is_sparse } = self;
        attributes.splice(0..0, global.attributes.iter().cloned());
        Self {
            // A path or size for all entries makes no sense.
            path,
            link,
            size,
            uid: uid.or(global.uid),
            gid: gid.or(global.gid),
            modified: modified.or(global.modified),
            attributes,
            is_sparse,
        }
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// `1700000000.123456789`, before 1970 with a sign.
fn modified(text: &[u8]) -> Option<Modified> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(if whole.starts_with('-') && nanoseconds > 0 {
        Modified { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds }
    } else {
        Modified { seconds, nanoseconds }
    })
}
