use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn show(path: &str) -> String {
    let Route { target, access } = route(path);
    let target = match target {
        Target::Role { role, path, prefix } => format!("{role:?} {path} cut {prefix}"),
        Target::Agent { id, path, prefix } => format!("Agent[{id}] {path} cut {prefix}"),
        Target::Service { rest } => format!("Service {rest}"),
        Target::Local(local) => format!("{local:?}"),
        Target::Dashboard => "Dashboard".into(),
        Target::Moved { to } => format!("301 {to}"),
        Target::Elsewhere { to } => format!("307 {to}"),
        Target::NotFound => "404".into(),
    };
    let access = match access {
        Access::Open => "open",
        Access::SignedIn => "user",
    };
    format!("{path} => {access}: {target}\n")
}

#[track_caller]
fn check(paths: &[&str], expected: Expect) {
    expected.assert_eq(&paths.iter().map(|path| show(path)).collect::<String>());
}

#[test]
fn roles_are_found_under_their_prefixes() {
    check(
        &[
            "/mesos",
            "/mesos/",
            "/mesos/master/state",
            "/mesos/api/v1/scheduler",
            "/mesosx",
            "/service/marathon",
            "/service/marathon/v2/apps//web",
            "/service/marathonx/v2",
            "/marathon",
            "/marathon/v2/apps",
            "/service/metronome/v1/jobs/x/schedules//id",
            "/package/search",
            "/cosmos/service/describe",
            "/capabilities",
            "/mesos_dns/v1/hosts/master.mesos",
            "/karman/v1/discovery",
        ],
        expect![[r#"
            /mesos => user: 301 /mesos/
            /mesos/ => user: Master / cut /mesos
            /mesos/master/state => user: Master /master/state cut /mesos
            /mesos/api/v1/scheduler => user: Master /api/v1/scheduler cut /mesos
            /mesosx => user: 404
            /service/marathon => user: 301 /service/marathon/
            /service/marathon/v2/apps//web => user: Marathon /v2/apps//web cut /service/marathon
            /service/marathonx/v2 => user: Service marathonx/v2
            /marathon => user: 307 /service/marathon/
            /marathon/v2/apps => user: Marathon /v2/apps cut /marathon
            /service/metronome/v1/jobs/x/schedules//id => user: Metronome /v1/jobs/x/schedules//id cut /service/metronome
            /package/search => user: Catalog /package/search cut 
            /cosmos/service/describe => user: Catalog /service/describe cut /cosmos
            /capabilities => user: Catalog /capabilities cut 
            /mesos_dns/v1/hosts/master.mesos => user: Dns /v1/hosts/master.mesos cut /mesos_dns
            /karman/v1/discovery => user: Master /karman/v1/discovery cut 
        "#]],
    );
}

#[test]
fn agents_are_found_by_id_with_their_paths_as_sent() {
    check(
        &[
            "/slave/ab-S0/slave%281%29/state",
            "/agent/ab-S0/files/browse",
            "/agent/a%2Fb/x",
            "/agent/ab-S0",
            "/agent/",
        ],
        expect![[r#"
            /slave/ab-S0/slave%281%29/state => user: Agent[ab-S0] /slave%281%29/state cut /slave/ab-S0
            /agent/ab-S0/files/browse => user: Agent[ab-S0] /files/browse cut /agent/ab-S0
            /agent/a%2Fb/x => user: Agent[a/b] /x cut /agent/a%2Fb
            /agent/ab-S0 => user: 301 /agent/ab-S0/
            /agent/ => user: 404
        "#]],
    );
}

#[test]
fn the_gateway_answers_system_paths_itself() {
    check(
        &[
            "/dcos-metadata/dcos-version.json",
            "/dcos-metadata/ui-config.json",
            "/metadata",
            "/pkgpanda/active.buildinfo.full.json",
            "/acs/api/v1/auth/login",
            "/acs/api/v1/auth/providers",
            "/acs/api/v1/users",
            "/acs/api/v1/users/ann%40example.com",
            "/system/health/v1",
            "/system/health/v1/units/karman-master.service/",
            "/system/v1/logs/v2/task/web.1",
            "/system/v1/logs/v2/task/web.1/file/stderr",
            "/system/v1/logs/v2/task/web.1/file/a/b.txt/download",
            "/system/v1/logs/v2/task/web.1/browse",
            "/system/v1/agent/S0/logs/v2/task/web.1/file/stdout",
            "/system/v1/logs/v2/component",
        ],
        expect![[r#"
            /dcos-metadata/dcos-version.json => open: Version
            /dcos-metadata/ui-config.json => open: UiConfig
            /metadata => user: Metadata
            /pkgpanda/active.buildinfo.full.json => user: BuildInfo
            /acs/api/v1/auth/login => open: Login
            /acs/api/v1/auth/providers => open: Providers
            /acs/api/v1/users => user: Users
            /acs/api/v1/users/ann%40example.com => user: User("ann@example.com")
            /system/health/v1 => user: Health("")
            /system/health/v1/units/karman-master.service/ => user: Health("units/karman-master.service")
            /system/v1/logs/v2/task/web.1 => user: TaskLog { task: "web.1", file: "stdout", form: Lines }
            /system/v1/logs/v2/task/web.1/file/stderr => user: TaskLog { task: "web.1", file: "stderr", form: Lines }
            /system/v1/logs/v2/task/web.1/file/a/b.txt/download => user: TaskLog { task: "web.1", file: "a/b.txt", form: Download }
            /system/v1/logs/v2/task/web.1/browse => user: TaskLog { task: "web.1", file: "stdout", form: Browse }
            /system/v1/agent/S0/logs/v2/task/web.1/file/stdout => user: TaskLog { task: "web.1", file: "stdout", form: Lines }
            /system/v1/logs/v2/component => user: 404
        "#]],
    );
}

#[test]
fn pages_and_services() {
    check(
        &[
            "/",
            "/login",
            "/ui",
            "/ui/",
            "/ui/services",
            "/ui/assets/karman.css",
            "/uix",
            "/service/web",
            "/service/web/a",
            "/service/",
            "/exhibitor",
        ],
        expect![[r#"
            / => open: Dashboard
            /login => open: LoginPage
            /ui => user: Dashboard
            /ui/ => user: Dashboard
            /ui/services => user: Dashboard
            /ui/assets/karman.css => open: Dashboard
            /uix => user: 404
            /service/web => user: 301 /service/web/
            /service/web/a => user: Service web/a
            /service/ => user: 404
            /exhibitor => user: 404
        "#]],
    );
}

#[test]
fn decoding_leaves_what_it_cannot_read() {
    for (text, expected) in
        [("a%2Fb", "a/b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%ff", "%ff"), ("ü%20", "ü ")]
    {
        assert_eq!(decode(text), expected);
    }
}

proptest! {
    /// Whatever is sent, nothing panics and what is cut off plus what is kept
    /// is what was sent.
    #[test]
    fn any_path_is_routed(path in "/[a-z0-9%/_.-]{0,40}") {
        for path in [path.clone(), format!("/mesos{path}"), format!("/agent{path}"), format!("/service{path}")] {
            match route(&path).target {
                Target::Role { path: kept, prefix, .. } | Target::Agent { path: kept, prefix, .. } => {
                    prop_assert!(path.starts_with(&prefix));
                    prop_assert!(path.ends_with(&kept) || path.starts_with("/cosmos"));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn decoding_undoes_encoding(text in "\\PC{0,20}") {
        prop_assert_eq!(decode(&karman_dashboard::upstream::encode(&text)), text);
    }
}
