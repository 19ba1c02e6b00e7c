//! How many entries to ask for at once: by their size so far.

/// What one answer shall hold, so that a load neither needs thousands of round
/// trips nor an answer of gigabytes.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
const ENTRIES_FIRST: usize = 1024;
const ENTRIES_MIN: usize = 16;
const ENTRIES_MAX: usize = 20_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    entries: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self { entries: ENTRIES_FIRST }
    }
}

impl Pages {
    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.entries).unwrap_or(i64::MAX)
    }

    /// A page had so many entries and bytes.
    pub(crate) fn had(&mut self, entries: usize, bytes: usize) {
        let average = (bytes / entries.max(1)).max(1);
        self.entries = (PAGE_BYTES / average).clamp(ENTRIES_MIN, ENTRIES_MAX);
    }

    /// An answer was larger than what may be received; false when it cannot be
    /// smaller.
    pub(crate) fn was_too_large(&mut self) -> bool {
        let fewer = self.entries / 4;
        self.entries = fewer.max(1);
        fewer > 0
    }
}

#[cfg(test)]
mod tests;
