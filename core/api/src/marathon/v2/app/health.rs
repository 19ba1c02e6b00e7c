//! Reads health checks.
#![deny(clippy::disallowed_methods)]

use super::super::fields::Fields;
use super::read::SECONDS_MAX;
use super::{HealthCheck, HealthCommand, IpProtocol, Protocol};

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("HTTP", Protocol::Http),
    ("HTTPS", Protocol::Https),
    ("TCP", Protocol::Tcp),
    ("COMMAND", Protocol::Command),
    ("MESOS_HTTP", Protocol::MesosHttp),
    ("MESOS_HTTPS", Protocol::MesosHttps),
    ("MESOS_TCP", Protocol::MesosTcp),
];

/// The health checks of an app that has so many ports.
pub(super) fn checks(fields: &Fields<'_>, ports: usize) -> Vec<HealthCheck> {
    let objects = fields.objects("healthChecks").unwrap_or_default();
    if objects.len() > 1 {
        // The agent runs the check of a task, and a task has one.
        fields.rule("healthChecks", "must not hold more than one check");
    }
    objects.iter().map(|object| check(object, ports)).collect()
}

fn check(object: &Fields<'_>, ports: usize) -> HealthCheck {
    let protocol = object.choice("protocol", PROTOCOLS).unwrap_or_default();
    let is_command = protocol == Protocol::Command;
    let path = path(object, protocol);
    let (port, port_index) = if is_command { (None, None) } else { target(object, ports) };
    let seconds = |key, default| object.integer(key, 0, SECONDS_MAX).unwrap_or(default);
    HealthCheck {
        command: command(object, is_command),
        path,
        port,
        port_index,
        grace_period_seconds: seconds("gracePeriodSeconds", 300),
        interval_seconds: seconds("intervalSeconds", 60),
        timeout_seconds: seconds("timeoutSeconds", 20),
        max_consecutive_failures: seconds("maxConsecutiveFailures", 3),
        delay_seconds: seconds("delaySeconds", 15),
        ignore_http1xx: object.flag("ignoreHttp1xx"),
        ip_protocol: ip_protocol(object),
        protocol,
    }
}

fn command(object: &Fields<'_>, wanted: bool) -> Option<HealthCommand> {
    let value = object.object("command").and_then(|command| command.filled_text("value", 65_536));
    match (wanted, &value) {
        (true, None) => {
            object.rule("command", "is required for protocol COMMAND, as {\"value\": …}");
        }
        (false, Some(_)) => object.rule("command", "is allowed for protocol COMMAND only"),
        (true, Some(_)) | (false, None) => {}
    }
    value.filter(|_| wanted).map(|value| HealthCommand { value })
}

fn path(object: &Fields<'_>, protocol: Protocol) -> Option<String> {
    let path = object.filled_text("path", 1024);
    match protocol {
        Protocol::Http | Protocol::Https | Protocol::MesosHttp | Protocol::MesosHttps => {
            Some(path.unwrap_or_else(|| "/".into()))
        }
        // Clients send the default path along with every protocol.
        Protocol::Tcp | Protocol::Command | Protocol::MesosTcp => None,
    }
}

/// The port that is asked: its number, or which of the app's ports.
fn target(object: &Fields<'_>, ports: usize) -> (Option<u16>, Option<u32>) {
    let port = object.port("port");
    let index = object.integer("portIndex", 0, u32::from(u16::MAX));
    if port == Some(0) {
        object.rule("port", "must be at least 1");
    }
    match (port, index) {
        (Some(_), Some(_)) => object.rule("port", "must not be given together with portIndex"),
        (Some(_), None) => {}
        (None, Some(index)) if usize::try_from(index).is_ok_and(|index| index < ports) => {}
        (None, Some(_)) => object.rule(
            "portIndex",
            format!("must be less than the number of ports of the app, which is {ports}"),
        ),
        (None, None) if ports == 0 => {
            object.rule("portIndex", "the app has no port to check; give port or portDefinitions");
        }
        (None, None) => return (None, Some(0)),
    }
    (port, index)
}

fn ip_protocol(object: &Fields<'_>) -> IpProtocol {
    let choices = [("IPv4", IpProtocol::IPv4), ("IPv6", IpProtocol::IPv6)];
    let protocol = object.choice("ipProtocol", &choices).unwrap_or_default();
    if protocol == IpProtocol::IPv6 {
        object
            .rule("ipProtocol", "IPv6 needs a container network, which this release does not have");
    }
    protocol
}
