//! The real `karmand` binary doing its work, and what happens when it is killed.

mod access;
mod agents;
mod cli;
mod dashboard;
mod examples;
mod exec;
mod greedy;
mod input;
mod maintenance;
mod registry;
mod repair;
mod restart;
mod roll;
mod shares;
mod start;
mod stop;
mod strangers;
mod up;
mod web;

use serde_json::{Value, json};

use crate::binaries;

/// An app of `examples/`.
fn example(name: &str) -> Value {
    let path = binaries::root().join("examples").join(name);
    let text = std::fs::read_to_string(&path).expect("the example exists");
    serde_json::from_str(&text).expect("the example is JSON")
}

/// An app that sleeps, marked so that its processes can be found.
fn sleeper(id: &str, instances: u32, mark: &str) -> Value {
    json!({
        "id": id,
        "cmd": "exec sleep 100000",
        "instances": instances,
        "cpus": 0.01,
        "mem": 16,
        "portDefinitions": [],
        "env": { MARK: mark },
    })
}

/// The environment variable by which tests find the processes of their tasks.
const MARK: &str = "KARMAN_TEST_MARK";

/// A mark that no other test has.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
