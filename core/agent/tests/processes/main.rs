//! Real processes: the shim by itself, and an agent under a master of this
//! test's own making.
#![cfg(test)]

mod agent;
mod attack;
mod container;
mod executor;
mod files;
mod group;
mod holding;
mod leave;
mod master;
mod nested;
mod shim;
mod support;
