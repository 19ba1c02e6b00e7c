//! What to probe and how often, from the wire types. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::{CheckInfo, CommandInfo, HealthCheck, check_info, health_check};

/// A question to a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// On the loopback address.
    Http {
        scheme: String,
        port: u16,
        path: String,
        ipv6: bool,
    },
    Tcp {
        port: u16,
        ipv6: bool,
    },
    /// In the environment of the task.
    Command(CommandInfo),
}

impl Eq for Probe {}

/// A probe with its times, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub probe: Probe,
    pub delay_ms: u64,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub grace_ms: u64,
    /// Failures in a row that end the task, zero for never; `None` where the
    /// answers are only passed on.
    pub failures_max: Option<u32>,
}

/// An interval of zero would never let go of the processor.
const INTERVAL_MS_MIN: u64 = 10;

pub fn health(check: &HealthCheck) -> Option<Spec> {
    // The kind may be left out where only one can be meant.
    let probe = match (check.r#type(), &check.http, &check.tcp, &check.command) {
        (health_check::Type::Http | health_check::Type::Unknown, Some(http), _, _) => Probe::Http {
            scheme: http.scheme.clone().unwrap_or_else(|| "http".into()),
            port: port(http.port)?,
            path: path(http.path.as_deref()),
            ipv6: http.protocol() == karman_api::mesos::v1::network_info::Protocol::IPv6,
        },
        (health_check::Type::Tcp | health_check::Type::Unknown, _, Some(tcp), _) => Probe::Tcp {
            port: port(tcp.port)?,
            ipv6: tcp.protocol() == karman_api::mesos::v1::network_info::Protocol::IPv6,
        },
        (health_check::Type::Command | health_check::Type::Unknown, _, _, Some(command)) => {
            Probe::Command(command.clone())
        }
        _ => return None,
    };
    Some(Spec {
        probe,
        delay_ms: millis(check.delay_seconds()),
        interval_ms: millis(check.interval_seconds()).max(INTERVAL_MS_MIN),
        timeout_ms: timeout(check.timeout_seconds()),
        grace_ms: millis(check.grace_period_seconds()),
        failures_max: Some(check.consecutive_failures()),
    })
}

pub fn check(check: &CheckInfo) -> Option<Spec> {
    let probe = match (check.r#type(), &check.http, &check.tcp, &check.command) {
        (check_info::Type::Http | check_info::Type::Unknown, Some(http), _, _) => Probe::Http {
            scheme: "http".into(),
            port: port(http.port)?,
            path: path(http.path.as_deref()),
            ipv6: false,
        },
        (check_info::Type::Tcp | check_info::Type::Unknown, _, Some(tcp), _) => {
            Probe::Tcp { port: port(tcp.port)?, ipv6: false }
        }
        (check_info::Type::Command | check_info::Type::Unknown, _, _, Some(command)) => {
            Probe::Command(command.command.clone())
        }
        _ => return None,
    };
    Some(Spec {
        probe,
        delay_ms: millis(check.delay_seconds()),
        interval_ms: millis(check.interval_seconds()).max(INTERVAL_MS_MIN),
        timeout_ms: timeout(check.timeout_seconds()),
        grace_ms: 0,
        failures_max: None,
    })
}

fn port(port: u32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn path(path: Option<&str>) -> String {
    match path {
        Some(path) if path.starts_with('/') => path.to_owned(),
        other => format!("/{}", other.unwrap_or_default()),
    }
}

/// Zero means no limit; nobody waits longer than a day.
fn timeout(seconds: f64) -> u64 {
    match millis(seconds) {
        0 => 86_400_000,
        limit => limit,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "non-negative, and saturates"
)]
fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}
