//! Containers that operators start inside of running ones: how they are named, and
//! what runs in them. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::environment::variable;
use karman_api::mesos::v1::{CommandInfo, ContainerId, ContainerInfo};
use karman_container::Spec;
use karman_container::spec::{Namespace, Process, Size, User};

use crate::admit;
use crate::process::Identity;

/// As the original has it: with its parents the id becomes the name of a folder.
const ID_BYTES_MAX: usize = 242;

/// A container in a container in a container.
const DEPTH_MAX: usize = 5;

/// Why nothing can be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error(
        "'{0}' is not a valid container id: it has 1 to {ID_BYTES_MAX} characters, no space, dot or slash"
    )]
    Id(String),
    #[error("containers can be inside of each other up to {DEPTH_MAX} deep")]
    Deep,
    #[error("a container without a parent cannot be started by itself on this agent")]
    NoParent,
    #[error("'{0}' is not a name of an environment variable")]
    Variable(String),
    #[error("secrets ('{0}') cannot be given to nested containers")]
    Secret(String),
    #[error("{0}")]
    Command(String),
    #[error("nested containers share the {0} of their parent")]
    Container(&'static str),
    #[error("the terminal has {0} rows or columns, at most 65535 are possible")]
    Size(u32),
}

/// What an operator wants to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its own id after those of its parents, the outermost first.
    pub path: Vec<String>,
    pub command: CommandInfo,
    pub terminal: Option<Size>,
    /// It lives as long as somebody sees its output.
    pub session: bool,
}

/// The ids of a container and of those that it is inside of, the outermost first.
pub fn path(id: &ContainerId) -> Result<Vec<String>, Invalid> {
    let mut path = Vec::new();
    let mut next = Some(id);
    while let Some(ContainerId { value, parent }) = next {
        let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '/' | '\\');
        if value.is_empty() || value.len() > ID_BYTES_MAX || value.chars().any(bad) {
            return Err(Invalid::Id(value.clone()));
        }
        path.push(value.clone());
        if path.len() > DEPTH_MAX {
            return Err(Invalid::Deep);
        }
        next = parent.as_deref();
    }
    path.reverse();
    Ok(path)
}

/// The id as it is told.
pub fn id(path: &[String]) -> ContainerId {
    let (own, parents) =
        path.split_last().map_or((String::new(), [].as_slice()), |(own, rest)| (own.clone(), rest));
    let parent = (!parents.is_empty()).then(|| Box::new(id(parents)));
    ContainerId { value: own, parent }
}

/// Checks what can be checked before the parent is looked at.
pub fn order(
    container_id: &ContainerId,
    command: Option<CommandInfo>,
    container: Option<&ContainerInfo>,
    session: bool,
) -> Result<Order, Invalid> {
    let path = path(container_id)?;
    if path.len() < 2 {
        return Err(Invalid::NoParent);
    }
    let command = command.unwrap_or_default();
    program(&command)?;
    environment(Vec::new(), &command)?;
    let terminal = container.map(terminal).transpose()?.flatten();
    Ok(Order { path, command, terminal, session })
}

fn terminal(container: &ContainerInfo) -> Result<Option<Size>, Invalid> {
    let image = container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some());
    let wrong = [
        (image || container.docker.is_some(), "image"),
        (!container.network_infos.is_empty(), "network"),
        (!container.volumes.is_empty(), "volumes"),
    ];
    if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
        return Err(Invalid::Container(what));
    }
    let Some(terminal) = &container.tty_info else { return Ok(None) };
    let number = |number: u32| u16::try_from(number).map_err(|_| Invalid::Size(number));
    let Some(size) = &terminal.window_size else { return Ok(Some(Size::default())) };
    Ok(Some(Size { rows: number(size.rows)?, columns: number(size.columns)? }))
}

fn program(command: &CommandInfo) -> Result<(String, Vec<String>), Invalid> {
    admit::program(command, false).map_err(|refusal| Invalid::Command(refusal.message))
}

fn environment(
    mut all: Vec<(String, String)>,
    command: &CommandInfo,
) -> Result<Vec<(String, String)>, Invalid> {
    for variable in command.environment.iter().flat_map(|it| &it.variables) {
        let name = &variable.name;
        let value = variable.value.clone().unwrap_or_default();
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Invalid::Variable(name.clone()));
        }
        if variable.r#type() == variable::Type::Secret {
            return Err(Invalid::Secret(name.clone()));
        }
        all.retain(|(other, _)| other != name);
        all.push((name.clone(), value));
    }
    Ok(all)
}

