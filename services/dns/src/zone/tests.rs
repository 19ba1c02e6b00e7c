use std::fmt::Write as _;

use expect_test::{Expect, expect, expect_file};
use karman_api::karman::discovery::{Framework, Message, PortMapping, Task};
use proptest::prelude::*;

use super::*;
use crate::fixture::{agent, discovery, framework, full, ip, task};

fn settings() -> Settings {
    Settings::new("mesos", ip(99)).unwrap()
}

fn zone(message: Message) -> Zone {
    build(&Snapshot::new(message), &settings())
}

/// All records, one a line; names without records are not shown.
fn print(zone: &Zone) -> String {
    let mut out = String::new();
    for (name, Records { a, aaaa, srv }) in &zone.names {
        for address in a {
            writeln!(out, "{name} A {address}").unwrap();
        }
        for address in aaaa {
            writeln!(out, "{name} AAAA {address}").unwrap();
        }
        for Srv { target, port, priority, weight } in srv {
            writeln!(out, "{name} SRV {priority} {weight} {port} {target}").unwrap();
        }
    }
    out
}

/// The records of one task below `mesos`.
#[track_caller]
fn check(task: Task, expected: Expect) {
    let all = print(&zone(full(1, vec![task])));
    let without = print(&zone(full(1, vec![])));
    let copied = "mesos.thisdcos.directory";
    let own = all.lines().filter(|line| !without.contains(*line) && !line.contains(copied));
    expected.assert_eq(&own.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_whole_cluster() {
    let mut message = full(
        42,
        vec![
            task("web.1", "web", 1, &[31000, 31001]),
            task("web.2", "web", 2, &[31000]),
            Task {
                discovery: discovery(
                    "api",
                    &[(31005, Some("http"), Some("tcp")), (31006, None, None)],
                ),
                ..task("api.1", "api", 3, &[31005, 31006])
            },
        ],
    );
    message.frameworks.push(Framework {
        webui_url: Some("http://agent2.example:8080/ui".into()),
        ..framework("g", "My.Cron_Jobs")
    });
    expect_file!["golden/cluster.txt"].assert_eq(&print(&zone(message)));
}

#[test]
fn nothing_is_known_without_a_master() {
    expect![[r#"
        ns.spartan A 192.0.2.99
        ns1.mesos A 192.0.2.99
        ns1.mesos.thisdcos.directory A 192.0.2.99
        ready.spartan A 127.0.0.1
    "#]]
    .assert_eq(&print(&zone(Message::default())));
}

#[test]
fn a_name_with_dots_is_registered_both_ways() {
    let named = Task { discovery: discovery("web.shop", &[]), ..task("t", "ignored", 1, &[]) };
    check(
        named,
        expect![[r#"
        web-shop-t56ap-s1.marathon.mesos A 192.0.2.11
        web-shop-t56ap-s1.marathon.slave.mesos A 192.0.2.11
        web-shop.marathon.agentip.dcos.thisdcos.directory A 192.0.2.11
        web-shop.marathon.autoip.dcos.thisdcos.directory A 192.0.2.11
        web-shop.marathon.containerip.dcos.thisdcos.directory A 192.0.2.11
        web-shop.marathon.mesos A 192.0.2.11
        web-shop.marathon.slave.mesos A 192.0.2.11
        web.shop.marathon.mesos A 192.0.2.11
        web.shop.marathon.slave.mesos A 192.0.2.11"#]],
    );
}

#[test]
fn a_container_with_its_own_address() {
    let overlay = Task {
        container_ips: vec!["9.0.1.2".parse().unwrap(), "fd01:b::2".parse().unwrap()],
        ..task("t", "db", 1, &[])
    };
    check(
        overlay.clone(),
        expect![[r#"
        db-t56ap-s1.marathon.mesos A 192.0.2.11
        db-t56ap-s1.marathon.slave.mesos A 192.0.2.11
        db.marathon.agentip.dcos.thisdcos.directory A 192.0.2.11
        db.marathon.autoip.dcos.thisdcos.directory A 9.0.1.2
        db.marathon.autoip.dcos.thisdcos.directory AAAA fd01:b::2
        db.marathon.containerip.dcos.thisdcos.directory A 9.0.1.2
        db.marathon.containerip.dcos.thisdcos.directory AAAA fd01:b::2
        db.marathon.mesos A 192.0.2.11
        db.marathon.slave.mesos A 192.0.2.11"#]],
    );
    let mapping = PortMapping { host_port: 31000, container_port: 80, protocol: "tcp".into() };
    check(
        Task { port_mappings: vec![mapping], host_ports: vec![31000], ..overlay },
        expect![[r#"
        _db._tcp.marathon.mesos SRV 0 1 31000 db-t56ap-s1.marathon.slave.mesos
        _db._tcp.marathon.slave.mesos SRV 0 1 31000 db-t56ap-s1.marathon.slave.mesos
        _db._udp.marathon.mesos SRV 0 1 31000 db-t56ap-s1.marathon.slave.mesos
        _db._udp.marathon.slave.mesos SRV 0 1 31000 db-t56ap-s1.marathon.slave.mesos
        db-t56ap-s1.marathon.mesos A 192.0.2.11
        db-t56ap-s1.marathon.slave.mesos A 192.0.2.11
        db.marathon.agentip.dcos.thisdcos.directory A 192.0.2.11
        db.marathon.autoip.dcos.thisdcos.directory A 192.0.2.11
        db.marathon.containerip.dcos.thisdcos.directory A 9.0.1.2
        db.marathon.containerip.dcos.thisdcos.directory AAAA fd01:b::2
        db.marathon.mesos A 192.0.2.11
        db.marathon.slave.mesos A 192.0.2.11"#]],
    );
}

#[test]
fn who_has_no_names() {
    let killing = Task { killing: true, ..task("t", "web", 1, &[1]) };
    let lost = Task { agent_id: "unknown".into(), ..task("t", "web", 1, &[1]) };
    let orphan = Task { framework_id: "unknown".into(), ..task("t", "web", 1, &[1]) };
    let nameless = task("test", "///", 1, &[]);
    for task in [killing, lost, orphan] {
        check(task, expect![[""]]);
    }
    check(
        nameless,
        expect![[r#"
        iffe9-s1.marathon.mesos A 192.0.2.11
        iffe9-s1.marathon.slave.mesos A 192.0.2.11"#]],
    );
}

#[test]
fn an_ipv6_agent_has_aaaa_records() {
    let mut message = full(1, vec![task("t", "web", 1, &[31000])]);
    message.agents = vec![karman_api::karman::discovery::Agent {
        ip: "2001:db8::7".parse().unwrap(),
        ..agent(1)
    }];
    let zone = zone(message);
    assert_eq!(zone.names["web.marathon.mesos"].aaaa, ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    assert_eq!(zone.names["web.marathon.autoip.dcos.thisdcos.directory"].aaaa.len(), 1);
}

#[test]
fn names_between_exist_and_aliases_are_followed() {
    let zone = zone(full(1, vec![task("t", "web", 1, &[31000])]));
    let kind = |name: &str| match zone.find(name) {
        Found::Records { origin, records } if *records == Records::default() => {
            format!("empty in {origin}")
        }
        Found::Records { origin, .. } => format!("found in {origin}"),
        Found::Missing { origin } => format!("missing in {origin}"),
        Found::Foreign => "foreign".to_owned(),
    };
    for (name, expected) in [
        ("web.marathon.mesos", "found in mesos"),
        ("mesos", "empty in mesos"),
        ("_tcp.marathon.mesos", "empty in mesos"),
        ("db.marathon.mesos", "missing in mesos"),
        ("amesos", "foreign"),
        ("example.com", "foreign"),
        ("", "foreign"),
        ("thisdcos.directory", "empty in thisdcos.directory"),
        ("web.marathon.mesos.thisdcos.directory", "found in thisdcos.directory"),
        ("web.marathon.agentip.dcos.thisdcos.directory", "found in thisdcos.directory"),
        ("web.marathon.agentip.dcos.thisdcos.global", "found in thisdcos.directory"),
        ("thisdcos.global", "empty in thisdcos.directory"),
        ("xthisdcos.global", "foreign"),
        ("web.marathon.l4lb.thisdcos.directory", "missing in thisdcos.directory"),
        ("ready.spartan", "found in spartan"),
        ("zk-5.zk", "found in zk"),
        ("zk-6.zk", "missing in zk"),
    ] {
        assert_eq!(kind(name), expected, "{name}");
    }
}

#[test]
fn labels_follow_the_rules() {
    for (name, expected) in [
        ("Web_App.v1", "web-app-v1"),
        ("/a/b", "ab"),
        ("  spaced out ", "spacedout"),
        ("--x--", "x"),
        ("ümlaut", "mlaut"),
        ("!!!", ""),
    ] {
        assert_eq!(label::label(name), expected, "{name}");
    }
    assert_eq!(label::label(&"a".repeat(70)), "a".repeat(63));
    assert_eq!(label::cut("abc--def", 4), "abcd");
    assert_eq!(label::cut("abc-----", 4), "abc");
    assert_eq!(label::fragment("My.Frame_work..x"), "my.frame-work.x");
    assert_eq!(label::hash("test"), "iffe9");
    assert_eq!(label::agent_tail("2026-abc-S42"), "s42");
    let long = label::canonical(&"w".repeat(63), "test", "a-S1");
    assert_eq!((long.len(), long.ends_with("w-iffe9-s1")), (63, true));
}

#[test]
fn a_domain_must_be_a_name() {
    assert_eq!(Settings::new(".Mesos.", ip(1)).unwrap().domain, "mesos");
    assert_eq!(
        Settings::new("mesos", "0.0.0.0".parse().unwrap()).unwrap().server,
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    );
    assert!(Settings::new("me sos", ip(1)).is_none());
    assert!(Settings::new("", ip(1)).is_none());
}

proptest! {
    #[test]
    fn a_label_is_always_one_that_dns_carries(name in ".{0,100}") {
        let label = label::label(&name);
        prop_assert!(label.is_empty() || (label::is_name(&label) && !label.contains(['.', '_'])));
        prop_assert!(!label.starts_with('-') && !label.ends_with('-'));
        prop_assert_eq!(label::label(&label), label);
    }

    #[test]
    fn a_zone_holds_only_names_and_leads_only_to_itself(
        tasks in prop::collection::vec((".{0,80}", prop::option::of(".{0,80}"), 1..4_u8, any::<u16>()), 0..6),
    ) {
        let tasks = tasks.into_iter().enumerate().map(|(n, (name, discovered, on, port))| Task {
            discovery: discovered.and_then(|name| discovery(&name, &[(port, Some(&name), None)])),
            ..task(&format!("t{n}"), &name, on, &[port])
        });
        let zone = zone(full(1, tasks.collect()));
        for (name, records) in &zone.names {
            prop_assert!(label::is_name(name), "{name}");
            for srv in &records.srv {
                prop_assert!(matches!(zone.find(&srv.target), Found::Records { .. }), "{}", srv.target);
            }
        }
    }
}

#[test]
fn all_masters_have_names_where_they_are_known() {
    let settings = settings().with_masters(vec![ip(1), ip(2), ip(3)]);
    let zone = build(&Snapshot::new(full(1, vec![])), &settings);
    let text = print(&zone);
    let of = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("{name} A ")));
        lines.map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("leader.mesos"), "192.0.2.1");
    assert_eq!(of("master.mesos"), "192.0.2.1 192.0.2.2 192.0.2.3");
    assert_eq!(of("master1.mesos"), "192.0.2.2");
    assert_eq!(of("zk-4.zk"), "192.0.2.1");
}
