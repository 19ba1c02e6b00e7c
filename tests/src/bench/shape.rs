//! What emulated agents, frameworks and tasks look like.

use karman_api::mesos::v1;
use karman_api::session;

/// More than any framework here uses of an agent.
const CPUS: f64 = 64.0;
const MEM: f64 = 262_144.0;
const DISK: f64 = 1_000_000.0;
/// So small that thousands of tasks fit on an agent.
const TASK_CPUS: f64 = 0.01;
const TASK_MEM: f64 = 1.0;

/// A week: nobody is removed while he is measured.
const FAILOVER_SECONDS: f64 = 604_800.0;

pub(crate) fn framework(id: Option<&str>, name: &str) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let capability = |kind: Type| Capability { r#type: Some(kind.into()) };
    v1::FrameworkInfo {
        user: "root".into(),
        name: name.to_owned(),
        id: id.map(|id| v1::FrameworkId { value: id.to_owned() }),
        failover_timeout: Some(FAILOVER_SECONDS),
        checkpoint: Some(true),
        roles: vec!["*".to_owned()],
        capabilities: [Type::MultiRole, Type::PartitionAware, Type::ReservationRefinement]
            .map(capability)
            .to_vec(),
        ..Default::default()
    }
}

/// Frameworks with ids of their own, that agents bring back.
pub(crate) fn frameworks(count: usize) -> Vec<v1::FrameworkInfo> {
    (0..count).map(|at| framework(Some(&format!("framework-{at}")), "bench")).collect()
}

pub(crate) fn agent(id: Option<String>, at: usize) -> v1::AgentInfo {
    let ports = v1::value::Ranges { range: vec![v1::value::Range { begin: 31_000, end: 32_000 }] };
    let text = |name: &str, value: String| v1::Attribute {
        name: name.to_owned(),
        r#type: v1::value::Type::Text.into(),
        text: Some(v1::value::Text { value }),
        ..Default::default()
    };
    v1::AgentInfo {
        hostname: format!("host-{at}.example.com"),
        port: Some(5051),
        resources: vec![
            scalar("cpus", CPUS),
            scalar("mem", MEM),
            scalar("disk", DISK),
            v1::Resource {
                name: "ports".into(),
                r#type: v1::value::Type::Ranges.into(),
                ranges: Some(ports),
                ..Default::default()
            },
        ],
        attributes: vec![text("rack", format!("rack-{}", at / 40))],
        id: id.map(|value| v1::AgentId { value }),
        ..Default::default()
    }
}

pub(crate) fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

pub(crate) fn task(agent: &str, id: String) -> v1::TaskInfo {
    v1::TaskInfo {
        name: "web".to_owned(),
        task_id: v1::TaskId { value: id },
        agent_id: v1::AgentId { value: agent.to_owned() },
        resources: vec![scalar("cpus", TASK_CPUS), scalar("mem", TASK_MEM)],
        command: Some(v1::CommandInfo {
            value: Some("exec ./server --port $PORT0".to_owned()),
            ..Default::default()
        }),
        labels: Some(v1::Labels {
            labels: vec![v1::Label {
                key: "team".to_owned(),
                value: Some("storefront".to_owned()),
            }],
        }),
        ..Default::default()
    }
}

pub(crate) fn status(agent: &str, task: &v1::TaskId, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task.clone(),
        state: state.into(),
        agent_id: Some(v1::AgentId { value: agent.to_owned() }),
        executor_id: Some(v1::ExecutorId { value: task.value.clone() }),
        timestamp: Some(1_790_000_000.0),
        source: Some(v1::task_status::Source::Executor.into()),
        ..Default::default()
    }
}

/// The registration of an agent with tasks that run.
pub(crate) fn register(
    at: usize,
    tasks: usize,
    frameworks: &[v1::FrameworkInfo],
) -> session::Register {
    let agent_id = agent_id(at);
    let running = |n: usize| {
        let framework = frameworks.get(n % frameworks.len().max(1));
        let mut task = task(&agent_id, format!("web.{at}.{n}"));
        for resource in &mut task.resources {
            // As the master has completed it.
            let role = Some("*".to_owned());
            resource.allocation_info = Some(v1::resource::AllocationInfo { role });
        }
        let status = status(&agent_id, &task.task_id, v1::TaskState::TaskRunning);
        session::AgentTask {
            framework_id: framework.and_then(|framework| framework.id.clone()),
            task: Some(Box::new(task)),
            status: Some(Box::new(status)),
            ..Default::default()
        }
    };
    session::Register {
        agent: Some(agent(Some(agent_id.clone()), at)),
        version: "1".to_owned(),
        boot_id: "boot".to_owned(),
        tasks: (0..tasks).map(running).collect(),
        frameworks: frameworks.to_vec(),
        address: "10.0.0.1".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn agent_id(at: usize) -> String {
    format!("00000000-0000-4000-8000-000000000000-S{at}")
}
