//! Health checks, as the agent runs them.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::app::{HealthCheck, Protocol};
use karman_api::mesos::v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};
use karman_api::mesos::v1::{self, CommandInfo};

/// The protocols that Marathon once checked itself know no delay. A task needs
/// a moment to listen, though, and a first miss costs a whole interval.
const FIRST_CHECK_SECONDS: f64 = 1.0;

pub(super) fn to_wire(check: &HealthCheck, ports: &[u16]) -> v1::HealthCheck {
    let (by_marathon, kind) = match check.protocol {
        Protocol::Http | Protocol::Https => (true, Type::Http),
        Protocol::Tcp => (true, Type::Tcp),
        Protocol::MesosHttp | Protocol::MesosHttps => (false, Type::Http),
        Protocol::MesosTcp => (false, Type::Tcp),
        Protocol::Command => (false, Type::Command),
    };
    let port = u32::from(port(check, ports));
    let delay = f64::from(check.delay_seconds);
    v1::HealthCheck {
        delay_seconds: Some(if by_marathon { delay.min(FIRST_CHECK_SECONDS) } else { delay }),
        interval_seconds: Some(f64::from(check.interval_seconds)),
        timeout_seconds: Some(f64::from(check.timeout_seconds)),
        grace_period_seconds: Some(f64::from(check.grace_period_seconds)),
        // Zero never kills in Marathon, and kills at the first failure in Mesos.
        consecutive_failures: Some(match (by_marathon, check.max_consecutive_failures) {
            (true, 0) => u32::MAX,
            (_, n) => n.max(1),
        }),
        r#type: Some(kind.into()),
        command: check.command.as_ref().map(|command| CommandInfo {
            shell: Some(true),
            value: Some(command.value.clone()),
            ..CommandInfo::default()
        }),
        http: (kind == Type::Http).then(|| http(check, port)),
        tcp: (kind == Type::Tcp).then(|| TcpCheckInfo { port, ..TcpCheckInfo::default() }),
    }
}

fn http(check: &HealthCheck, port: u32) -> HttpCheckInfo {
    let https = matches!(check.protocol, Protocol::Https | Protocol::MesosHttps);
    HttpCheckInfo {
        port,
        path: check.path.clone(),
        scheme: Some(if https { "https" } else { "http" }.into()),
        ..HttpCheckInfo::default()
    }
}

fn port(check: &HealthCheck, ports: &[u16]) -> u16 {
    let index = usize::try_from(check.port_index.unwrap_or_default()).unwrap_or_default();
    check.port.or_else(|| ports.get(index).copied()).unwrap_or_default()
}
