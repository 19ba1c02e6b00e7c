//! What the gateway says about the datacenter as a whole.

pub(crate) mod about;
pub(crate) mod health;
pub(crate) mod logs;

pub(crate) use about::About;
