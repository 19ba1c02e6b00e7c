//! Where a path leads: the table of the front door. Pure; the shell does what
//! it says.
//!
//! Paths are matched and handed on as they were sent: percent-encoding, empty
//! segments and the query reach the upstream unchanged.
#![deny(clippy::disallowed_methods)]

pub mod service;

/// Where a request goes and who may send it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub target: Target,
    pub access: Access,
}

/// Whether a path needs a signed-in user when sign-in is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    SignedIn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A role of this datacenter; `path` is what it sees, `prefix` what was cut.
    Role {
        role: Role,
        path: String,
        prefix: String,
    },
    /// One agent, found by its id.
    Agent {
        id: String,
        path: String,
        prefix: String,
    },
    /// A service that asked for a path by its labels; `rest` follows `/service/`.
    Service {
        rest: String,
    },
    /// Answered by the gateway itself.
    Local(Local),
    /// The pages.
    Dashboard,
    /// Another path, permanently; the query is kept.
    Moved {
        to: String,
    },
    /// The same with the method kept.
    Elsewhere {
        to: String,
    },
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Master,
    Marathon,
    Metronome,
    Catalog,
    Dns,
}

impl Role {
    /// The word for it in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "the master",
            Self::Marathon => "the orchestrator",
            Self::Metronome => "the job scheduler",
            Self::Catalog => "the catalog",
            Self::Dns => "the name service",
        }
    }

    /// Whether the caller's token may be shown to it.
    pub fn sees_token(self) -> bool {
        !matches!(self, Self::Dns)
    }
}

/// What the gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    Version,
    UiConfig,
    Metadata,
    BuildInfo,
    /// The page to sign in.
    LoginPage,
    Login,
    Logout,
    Providers,
    Jwks,
    Users,
    User(String),
    /// What follows `/system/health/v1`, without slashes at its ends.
    Health(String),
    TaskLog {
        task: String,
        file: String,
        form: LogForm,
    },
}

/// What of a task's file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    Lines,
    Browse,
    Download,
}

const HEALTH: &str = "/system/health/v1";
const TASK_LOG: &str = "/system/v1/logs/v2/task/";

/// Decides about a raw path, without its query.
pub fn route(path: &str) -> Route {
    if let Some(local) = exact(path) {
        return local;
    }
    let access = match path {
        "/" | "/favicon.ico" => Access::Open,
        _ if path.starts_with("/ui/assets/") => Access::Open,
        _ => Access::SignedIn,
    };
    let target = prefixed(path).unwrap_or(Target::NotFound);
    Route { target, access }
}

fn exact(path: &str) -> Option<Route> {
    let (local, access) = match path {
        "/dcos-metadata/dcos-version.json" => (Local::Version, Access::Open),
        "/dcos-metadata/ui-config.json" => (Local::UiConfig, Access::Open),
        "/login" => (Local::LoginPage, Access::Open),
        "/metadata" => (Local::Metadata, Access::SignedIn),
        "/pkgpanda/active.buildinfo.full.json" => (Local::BuildInfo, Access::SignedIn),
        "/acs/api/v1/auth/login" => (Local::Login, Access::Open),
        "/acs/api/v1/auth/logout" => (Local::Logout, Access::Open),
        "/acs/api/v1/auth/providers" => (Local::Providers, Access::Open),
        "/acs/api/v1/auth/jwks" => (Local::Jwks, Access::Open),
        "/acs/api/v1/uiconfig" | "/acs/api/v1/uiconfig/" => (Local::UiConfig, Access::SignedIn),
        "/acs/api/v1/users" | "/acs/api/v1/users/" => (Local::Users, Access::SignedIn),
        HEALTH => (Local::Health(String::new()), Access::SignedIn),
        _ => return None,
    };
    Some(Route { target: Target::Local(local), access })
}

/// A role under a prefix: what is cut off, and what it is replaced by.
struct Mount {
    prefix: &'static str,
    role: Role,
    /// What the upstream's path starts with instead.
    base: &'static str,
}

