//! Typed clients of the APIs.
