//! Whole machines: nodes that are installed, lose their power, are added and
//! removed. `cargo xtask test --datacenter` provides what they need.

mod cluster;
mod faults;
mod joining;
mod life;
mod machines;

use crate::room::Shape;

/// The smallest with something to cut.
const PAIR: Shape = Shape { masters: 1, agents: 1, public: 0, spare: 0 };
