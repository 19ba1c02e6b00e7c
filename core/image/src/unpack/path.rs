//! Paths as archives write them. Pure.
#![deny(clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Error;

/// The kernel takes no longer ones.
pub(super) const PATH_BYTES_MAX: usize = 4096;
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Deeper trees serve only to exhaust something.
const DEPTH_MAX: usize = 512;

/// For messages.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

/// The path below the root that an entry names: without `.` and doubled or
/// leading slashes. Empty for the root itself.
pub(super) fn clean(bytes: &[u8]) -> Result<PathBuf, Error> {
    let wrong = |problem| Error::Path { path: shown(bytes), problem };
    if bytes.len() > PATH_BYTES_MAX {
        return Err(wrong("it is too long"));
    }
    if bytes.contains(&0) {
        return Err(wrong("it holds a NUL character"));
    }
    let mut path = PathBuf::new();
    for (depth, part) in parts(bytes).enumerate() {
        match part {
            b".." => return Err(Error::Escapes { path: shown(bytes) }),
            _ if part.len() > NAME_BYTES_MAX => return Err(wrong("a part of it is too long")),
            _ if depth >= DEPTH_MAX => return Err(wrong("it is too deep")),
            _ => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The folder and the name in it; `None` for the root.
pub(super) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    Some((path.parent()?, path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_inside_is_cleaned() {
        for (given, path) in
            [("a/b", "a/b"), ("./a//b/", "a/b"), ("/etc/x", "etc/x"), ("./", ""), ("a/./b", "a/b")]
        {
            assert_eq!(clean(given.as_bytes()).unwrap(), Path::new(path), "{given}");
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        for given in ["..", "a/../b", "../x", "/..", "a/..", "a\0b"] {
            assert!(clean(given.as_bytes()).is_err(), "{given}");
        }
        assert!(clean(&[b'a'; 300]).is_err());
        assert!(clean("a/".repeat(600).as_bytes()).is_err());
        assert!(clean("abcdefgh/".repeat(500).as_bytes()).is_err());
    }
}