const MOUNTS: &[Mount] = &[
    Mount { prefix: "/mesos", role: Role::Master, base: "" },
    Mount { prefix: "/service/marathon", role: Role::Marathon, base: "" },
    Mount { prefix: "/service/metronome", role: Role::Metronome, base: "" },
    Mount { prefix: "/package", role: Role::Catalog, base: "/package" },
    Mount { prefix: "/cosmos/service", role: Role::Catalog, base: "/service" },
    Mount { prefix: "/mesos_dns", role: Role::Dns, base: "" },
    Mount { prefix: "/karman/v1/discovery", role: Role::Master, base: "/karman/v1/discovery" },
    Mount { prefix: "/karman/v1/explain", role: Role::Master, base: "/karman/v1/explain" },
    Mount { prefix: "/capabilities", role: Role::Catalog, base: "/capabilities" },
];

fn prefixed(path: &str) -> Option<Target> {
    if path == "/" || path == "/favicon.ico" || under(path, "/ui").is_some() {
        return Some(Target::Dashboard);
    }
    if path == "/marathon" {
        return Some(Target::Elsewhere { to: "/service/marathon/".into() });
    }
    if let Some(rest) = under(path, "/marathon") {
        let (path, prefix) = (rest.to_owned(), "/marathon".to_owned());
        return Some(Target::Role { role: Role::Marathon, path, prefix });
    }
    for Mount { prefix, role, base } in MOUNTS {
        let Some(rest) = under(path, prefix) else { continue };
        if rest.is_empty() && base.is_empty() {
            return Some(Target::Moved { to: format!("{prefix}/") });
        }
        // A Location that starts with what stands in for the prefix loses it again.
        let prefix = prefix.strip_suffix(base).unwrap_or(prefix);
        return Some(Target::Role {
            role: *role,
            path: format!("{base}{rest}"),
            prefix: prefix.to_owned(),
        });
    }
    agent(path).or_else(|| system(path)).or_else(|| service(path))
}

/// The rest of `path` after `prefix`, if it ends there or at a slash.
fn under<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn agent(path: &str) -> Option<Target> {
    let kind = ["/agent/", "/slave/"].into_iter().find(|kind| path.starts_with(kind))?;
    let rest = path.strip_prefix(kind)?;
    let (id, rest) = match rest.split_once('/') {
        Some((id, rest)) => (id, format!("/{rest}")),
        None => (rest, String::new()),
    };
    if id.is_empty() {
        return None;
    }
    let prefix = format!("{kind}{id}");
    if rest.is_empty() {
        return Some(Target::Moved { to: format!("{prefix}/") });
    }
    Some(Target::Agent { id: decode(id), path: rest, prefix })
}

fn system(path: &str) -> Option<Target> {
    if let Some(rest) = under(path, HEALTH) {
        return Some(Target::Local(Local::Health(decode(rest.trim_matches('/')))));
    }
    if let Some(uid) = path.strip_prefix("/acs/api/v1/users/") {
        return Some(Target::Local(Local::User(decode(uid.trim_end_matches('/')))));
    }
    // Upstream sends log readers to the agent that has the task; here every
    // gateway reads any task's files, so both forms mean the same.
    if let Some(rest) = path.strip_prefix("/system/v1/agent/") {
        let (_, rest) = rest.split_once('/')?;
        return match rest {
            "dcos-metadata/dcos-version.json" => Some(Target::Local(Local::Version)),
            _ => task_log(rest.strip_prefix("logs/v2/task/")?),
        };
    }
    task_log(path.strip_prefix(TASK_LOG)?)
}

fn task_log(rest: &str) -> Option<Target> {
    let (rest, form) = if let Some(rest) = rest.strip_suffix("/browse") {
        (rest, LogForm::Browse)
    } else if let Some(rest) = rest.strip_suffix("/download") {
        (rest, LogForm::Download)
    } else {
        (rest, LogForm::Lines)
    };
    let (task, file) = match rest.split_once('/') {
        None => (rest, "stdout"),
        Some((task, file)) => (task, file.strip_prefix("file/")?),
    };
    if task.is_empty() || file.is_empty() {
        return None;
    }
    Some(Target::Local(Local::TaskLog { task: decode(task), file: decode(file), form }))
}

fn service(path: &str) -> Option<Target> {
    let rest = path.strip_prefix("/service/")?;
    match rest {
        "" => None,
        _ if !rest.contains('/') => Some(Target::Moved { to: format!("{path}/") }),
        _ => Some(Target::Service { rest: rest.to_owned() }),
    }
}

/// Percent-decodes a segment; what is not valid UTF-8 then stays as it was.
pub fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits =
            (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?))).flatten();
        match digits {
            Some((high, low)) => {
                out.push(high * 16 + low);
                bytes = ahead;
            }
            None => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
