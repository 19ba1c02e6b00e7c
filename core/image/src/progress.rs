//! How far a pull is.

use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub layers_done: usize,
    pub layers_total: usize,
    /// Of what must come over the network or from a file.
    pub bytes_done: u64,
    pub bytes_total: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Asking what the name stands for.
    #[default]
    Resolving,
    Fetching,
    /// All bytes are here.
    Unpacking,
    Done,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, layers_done, layers_total, bytes_done, bytes_total } = self;
        let mib = |bytes: &u64| bytes.div_ceil(1 << 20);
        match phase {
            Phase::Resolving => f.write_str("asking the registry"),
            Phase::Fetching => write!(
                f,
                "{layers_done} of {layers_total} layers, {} of {} MiB",
                mib(bytes_done),
                mib(bytes_total)
            ),
            Phase::Unpacking => write!(f, "{layers_done} of {layers_total} layers, unpacking"),
            Phase::Done => f.write_str("complete"),
        }
    }
}
