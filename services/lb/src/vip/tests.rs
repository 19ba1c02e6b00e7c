use std::fmt::Write as _;

use expect_test::{Expect, expect};
use karman_api::karman::discovery::{Discovery, Framework, PortMapping};
use proptest::prelude::*;

use super::*;

fn agent(n: u8) -> Agent {
    let ip = IpAddr::from([192, 0, 2, n]);
    Agent { id: format!("S{n}"), hostname: format!("agent{n}"), ip, port: 5051 }
}

fn task(id: &str, on: u8) -> Task {
    Task {
        id: id.into(),
        name: "web".into(),
        framework_id: "f".into(),
        agent_id: agent(on).id,
        killing: false,
        healthy: None,
        has_health_check: false,
        container_ips: Vec::new(),
        host_ports: Vec::new(),
        port_mappings: Vec::new(),
        discovery: None,
        labels: BTreeMap::new(),
    }
}

/// A port with labels; the protocol is tcp unless another label says so.
fn port(number: u16, labels: &[(&str, &str)]) -> DiscoveryPort {
    let mut labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let protocol = labels.remove("protocol").or(Some("tcp".into()));
    DiscoveryPort { number, name: None, protocol, labels }
}

fn with_ports(task: Task, ports: Vec<DiscoveryPort>) -> Task {
    Task { discovery: Some(Discovery { name: Some("web".into()), ports }), ..task }
}

fn message(tasks: Vec<Task>) -> Message {
    Message {
        generation: 1,
        full: true,
        tasks,
        agents: (1..=3).map(agent).collect(),
        frameworks: vec![Framework { id: "f".into(), name: "marathon".into(), webui_url: None }],
        ..Message::default()
    }
}

fn print(table: &Table) -> String {
    let mut out = String::new();
    for (Key { protocol, address }, Vip { name, backends }) in &table.vips {
        let name = name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        writeln!(out, "{protocol:?} {address}{name}").unwrap();
        for Backend { address, container, agent_id, accepts } in backends {
            let container =
                container.map_or_else(String::new, |container| format!(" = {container}"));
            let drains = if *accepts { "" } else { " drains" };
            writeln!(out, "  {address} on {agent_id}{container}{drains}").unwrap();
        }
    }
    for Ignored { task_id, label, mistake, .. } in &table.ignored {
        writeln!(out, "ignored: {label} of {task_id}: {mistake}").unwrap();
    }
    out
}

#[track_caller]
fn check(tasks: Vec<Task>, expected: Expect) {
    expected.assert_eq(&print(&table(&message(tasks), &Ranges::default())));
}

