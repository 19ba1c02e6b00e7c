//! Deployments. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

use super::document::{integer, list, plain, text};
use super::{or_dash, table};

/// One line per running deployment.
pub fn deployments(deployments: &[Value]) -> String {
    if deployments.is_empty() {
        return "no deployment is running\n".to_owned();
    }
    let rows: Vec<Vec<String>> = deployments
        .iter()
        .map(|deployment| {
            vec![
                affected(deployment).join(" "),
                or_dash(actions(deployment).join(", ")),
                progress(deployment),
                text(deployment, "/id").to_owned(),
            ]
        })
        .collect();
    table(&["APPS", "DOING", "STEP", "ID"], &rows)
}

/// The apps and pods that a deployment changes.
pub fn affected(deployment: &Value) -> Vec<String> {
    ["/affectedApps", "/affectedPods"]
        .into_iter()
        .flat_map(|pointer| list(deployment, pointer))
        .map(plain)
        .collect()
}

/// The apps that it takes away.
pub fn removed(deployment: &Value) -> Vec<&str> {
    list(deployment, "/steps")
        .iter()
        .flat_map(|step| list(step, "/actions"))
        .filter(|action| text(action, "/action") == "StopApplication")
        .map(|action| text(action, "/app"))
        .collect()
}

/// One line about where a deployment is.
pub fn line(deployment: &Value) -> String {
    format!("step {}: {}", progress(deployment), or_dash(actions(deployment).join(", ")))
}

fn progress(deployment: &Value) -> String {
    format!("{}/{}", integer(deployment, "/currentStep"), integer(deployment, "/totalSteps"))
}

fn actions(deployment: &Value) -> Vec<String> {
    list(deployment, "/currentActions")
        .iter()
        .map(|action| {
            let target = match text(action, "/app") {
                "" => text(action, "/pod"),
                app => app,
            };
            format!("{} {target}", verb(text(action, "/action")))
        })
        .collect()
}

fn verb(action: &str) -> &str {
    match action {
        "StartApplication" | "StartPod" => "start",
        "StopApplication" | "StopPod" => "stop",
        "ScaleApplication" | "ScalePod" => "scale",
        "RestartApplication" | "RestartPod" => "replace",
        other => other,
    }
}
