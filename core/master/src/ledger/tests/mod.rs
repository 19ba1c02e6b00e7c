mod absence;
mod days;
mod faults;
mod random;
pub(in crate::ledger) mod world;
