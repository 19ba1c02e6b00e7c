mod absence;
mod days;
mod faults;
mod groups;
mod operations;
mod outside;
mod random;
pub(in crate::ledger) mod world;
