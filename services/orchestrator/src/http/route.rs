//! Which resource a path names. Ids have slashes in them, and clients send
//! doubled and trailing ones, so paths are read from both ends.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    Apps,
    App(String),
    Restart(String),
    AppTasks(String),
    AppTask { app: String, task: String },
    Versions(String),
    Version { app: String, version: String },
    Deployments,
    Deployment(String),
    Tasks,
    TasksDelete,
    Queue,
    QueueDelay(String),
    Events,
    Groups(String),
    GroupApps(String),
    GroupVersions(String),
    Pods,
    Plugins,
    Info,
    Leader,
    Ping,
    Metrics,
    Unknown,
}

impl Route {
    pub(super) fn parse(path: &str) -> Self {
        let decoded: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["ping"] => Self::Ping,
            ["metrics"] => Self::Metrics,
            ["v2", "apps", rest @ ..] => app(rest),
            ["v2", "groups", rest @ ..] => group(rest),
            ["v2", "deployments"] => Self::Deployments,
            ["v2", "deployments", id] => Self::Deployment((*id).to_owned()),
            ["v2", "tasks"] => Self::Tasks,
            ["v2", "tasks", "delete"] => Self::TasksDelete,
            ["v2", "queue"] => Self::Queue,
            ["v2", "queue", app @ .., "delay"] => Self::QueueDelay(id(app)),
            ["v2", "events"] => Self::Events,
            ["v2", "info"] => Self::Info,
            ["v2", "leader"] => Self::Leader,
            ["v2", "plugins"] => Self::Plugins,
            ["v2", first, ..] if first.starts_with("pods") => Self::Pods,
            _ => Self::Unknown,
        }
    }
}

fn app(parts: &[&str]) -> Route {
    match parts {
        [] => Route::Apps,
        [app @ .., "restart"] if !app.is_empty() => Route::Restart(id(app)),
        [app @ .., "tasks"] if !app.is_empty() => Route::AppTasks(id(app)),
        [app @ .., "tasks", task] if !app.is_empty() => {
            Route::AppTask { app: id(app), task: (*task).to_owned() }
        }
        [app @ .., "versions"] if !app.is_empty() => Route::Versions(id(app)),
        [app @ .., "versions", version] if !app.is_empty() => {
            Route::Version { app: id(app), version: (*version).to_owned() }
        }
        app => Route::App(id(app)),
    }
}

fn group(parts: &[&str]) -> Route {
    match parts {
        [group @ .., "apps"] => Route::GroupApps(id(group)),
        [group @ .., "versions"] => Route::GroupVersions(id(group)),
        group => Route::Groups(id(group)),
    }
}

fn id(parts: &[&str]) -> String {
    format!("/{}", parts.join("/"))
}

fn decode(part: &str) -> String {
    let decoded = url::form_urlencoded::parse(part.replace('+', "%2B").as_bytes())
        .next()
        .map(|(key, _)| key.into_owned());
    // A part with `=` or `&` in it is no id; it is left as it is.
    if part.contains(['=', '&']) { part.to_owned() } else { decoded.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_have_slashes_on_every_side() {
        for (path, route) in [
            ("/v2/apps/", Route::Apps),
            ("/v2/apps//shop//web/", Route::App("/shop/web".into())),
            ("/v2/apps/shop/web/restart", Route::Restart("/shop/web".into())),
            ("/v2/apps/shop/web/tasks", Route::AppTasks("/shop/web".into())),
            (
                "/v2/apps/web/tasks/web.instance-1._app.1",
                Route::AppTask { app: "/web".into(), task: "web.instance-1._app.1".into() },
            ),
            (
                "/v2/apps/web/versions/2026-01-01T00%3A00:00.000Z",
                Route::Version { app: "/web".into(), version: "2026-01-01T00:00:00.000Z".into() },
            ),
            ("/v2/apps/shop/*", Route::App("/shop/*".into())),
            ("/v2/queue//shop/web/delay", Route::QueueDelay("/shop/web".into())),
            ("/v2/groups", Route::Groups("/".into())),
            ("/v2/pods::status", Route::Pods),
            ("/v2/pods//x/::status", Route::Pods),
            ("/nothing", Route::Unknown),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }
}
