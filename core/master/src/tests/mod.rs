//! The whole master over real HTTP and a real session, with a scheduler and an
//! agent made by hand.

mod access;
mod api;
mod doors;
mod events;
mod explain;
mod fakes;
mod leading;
mod readers;
mod state;
mod statuses;
