//! From an instance and its place on an offer to the task that is launched.
#![deny(clippy::disallowed_methods)]

mod container;
mod env;
mod health;

use karman_api::marathon::v2::app::{App, PortDefinition};
use karman_api::marathon::v2::path;
use karman_api::mesos::v1::value::{Range, Ranges, Scalar, Type};
use karman_api::mesos::v1::{
    AgentId, CommandInfo, DiscoveryInfo, DurationInfo, KillPolicy, Label, Labels, Port, Ports,
    Resource, TaskId, TaskInfo, command_info::Uri, discovery_info::Visibility,
    resource::AllocationInfo,
};

use crate::instance::{Instance, Placement};
use crate::matcher::offer::ROLE;

/// The task of an instance that was just placed.
pub fn task(app: &App, instance: &Instance, placement: &Placement) -> TaskInfo {
    TaskInfo {
        name: path::reversed(&app.id, "."),
        task_id: TaskId { value: instance.task_id() },
        agent_id: AgentId { value: placement.agent_id.clone() },
        resources: resources(app, &placement.ports),
        command: Some(command(app, instance, placement)),
        container: app.container.as_ref().map(container::to_wire).map(Box::new),
        health_check: app
            .health_checks
            .first()
            .map(|check| health::to_wire(check, &placement.ports))
            .map(Box::new),
        kill_policy: app.task_kill_grace_period_seconds.map(kill_policy),
        labels: Some(labels(app.labels.iter())).filter(|labels| !labels.labels.is_empty()),
        discovery: Some(Box::new(discovery(app, &placement.ports))),
        ..TaskInfo::default()
    }
}

fn command(app: &App, instance: &Instance, placement: &Placement) -> CommandInfo {
    let uri = |artifact: &karman_api::marathon::v2::app::Artifact| Uri {
        value: artifact.uri.clone(),
        executable: Some(artifact.executable),
        extract: Some(artifact.extract),
        cache: Some(artifact.cache),
        output_file: artifact.dest_path.clone(),
    };
    let (shell, value, arguments) = match &app.cmd {
        Some(cmd) => (true, Some(cmd.clone()), Vec::new()),
        // The image says what takes the arguments.
        None if app.image().is_some() => (false, None, app.args.clone()),
        None => (false, app.args.first().cloned(), app.args.clone()),
    };
    CommandInfo {
        uris: app.fetch.iter().map(uri).collect(),
        environment: Some(env::environment(app, instance, placement)),
        shell: Some(shell),
        value,
        arguments,
        user: app.user.clone(),
    }
}

fn resources(app: &App, ports: &[u16]) -> Vec<Resource> {
    let scalar = |name: &str, value: f64| Resource {
        name: name.into(),
        r#type: Type::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..allocated()
    };
    let mut resources = vec![scalar("cpus", app.cpus), scalar("mem", app.mem)];
    if app.disk > 0.0 {
        resources.push(scalar("disk", app.disk));
    }
    if !ports.is_empty() {
        let range =
            ports.iter().map(|port| Range { begin: u64::from(*port), end: u64::from(*port) });
        resources.push(Resource {
            name: "ports".into(),
            r#type: Type::Ranges.into(),
            ranges: Some(Ranges { range: range.collect() }),
            ..allocated()
        });
    }
    resources.retain(|resource| resource.scalar.as_ref().is_none_or(|scalar| scalar.value > 0.0));
    resources
}

fn allocated() -> Resource {
    Resource {
        allocation_info: Some(AllocationInfo { role: Some(ROLE.into()) }),
        ..Resource::default()
    }
}

fn kill_policy(seconds: u32) -> KillPolicy {
    let nanoseconds = i64::from(seconds) * 1_000_000_000;
    KillPolicy { grace_period: Some(DurationInfo { nanoseconds }) }
}

fn labels<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Labels {
    let label =
        |(key, value): (&String, &String)| Label { key: key.clone(), value: Some(value.clone()) };
    Labels { labels: pairs.map(label).collect() }
}

/// How the task is found: its name, and its ports with their labels.
fn discovery(app: &App, ports: &[u16]) -> DiscoveryInfo {
    let pairs = app.port_definitions.iter().zip(ports);
    let ports = pairs.flat_map(|(definition, number)| {
        // `udp,tcp` is two ports of one number.
        definition.protocol.split(',').map(|protocol| port(definition, *number, protocol))
    });
    DiscoveryInfo {
        visibility: Visibility::Framework.into(),
        name: Some(path::reversed(&app.id, ".")),
        ports: Some(Ports { ports: ports.collect() }),
        ..DiscoveryInfo::default()
    }
}

fn port(definition: &PortDefinition, number: u16, protocol: &str) -> Port {
    let mut labels = labels(definition.labels.iter());
    labels.labels.push(Label { key: "network-scope".into(), value: Some("host".into()) });
    Port {
        number: u32::from(number),
        name: definition.name.clone(),
        protocol: Some(protocol.into()),
        visibility: None,
        labels: Some(labels),
    }
}

#[cfg(test)]
mod tests;
