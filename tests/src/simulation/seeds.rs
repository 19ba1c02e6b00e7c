//! Seeds that have found something. They are run for ever: each had a reason.
//! Whatever changes what a seed does (a new call, another order of chances) makes
//! them ordinary seeds, which is no loss: what each found has a test of its own
//! beside the code.

pub(super) const FOUND: [(u64, &str); 3] = [
    (
        122,
        "an agent that had been unreachable came back without a task, which stayed unreachable for ever",
    ),
    (169, "the same"),
    (1141, "a framework whose answer to an inverse offer was lost was never asked again"),
];
