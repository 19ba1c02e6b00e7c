//! Snapshots as JSON of the old endpoints and as messages of the operator API.

pub(super) mod agents;
pub(super) mod frameworks;
pub(super) mod master;
mod quick;
pub(super) mod registry;
pub(super) mod resources;
pub(super) mod roles;
pub(super) mod stream;
pub(super) mod summary;
pub(super) mod tasks;
pub(super) mod wire;
