//! A look into programs: whether they are complete in themselves.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The headers of a program of 64 bits lie within its first page.
const PAGE: u64 = 4096;
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// A segment that names the loader of shared libraries.
const INTERPRETER: u32 = 3;

/// Whether a program needs no shared libraries.
pub(crate) fn is_static(path: &Path) -> Result<bool> {
    let mut page = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PAGE).read_to_end(&mut page))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let kinds = segments(&page).with_context(|| format!("{} is no program", path.display()))?;
    ensure!(!kinds.is_empty(), "{} has no segments", path.display());
    Ok(!kinds.contains(&INTERPRETER))
}

/// The kinds of the segments, as the program headers tell.
fn segments(page: &[u8]) -> Option<Vec<u32>> {
    if !page.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = page.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let first = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) =
        (usize::try_from(number(54, 2)?).ok()?, usize::try_from(number(56, 2)?).ok()?);
    (0..count)
        .map(|index| {
            let at = first.checked_add(index.checked_mul(size)?)?;
            u32::try_from(number(at, 4)?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_itself_needs_libraries() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(is_static(&program).unwrap(), cfg!(target_feature = "crt-static"));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert_eq!(segments(b"#!/bin/sh\n"), None);
        assert_eq!(segments(b"\x7fELF\x02\x01"), None);
    }
}
