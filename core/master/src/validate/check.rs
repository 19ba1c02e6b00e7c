//! The rules for health checks and checks.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_api::mesos::v1::{check_info, health_check};

/// Why a check is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("HealthCheck must be of type COMMAND, HTTP or TCP and say how")]
    Health,
    #[error("CheckInfo must be of type COMMAND, HTTP or TCP and say how")]
    Check,
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("{0} must be a number")]
    NaN(&'static str),
    #[error("{field} must start with a slash, not be '{path}'")]
    Path { field: &'static str, path: String },
    #[error("HealthCheck.http.scheme must be 'http' or 'https', not '{0}'")]
    Scheme(String),
    #[error("{field} must be a port number up to 65535, not {port}")]
    Port { field: &'static str, port: u32 },
    #[error("{0} must have a value or be without a shell")]
    NoCommand(&'static str),
}

pub fn health(check: Option<&v1::HealthCheck>) -> Result<(), Error> {
    let Some(check) = check else { return Ok(()) };
    match check.r#type() {
        health_check::Type::Command => {
            has_value("HealthCheck.command", check.command.as_ref().ok_or(Error::Health)?)?;
        }
        health_check::Type::Http => {
            let http = check.http.as_ref().ok_or(Error::Health)?;
            if let Some(scheme) = &http.scheme
                && !matches!(scheme.as_str(), "http" | "https")
            {
                return Err(Error::Scheme(scheme.clone()));
            }
            is_path("HealthCheck.http.path", http.path.as_deref())?;
            is_port("HealthCheck.http.port", http.port)?;
        }
        health_check::Type::Tcp => {
            is_port("HealthCheck.tcp.port", check.tcp.as_ref().ok_or(Error::Health)?.port)?;
        }
        health_check::Type::Unknown => return Err(Error::Health),
    }
    are_times(&[
        ("HealthCheck.delay_seconds", check.delay_seconds),
        ("HealthCheck.interval_seconds", check.interval_seconds),
        ("HealthCheck.timeout_seconds", check.timeout_seconds),
        ("HealthCheck.grace_period_seconds", check.grace_period_seconds),
    ])
}

pub fn check(check: Option<&v1::CheckInfo>) -> Result<(), Error> {
    let Some(check) = check else { return Ok(()) };
    match check.r#type() {
        check_info::Type::Command => {
            let command = check.command.as_ref().ok_or(Error::Check)?;
            has_value("CheckInfo.command", &command.command)?;
        }
        check_info::Type::Http => {
            let http = check.http.as_ref().ok_or(Error::Check)?;
            is_path("CheckInfo.http.path", http.path.as_deref())?;
            is_port("CheckInfo.http.port", http.port)?;
        }
        check_info::Type::Tcp => {
            is_port("CheckInfo.tcp.port", check.tcp.as_ref().ok_or(Error::Check)?.port)?;
        }
        check_info::Type::Unknown => return Err(Error::Check),
    }
    are_times(&[
        ("CheckInfo.delay_seconds", check.delay_seconds),
        ("CheckInfo.interval_seconds", check.interval_seconds),
        ("CheckInfo.timeout_seconds", check.timeout_seconds),
    ])
}

fn has_value(field: &'static str, command: &v1::CommandInfo) -> Result<(), Error> {
    if command.value.is_none() && command.shell.unwrap_or(true) {
        return Err(Error::NoCommand(field));
    }
    Ok(())
}

fn is_path(field: &'static str, path: Option<&str>) -> Result<(), Error> {
    match path {
        Some(path) if !path.starts_with('/') => Err(Error::Path { field, path: path.to_owned() }),
        Some(_) | None => Ok(()),
    }
}

const fn is_port(field: &'static str, port: u32) -> Result<(), Error> {
    if port > u16::MAX as u32 { Err(Error::Port { field, port }) } else { Ok(()) }
}

fn are_times(times: &[(&'static str, Option<f64>)]) -> Result<(), Error> {
    for (field, seconds) in times {
        match seconds {
            Some(seconds) if seconds.is_nan() => return Err(Error::NaN(field)),
            Some(seconds) if *seconds < 0.0 => return Err(Error::Negative(field)),
            Some(_) | None => {}
        }
    }
    Ok(())
}
