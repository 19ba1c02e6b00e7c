//! Rules between the fields of an app.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use super::super::fields::Fields;
use super::App;

/// A label that promises at most one instance, also while it is replaced.
pub(super) const SINGLE_INSTANCE: &str = "MARATHON_SINGLE_INSTANCE_APP";

const NUL: &str = "must not hold a NUL character";

pub(super) fn check(fields: &Fields<'_>, app: &App) {
    command(fields, app);
    ports(fields, app);
    constraints(fields, app);
    roles(fields, app);
    labels(fields, app);
    environment(fields, app);
}

fn command(fields: &Fields<'_>, app: &App) {
    match (fields.has("cmd"), fields.is_filled("args")) {
        (true, true) => fields.rule("cmd", "must not be given together with args"),
        // An image may say what it runs.
        (false, false) if app.image().is_some() => {}
        (false, false) => fields.rule("cmd", "is required where there is no args"),
        (true, false) | (false, true) => {}
    }
    if app.cmd.as_ref().is_some_and(|cmd| cmd.chars().count() < 2) {
        fields.rule("cmd", "must be longer than one character");
    }
    if app.cmd.as_ref().is_some_and(|cmd| cmd.contains('\0')) {
        fields.rule("cmd", NUL);
    }
    for (i, argument) in app.args.iter().enumerate() {
        if argument.contains('\0') {
            fields.rule(&format!("args({i})"), NUL);
        }
    }
}

/// What the kernel would not take: an agent could only refuse it, again and again.
fn environment(fields: &Fields<'_>, app: &App) {
    for (name, value) in &app.env {
        if name.is_empty() {
            fields.rule("env", "names of variables must not be empty");
        } else if name.contains(['=', '\0']) {
            fields.rule("env", format!("the name {name:?} must not hold '=' or a NUL character"));
        }
        if value.contains('\0') {
            fields.rule(&format!("env/{name}"), NUL);
        }
    }
}

fn ports(fields: &Fields<'_>, app: &App) {
    let key = if fields.has("portDefinitions") { "portDefinitions" } else { "ports" };
    let mut ports = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (i, definition) in app.port_definitions.iter().enumerate() {
        if definition.port != 0 && !ports.insert(definition.port) {
            fields.rule(key, format!("port {} is given more than once", definition.port));
        }
        let Some(name) = &definition.name else { continue };
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.starts_with('-') || name.ends_with('-') || !name.chars().all(inner) {
            fields.rule(
                &format!("{key}({i})/name"),
                "must consist of lower-case letters, digits and inner dashes",
            );
        }
        if !names.insert(name) {
            fields.rule(key, format!("name '{name}' is given more than once"));
        }
    }
}

fn constraints(fields: &Fields<'_>, app: &App) {
    let mut seen = BTreeSet::new();
    for (i, constraint) in app.constraints.iter().enumerate() {
        let key = format!("constraints({i})");
        if let Some(problem) = constraint_problem(constraint) {
            fields.rule(&key, problem);
        }
        if !seen.insert(constraint) {
            fields.rule(&key, "is given more than once");
        }
    }
}

fn constraint_problem(constraint: &[String]) -> Option<&'static str> {
    let (field, operator, value) = match constraint {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value.as_str())),
        _ => return Some("must hold a field, an operator and sometimes a value"),
    };
    if field.is_empty() {
        return Some("the field must not be empty");
    }
    match operator.as_str() {
        "UNIQUE" if value.is_some_and(|value| !value.is_empty()) => Some("UNIQUE takes no value"),
        "UNIQUE" | "CLUSTER" => None,
        "GROUP_BY" => match value.filter(|value| !value.is_empty()) {
            Some(value) if value.parse::<u32>().is_err() => {
                Some("the value of GROUP_BY must be a whole number")
            }
            _ => None,
        },
        "MAX_PER" if value.is_none_or(|value| value.parse::<u32>().is_err()) => {
            Some("MAX_PER needs a whole number as value")
        }
        "MAX_PER" => None,
        "LIKE" | "UNLIKE" if value.is_none() => Some("needs a regular expression as value"),
        "LIKE" | "UNLIKE" => None,
        "IS" => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
            match value {
                None => Some("IS needs a value"),
                Some(value) if !value.chars().all(allowed) => {
                    Some("the value of IS may hold letters, digits and _ / . - only")
                }
                Some(_) => None,
            }
        }
        _ => {
            Some("the operator must be one of UNIQUE, CLUSTER, GROUP_BY, MAX_PER, LIKE, UNLIKE, IS")
        }
    }
}

fn roles(fields: &Fields<'_>, app: &App) {
    if app.role.as_ref().is_some_and(|role| role != "*") {
        fields.rule("role", "must be *, the only role of this orchestrator");
    }
    let Some(roles) = &app.accepted_resource_roles else { return };
    if roles.is_empty() {
        fields.rule("acceptedResourceRoles", "must not be empty");
    }
    if roles.iter().any(|role| role != "*") {
        fields.rule("acceptedResourceRoles", "may hold * only, the role of this orchestrator");
    }
    if roles.iter().collect::<BTreeSet<_>>().len() < roles.len() {
        fields.rule("acceptedResourceRoles", "must not hold a role more than once");
    }
}

fn labels(fields: &Fields<'_>, app: &App) {
    let label = |name: &str| app.labels.get(name).map(String::as_str);
    if label(SINGLE_INSTANCE) == Some("true") {
        if app.instances > 1 {
            fields.rule("instances", format!("must be 0 or 1 with the label {SINGLE_INSTANCE}"));
        }
        let strategy = app.upgrade_strategy;
        if strategy.minimum_health_capacity > 0.0 || strategy.maximum_over_capacity > 0.0 {
            fields.rule(
                "upgradeStrategy",
                format!("both capacities must be 0 with the label {SINGLE_INSTANCE}"),
            );
        }
    }
    let Some(version) = label("DCOS_MIGRATION_API_VERSION") else { return };
    if version != "v1" {
        fields.rule("labels/DCOS_MIGRATION_API_VERSION", "must be v1");
    }
    for needed in ["DCOS_PACKAGE_FRAMEWORK_NAME", "DCOS_MIGRATION_API_PATH"] {
        if label(needed).is_none() {
            fields.rule(
                &format!("labels/{needed}"),
                "is required with the label DCOS_MIGRATION_API_VERSION",
            );
        }
    }
}
