//! The Marathon API.
