//! The `karman` binary against a fake gateway: what it asks for, what it
//! prints, and the exit code that it ends with.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod clusters;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod images;
#[cfg(test)]
mod tasks;
