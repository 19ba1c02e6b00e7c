//! The whole master over real HTTP and a real session, with a scheduler and an
//! agent made by hand.

mod api;
mod fakes;
mod state;
