//! Version 2 of the Marathon API: the types of its bodies, how an app is read,
//! completed with defaults and checked. Pure.
#![deny(clippy::disallowed_methods)]

pub mod app;
pub mod deployment;
pub mod error;
mod fields;
pub mod info;
pub mod path;
pub mod queue;
pub mod task;
pub mod time;

pub use app::App;
pub use app::AppInfo;
pub use deployment::Deployment;
pub use error::ErrorBody;
pub use task::Task;