/// The process that is run inside of `parent`, with what that sees and may.
pub fn spec(parent: &Spec, init: Identity, order: &Order) -> Result<Spec, Invalid> {
    let Order { path: _, command, terminal, session: _ } = order;
    let (program, arguments) = program(command)?;
    let process = Process {
        program,
        arguments,
        environment: environment(parent.process.environment.clone(), command)?,
        directory: parent.process.directory.clone(),
        terminal: *terminal,
    };
    let user = command.user.clone().filter(|user| !user.is_empty());
    // Who has no view of his own has none to join.
    let inside = if parent.namespaces.mount == Namespace::Shared {
        Spec { group: parent.group.clone(), ..Spec::plain(process) }
    } else {
        Spec::inside(init, process, parent.group.clone())
    };
    Ok(Spec {
        user: user.map_or_else(|| parent.user.clone(), User::Named),
        capabilities: parent.capabilities.clone(),
        seccomp: parent.seccomp.clone(),
        no_new_privileges: parent.no_new_privileges,
        rlimits: parent.rlimits.clone(),
        ..inside
    })
}

#[cfg(test)]
mod tests {
    use karman_container::spec::Namespaces;
    use serde_json::json;

    use super::*;

    fn container(value: serde_json::Value) -> ContainerId {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn ids_are_paths_from_the_outside_in() {
        let nested =
            container(json!({"value": "c", "parent": {"value": "b", "parent": {"value": "a"}}}));
        let found = path(&nested).unwrap();
        assert_eq!(found, ["a", "b", "c"]);
        assert_eq!(id(&found), nested);
    }

    #[test]
    fn ids_become_names_of_folders() {
        for bad in ["", "a.b", "a b", "a/b", "..", "a\n", "a\\b", &"x".repeat(243)] {
            assert_eq!(
                path(&container(json!({"value": bad}))),
                Err(Invalid::Id(bad.into())),
                "{bad}"
            );
        }
        let mut deep = json!({"value": "a"});
        for _ in 0..5 {
            deep = json!({"value": "a", "parent": deep});
        }
        assert_eq!(path(&container(deep)), Err(Invalid::Deep));
    }

    #[test]
    fn orders_are_checked_before_anything_is_started() {
        let nested = container(json!({"value": "b", "parent": {"value": "a"}}));
        let command = |value| serde_json::from_value::<CommandInfo>(value).unwrap();
        let sh = || command(json!({"value": "sh"}));
        let info = |value| serde_json::from_value::<ContainerInfo>(value).unwrap();
        let alone = container(json!({"value": "a"}));
        assert_eq!(order(&alone, Some(sh()), None, true), Err(Invalid::NoParent));
        assert!(matches!(order(&nested, None, None, true), Err(Invalid::Command(_))));
        let variable =
            json!({"value": "sh", "environment": {"variables": [{"name": "a=b", "value": ""}]}});
        let wrong = order(&nested, Some(command(variable)), None, true);
        assert_eq!(wrong, Err(Invalid::Variable("a=b".into())));
        let size = |rows: u32| {
            info(
                json!({"type": "MESOS", "tty_info": {"window_size": {"rows": rows, "columns": 7}}}),
            )
        };
        let right = order(&nested, Some(sh()), Some(&size(5)), true).unwrap();
        assert_eq!(right.terminal, Some(Size { rows: 5, columns: 7 }));
        assert_eq!(
            order(&nested, Some(sh()), Some(&size(70_000)), true),
            Err(Invalid::Size(70_000))
        );
        let image = json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "x"}}}});
        let wrong = order(&nested, Some(sh()), Some(&info(image)), true);
        assert_eq!(wrong, Err(Invalid::Container("image")));
    }

    #[test]
    fn it_has_what_its_parent_has() {
        let process = Process {
            program: "/bin/sleep".into(),
            arguments: vec!["sleep".into()],
            environment: vec![("A".into(), "1".into()), ("B".into(), "2".into())],
            directory: "/mnt/sandbox".into(),
            terminal: None,
        };
        let init = Identity { pid: 7, started: 8 };
        let nested = container(json!({"value": "b", "parent": {"value": "a"}}));
        let command = json!({"value": "env", "user": "nobody", "environment":
            {"variables": [{"name": "B", "value": "3"}]}});
        let command = serde_json::from_value(command).unwrap();
        let order = order(&nested, Some(command), None, true).unwrap();
        let inside = spec(&Spec::isolated(process.clone()), init, &order).unwrap();
        assert_eq!(inside.namespaces, Namespaces::joined(init));
        assert_eq!(inside.user, User::Named("nobody".into()));
        assert_eq!(inside.process.directory, process.directory);
        assert_eq!(inside.process.arguments, ["sh", "-c", "env"]);
        assert_eq!(
            inside.process.environment,
            [("A".into(), "1".into()), ("B".into(), "3".into())]
        );
        assert_eq!(inside.limits, None);
        assert_eq!(inside.capabilities, Spec::isolated(process.clone()).capabilities);
        let plain = spec(&Spec::plain(process), init, &order).unwrap();
        assert_eq!(plain.namespaces, Namespaces::shared());
    }
}