#[test]
fn every_form_of_a_label() {
    let labels = [
        ("VIP_0", "/web:80"),
        ("VIP_1", "web:81"),
        ("vip_other", "10.1.2.3:82"),
        ("VIP_v6", "fd00::1:83"),
        ("VIP_v6b", "[fd00::1]:83"),
        ("VIPx", "/a/Deep.Name_x:84"),
        ("unrelated", "/no:85"),
    ];
    let both = port(8081, &[("VIP_0", "/dns:53"), ("protocol", "tcp,udp")]);
    check(
        vec![with_ports(task("t", 1), vec![port(8080, &labels), both])],
        expect![[r#"
            Tcp 10.1.2.3:82
              192.0.2.1:8080 on S1
            Tcp 11.38.121.151:53 dns.marathon
              192.0.2.1:8081 on S1
            Tcp 11.151.196.240:84 adeep.name-x.marathon
              192.0.2.1:8080 on S1
            Tcp 11.225.36.193:80 web.marathon
              192.0.2.1:8080 on S1
            Tcp 11.225.36.193:81 web.marathon
              192.0.2.1:8080 on S1
            Udp 11.38.121.151:53 dns.marathon
              192.0.2.1:8081 on S1
            ignored: VIP_v6 of t: 'fd00::1' cannot lead to a task that has only addresses of the other family
            ignored: VIP_v6b of t: 'fd00::1' cannot lead to a task that has only addresses of the other family
        "#]],
    );
}

#[test]
fn labels_of_the_task_name_its_ports() {
    let labels = [
        ("vip_PORT0", "tcp://web:80"),
        ("VIP_PORT1", "udp://10.0.0.1:53"),
        ("vip_PORT2", "tcp://web:81"),
    ];
    let labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    check(
        vec![Task { host_ports: vec![31000, 31001], labels, ..task("t", 1) }],
        expect![[r#"
        Tcp 11.225.36.193:80 web.marathon
          192.0.2.1:31000 on S1
        Udp 10.0.0.1:53
          192.0.2.1:31001 on S1
        ignored: vip_PORT2 of t: the task has 2 ports, and none with index 2
    "#]],
    );
}

#[test]
fn what_has_no_effect_says_why() {
    let labels = [
        ("VIP_0", "web"),
        ("VIP_1", "web:0"),
        ("VIP_2", "web:99999"),
        ("VIP_3", "/:80"),
        ("VIP_4", "!!:80"),
        ("VIP_5", ""),
    ];
    let other = port(1, &[("VIP_0", "/x:1"), ("protocol", "sctp")]);
    let task_labels = [
        ("vip_PORT0".to_owned(), "web:80".to_owned()),
        ("vip_PORTx".to_owned(), "web:80".to_owned()),
    ];
    let task = Task { labels: task_labels.into(), ..task("t", 1) };
    check(
        vec![with_ports(task, vec![port(8080, &labels), other])],
        expect![[r#"
        ignored: VIP_0 of t: 'web' is not 'name:port' or 'ip:port'
        ignored: VIP_0 of t: the protocol 'sctp' has no virtual IPs, only tcp and udp have
        ignored: VIP_1 of t: 'web:0' is not 'name:port' or 'ip:port'
        ignored: VIP_2 of t: 'web:99999' is not 'name:port' or 'ip:port'
        ignored: VIP_3 of t: '/:80' has no name that DNS can carry
        ignored: VIP_4 of t: '!!:80' has no name that DNS can carry
        ignored: VIP_5 of t: '' is not 'name:port' or 'ip:port'
        ignored: vip_PORT0 of t: 'web:80' does not begin with 'tcp://' or 'udp://'
    "#]],
    );
}

#[test]
fn backends_are_where_the_port_is() {
    let vip = ("VIP_0", "/web:80");
    let mapping = PortMapping { host_port: 31005, container_port: 8080, protocol: "tcp".into() };
    let container = Task { container_ips: vec!["9.0.1.5".parse().unwrap()], ..task("overlay", 1) };
    let mapped = Task { id: "mapped".into(), port_mappings: vec![mapping], ..container.clone() };
    let scope = |scope| ("network-scope", scope);
    check(
        vec![
            with_ports(task("host", 2), vec![port(31001, &[vip])]),
            with_ports(container.clone(), vec![port(8080, &[vip, scope("container")])]),
            with_ports(mapped.clone(), vec![port(8080, &[vip, scope("container")])]),
            with_ports(
                Task { id: "by host".into(), ..mapped.clone() },
                vec![port(31005, &[vip, scope("host")])],
            ),
            with_ports(
                Task { id: "udp".into(), ..mapped },
                vec![port(8080, &[vip, ("protocol", "udp")])],
            ),
        ],
        expect![[r#"
            Tcp 11.225.36.193:80 web.marathon
              9.0.1.5:8080 on S1
              192.0.2.1:31005 on S1 = 9.0.1.5:8080
              192.0.2.2:31001 on S2
            Udp 11.225.36.193:80 web.marathon
              9.0.1.5:8080 on S1
        "#]],
    );
    let dual = Task {
        container_ips: vec!["9.0.1.5".parse().unwrap(), "fd01:b::5".parse().unwrap()],
        ..container
    };
    check(
        vec![with_ports(dual, vec![port(8080, &[vip, ("VIP_1", "10.0.0.1:80")])])],
        expect![[r#"
            Tcp 10.0.0.1:80
              9.0.1.5:8080 on S1
            Tcp 11.225.36.193:80 web.marathon
              9.0.1.5:8080 on S1
            Tcp [fd01:c::cb8:74fe:906b:dee]:80 web.marathon
              [fd01:b::5]:8080 on S1
        "#]],
    );
}

#[test]
fn who_gets_new_connections() {
    let vip = |task: Task, number| with_ports(task, vec![port(number, &[("VIP_0", "/web:80")])]);
    let checked = |healthy| Task { has_health_check: true, healthy, ..task("t", 1) };
    check(
        vec![
            vip(task("a", 1), 1),
            vip(checked(Some(true)), 2),
            vip(checked(Some(false)), 3),
            vip(checked(None), 4),
            vip(Task { killing: true, ..task("e", 1) }, 5),
            vip(Task { agent_id: "unknown".into(), ..task("f", 1) }, 6),
            vip(Task { framework_id: "unknown".into(), ..task("g", 1) }, 7),
        ],
        expect![[r#"
            Tcp 11.225.36.193:80 web.marathon
              192.0.2.1:1 on S1
              192.0.2.1:2 on S1
              192.0.2.1:3 on S1 drains
              192.0.2.1:4 on S1 drains
              192.0.2.1:5 on S1 drains
        "#]],
    );
}

fn name(text: &str) -> Name {
    let (label, framework) = text.rsplit_once('.').unwrap();
    Name { label: label.into(), framework: framework.into() }
}

/// Addresses that DC/OS gives.
#[test]
fn names_have_the_addresses_of_dcos() {
    let names = ["foo.bar", "l4lbtest.marathon", "redis.marathon"].map(name);
    let addresses = Ranges::default().assign_v4(&names.into());
    let seen: Vec<String> =
        addresses.iter().map(|(name, address)| format!("{name} {address}")).collect();
    assert_eq!(
        seen,
        ["foo.bar 11.138.58.156", "l4lbtest.marathon 11.128.73.162", "redis.marathon 11.202.66.36"]
    );
    assert_eq!((phash2(b"foo.bar") % 254, phash2(b"baz.qux") % 254), (37, 39));
    let v6 = Ranges::default().assign_v6(&[name("qux.ipv6")].into());
    assert_eq!(v6[&name("qux.ipv6")].to_string(), "fd01:c::6d6d:9c64:fd19:f251");
}

fn small(size: u8) -> Ranges {
    Ranges { v4: ([10, 0, 0, 0].into(), [10, 0, 0, size].into()), ..Ranges::default() }
}

#[test]
fn a_full_range_leaves_names_without_addresses() {
    let names: BTreeSet<Name> = (0..10).map(|n| name(&format!("n{n}.f"))).collect();
    assert_eq!(small(6).assign_v4(&names).len(), 6);
    assert!(small(0).assign_v4(&names).is_empty());
    let narrow =
        Ranges { v6: ("fd00::".parse().unwrap(), "fd00::4".parse().unwrap()), ..Ranges::default() };
    assert_eq!(narrow.assign_v6(&names).len(), 4);
}

proptest! {
    #[test]
    fn addresses_are_distinct_and_every_name_has_one(ids in prop::collection::btree_set(0..500_u16, 0..60), size in 60..200_u8) {
        let names: BTreeSet<Name> = ids.iter().map(|n| name(&format!("n{n}.f"))).collect();
        let assigned = small(size).assign_v4(&names);
        let addresses: BTreeSet<_> = assigned.values().collect();
        prop_assert_eq!((assigned.len(), addresses.len()), (names.len(), names.len()));
        prop_assert!(addresses.iter().all(|address| address.octets()[3] < size));
    }

    /// Only names that meet another at their hash may ever move.
    #[test]
    fn a_name_alone_at_its_hash_stays(ids in prop::collection::btree_set(0..500_u16, 1..60), gone: prop::sample::Index) {
        let mut names: BTreeSet<Name> = ids.iter().map(|n| name(&format!("n{n}.f"))).collect();
        let ranges = small(200);
        let home = |name: &Name| phash2(name.to_string().as_bytes()) % 200;
        let before = ranges.assign_v4(&names);
        let gone = names.iter().nth(gone.index(names.len())).cloned().unwrap();
        names.remove(&gone);
        let after = ranges.assign_v4(&names);
        for (name, address) in &after {
            let alone = names.iter().chain([&gone]).filter(|other| home(other) == home(name)).count() == 1;
            prop_assert!(!alone || before.get(name) == Some(address));
        }
    }

    #[test]
    fn the_order_of_tasks_does_not_matter(tasks in prop::collection::vec((0..4_u8, 1..4_u8, 1..5_u16), 0..12)) {
        let tasks: Vec<Task> = tasks.into_iter().enumerate().map(|(n, (label, on, number))| {
            let vip = format!("/service{label}:80");
            with_ports(task(&format!("t{n}"), on), vec![port(number, &[("VIP_0", &vip)])])
        }).collect();
        let forwards = table(&message(tasks.clone()), &Ranges::default());
        let backwards = table(&message(tasks.into_iter().rev().collect()), &Ranges::default());
        prop_assert!(forwards.vips.values().all(|vip| !vip.backends.is_empty()));
        prop_assert_eq!(forwards, backwards);
    }

    #[test]
    fn any_label_is_understood_or_ignored(value in ".{0,40}", protocol in "tcp|udp|.{0,5}") {
        let table = table(
            &message(vec![with_ports(task("t", 1), vec![port(1, &[("VIP", &value), ("protocol", &protocol)])])]),
            &Ranges::default(),
        );
        prop_assert!(table.vips.is_empty() != table.ignored.is_empty() || value.contains(':'));
    }
}
