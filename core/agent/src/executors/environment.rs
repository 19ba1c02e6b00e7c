//! What an executor finds in its environment, beside what every task does. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How long an executor should go on without its agent. Nothing depends on the
/// agent being there: a day, as DC/OS has it.
const RECOVERY: &str = "24hrs";

/// The longest pause between two attempts to subscribe.
const BACKOFF_MAX: &str = "2secs";

/// What the executor must know of its agent.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Where the agent answers to its own machine.
    pub door: SocketAddr,
    /// The agent in the notation of the original's actors.
    pub pid: &'a str,
    pub token: &'a str,
    pub grace_ms: u64,
}

/// `all` is what a command with the same name would get.
pub fn environment(all: Vec<(String, String)>, around: &Surroundings<'_>) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = all.into_iter().collect();
    all.remove("MESOS_TASK_ID");
    let endpoint = around.door.to_string();
    let grace = duration(around.grace_ms);
    for (name, value) in [
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_AGENT_ENDPOINT", &endpoint),
        // Whatever the framework said: a restart of this agent ends nothing.
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", around.token),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", &grace),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("MESOS_RECOVERY_TIMEOUT", RECOVERY),
        ("MESOS_SLAVE_PID", around.pid),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", BACKOFF_MAX),
    ] {
        all.insert(name.to_owned(), value.to_owned());
    }
    all.into_iter().collect()
}

/// As the original writes durations.
fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{}secs", ms / 1000) } else { format!("{ms}ms") }
}
