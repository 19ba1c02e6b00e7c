//! Brings images and files onto a machine.
//!
//! Images come from registries, OCI layouts and archives of `docker save`. A
//! [`Store`] keeps them by what they are, unpacked as folders that overlayfs can
//! stack, and removes them when the disk fills up and nobody holds them.
//! Nothing that a stranger wrote is trusted: digests, sizes, paths and links.
//!
//! It knows no tasks and no containers; it mounts nothing and runs nothing.

pub mod auth;
pub mod digest;
pub mod fetch;
mod flights;
pub mod layout;
pub mod manifest;
mod progress;
pub mod reference;
pub mod registry;
mod store;
#[cfg(test)]
mod testing;
pub mod unpack;

pub use auth::Auth;
pub use digest::Digest;
pub use fetch::Fetcher;
pub use manifest::{Config, Platform};
pub use progress::{Phase, Progress};
pub use reference::Reference;
pub use registry::Registries;
pub use store::{
    Collected, Error, Failed, HoldError, Image, Listed, LoadError, OpenError, Policy, Pressure,
    RemoveError, Settings, Store, UploadError,
};
