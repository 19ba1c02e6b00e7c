//! Karman's own API, `/karman/v1`.

pub mod discovery;
