use super::*;

fn app(name: &str, extra: &[(&str, &str)], tasks: &[(&str, &[u16])]) -> App {
    let mut labels: BTreeMap<String, String> =
        extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    labels.insert("DCOS_SERVICE_NAME".into(), name.into());
    let tasks = tasks
        .iter()
        .map(|(state, ports)| Task {
            host: "10.0.0.1".into(),
            state: (*state).into(),
            ports: ports.to_vec(),
        })
        .collect();
    App { id: format!("/{name}"), labels, tasks }
}

#[track_caller]
fn check(apps: &[App], rest: &str, expected: Result<(&str, &str, &str), &str>) {
    let found = resolve(apps, rest);
    let found = found
        .as_ref()
        .map(|backend| (backend.base.as_str(), backend.path.as_str(), backend.prefix.as_str()));
    assert_eq!(found.map_err(ToString::to_string), expected.map_err(str::to_owned));
}

#[test]
fn the_longest_name_wins_and_the_rest_is_kept_as_sent() {
    let apps = [
        app("web", &[], &[("TASK_STAGING", &[1]), ("TASK_RUNNING", &[31000, 31001])]),
        app("web/admin", &[("DCOS_SERVICE_PORT_INDEX", "1")], &[("TASK_RUNNING", &[31002, 31003])]),
        app("a b", &[], &[("TASK_RUNNING", &[31004])]),
    ];
    check(&apps, "web/", Ok(("http://10.0.0.1:31000", "/", "/service/web")));
    check(&apps, "web/x%2fy//z", Ok(("http://10.0.0.1:31000", "/x%2fy//z", "/service/web")));
    check(&apps, "web/admin/users", Ok(("http://10.0.0.1:31003", "/users", "/service/web/admin")));
    // A name ends at a slash: without one it is the last segment of the path.
    check(&apps, "web/admin", Ok(("http://10.0.0.1:31000", "/admin", "/service/web")));
    check(&apps, "a%20b/", Ok(("http://10.0.0.1:31004", "/", "/service/a%20b")));
}

#[test]
fn misses_say_why() {
    let apps = [
        app("idle", &[], &[("TASK_STAGING", &[1])]),
        app("tls", &[("DCOS_SERVICE_SCHEME", "https")], &[("TASK_RUNNING", &[1])]),
        app("index", &[("DCOS_SERVICE_PORT_INDEX", "4")], &[("TASK_RUNNING", &[1])]),
    ];
    check(
        &apps,
        "nope/x",
        Err(
            "no service is called 'nope'; an app is reached here once it has the label DCOS_SERVICE_NAME",
        ),
    );
    check(&apps, "idle/", Err("service 'idle' has no running instance"));
    check(
        &apps,
        "tls/",
        Err("service 'tls' has the label DCOS_SERVICE_SCHEME='https'; only http can be reached"),
    );
    check(
        &apps,
        "index/",
        Err(
            "service 'index' has the label DCOS_SERVICE_PORT_INDEX='4', which is none of its ports",
        ),
    );
}
