//! The environment of a command. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_api::mesos::v1::environment::Variable;
use karman_api::mesos::v1::environment::variable::Type;
use karman_api::mesos::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo};

use super::{Machine, Refusal};

/// What every task gets, then what it asks for; the latter wins, save for the
/// names that say where it is.
pub(super) fn environment(
    task: &TaskInfo,
    framework: &FrameworkInfo,
    executor: Option<&ExecutorInfo>,
    command: &CommandInfo,
    machine: &Machine<'_>,
    in_image: bool,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut all = BTreeMap::new();
    if !in_image {
        all.insert("PATH".to_owned(), machine.path.to_owned());
    }
    for variable in command.environment.iter().flat_map(|environment| &environment.variables) {
        let name = &variable.name;
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Refusal::invalid(format!(
                "'{name}' is not a name of an environment variable"
            )));
        }
        let value = match (variable.r#type(), &variable.value) {
            (Type::Secret, _) => secret(variable)?,
            (Type::Value | Type::Unknown, value) => value.clone().unwrap_or_default(),
        };
        if value.contains('\0') {
            return Err(Refusal::invalid(format!("The value of '{name}' holds a NUL character")));
        }
        all.insert(name.clone(), value);
    }
    let framework_id = framework.id.as_ref().map_or("", |id| id.value.as_str());
    let task_id = task.task_id.value.as_str();
    let executor_id = executor.map_or(task_id, |executor| executor.executor_id.value.as_str());
    if executor.is_some() {
        // As the original's executor of groups has it.
        let allocated =
            task.resources.iter().find_map(|it| it.allocation_info.as_ref()?.role.clone());
        all.extend(allocated.map(|role| ("MESOS_ALLOCATION_ROLE".to_owned(), role)));
        all.insert("MESOS_CONTAINER_IP".to_owned(), machine.ip.to_string());
    }
    for (name, value) in [
        ("MESOS_TASK_ID", task_id),
        ("MESOS_EXECUTOR_ID", executor_id),
        ("MESOS_FRAMEWORK_ID", framework_id),
        ("MESOS_SLAVE_ID", machine.agent_id),
        ("MESOS_AGENT_ID", machine.agent_id),
        ("MESOS_CONTAINER_ID", machine.container_id),
        ("MESOS_SANDBOX", if in_image { super::SANDBOX } else { machine.sandbox }),
        ("MESOS_DIRECTORY", machine.sandbox),
        ("MESOS_AGENT_ENDPOINT", machine.endpoint),
    ] {
        all.insert(name.to_owned(), value.to_owned());
    }
    Ok(all.into_iter().collect())
}

/// A secret that comes with the task.
fn secret(variable: &Variable) -> Result<String, Refusal> {
    let name = &variable.name;
    let value = variable.secret.as_ref().and_then(|secret| secret.value.as_ref());
    let Some(value) = value else {
        return Err(Refusal::failed(format!(
            "'{name}' refers to a secret; this agent takes secrets by value only"
        )));
    };
    String::from_utf8(value.data.clone().into()).map_err(|_binary| {
        Refusal::invalid(format!("The secret '{name}' is no text; give it as a volume"))
    })
}
