//! What must hold for any bytes that come over a wire. `cargo xtask fuzz` looks
//! for bytes that break it, with the same bodies; here they run on the committed
//! seeds and on what proptest makes up.

pub mod bodies;
#[cfg(test)]
mod replay;
pub mod unpacking;
