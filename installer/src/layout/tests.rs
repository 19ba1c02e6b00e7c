use expect_test::{Expect, expect};

use super::*;

pub(crate) fn order(role: Role, masters: &[&str]) -> Order {
    let masters: Vec<IpAddr> = masters.iter().map(|text| text.parse().unwrap()).collect();
    let store = if masters.len() > 1 { Store::Etcd } else { Store::Embedded };
    let names = certificates(role, store);
    let pem = |name: &&str| (format!("{name}.pem"), format!("certificate {name}"));
    let mut certificates: BTreeMap<String, String> = names.iter().map(pem).collect();
    certificates.insert("ca.pem".into(), "ca".into());
    Order {
        cluster_id: "5bb1".into(),
        cluster_name: "test".into(),
        role,
        address: if role == Role::Master { masters[0] } else { "10.0.0.11".parse().unwrap() },
        masters,
        store,
        release: "r1".into(),
        cluster_yaml: "cluster_name: test\n".into(),
        tuning: Tuning::default(),
        resolvers: vec![],
        dns_search: vec![],
        certificates,
        credentials: (role == Role::Master).then(|| "admin secret\n".into()),
    }
}

pub(crate) fn wanted(order: &Order) -> Wanted {
    let names = certificates(order.role, order.store);
    let keys = names.iter().map(|name| ((*name).to_owned(), format!("key {name}"))).collect();
    let programs =
        ["bin/karman", "bin/karmand", "bin/etcd"].map(|path| Item::of_text(path, 0o755, path));
    let resolv_conf = "domain example\nnameserver 192.0.2.1\n";
    layout(order, Local { programs: &programs, keys: &keys, resolv_conf, systemd: 252 })
}

fn show(wanted: &Wanted) -> String {
    let mut text = String::new();
    for (path, entry) in wanted.entries.iter().chain(&wanted.late) {
        text.push_str(&format!("{path}: {entry:?}\n"));
    }
    let users: Vec<&str> = wanted.users.iter().map(|(user, _)| user.as_str()).collect();
    let units: Vec<&str> = wanted.units.iter().map(|unit| unit.name.as_str()).collect();
    text + &format!("users {}\nunits {}\n", users.join(" "), units.join(" "))
}

#[track_caller]
fn check(role: Role, masters: &[&str], expected: Expect) {
    expected.assert_eq(&show(&wanted(&order(role, masters))));
}

#[test]
fn one_of_several_masters() {
    check(
        Role::Master,
        &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        expect![[r#"
            /etc/karman: folder 755 root:root
            /etc/karman/credentials: file 600 karman-master:karman
            /etc/karman/etcd.yaml: file 644 root:root
            /etc/karman/node.yaml: file 644 root:root
            /etc/karman/tls: folder 750 root:karman
            /etc/karman/tls/ca.pem: file 644 root:karman
            /etc/karman/tls/node.key: file 640 root:karman
            /etc/karman/tls/node.pem: file 644 root:karman
            /etc/karman/tls/store: folder 750 root:karman
            /etc/karman/tls/store/client.key: file 640 root:karman
            /etc/karman/tls/store/client.pem: file 644 root:karman
            /etc/karman/tls/store/peer.key: file 640 root:karman
            /etc/karman/tls/store/peer.pem: file 644 root:karman
            /etc/karman/tls/store/server.key: file 640 root:karman
            /etc/karman/tls/store/server.pem: file 644 root:karman
            /etc/sysctl.d: folder
            /etc/sysctl.d/90-karman.conf: file 644 root:root
            /etc/systemd/system: folder
            /etc/systemd/system/karman-catalog.service: file 644 root:root
            /etc/systemd/system/karman-etcd.service: file 644 root:root
            /etc/systemd/system/karman-gateway.service: file 644 root:root
            /etc/systemd/system/karman-master.service: file 644 root:root
            /etc/systemd/system/karman-net.service: file 644 root:root
            /etc/systemd/system/karman-orchestrator.service: file 644 root:root
            /etc/systemd/system/karman.target: file 644 root:root
            /etc/systemd/system/karman.target.wants: folder
            /etc/systemd/system/karman.target.wants/karman-catalog.service: link to /etc/systemd/system/karman-catalog.service
            /etc/systemd/system/karman.target.wants/karman-etcd.service: link to /etc/systemd/system/karman-etcd.service
            /etc/systemd/system/karman.target.wants/karman-gateway.service: link to /etc/systemd/system/karman-gateway.service
            /etc/systemd/system/karman.target.wants/karman-master.service: link to /etc/systemd/system/karman-master.service
            /etc/systemd/system/karman.target.wants/karman-net.service: link to /etc/systemd/system/karman-net.service
            /etc/systemd/system/karman.target.wants/karman-orchestrator.service: link to /etc/systemd/system/karman-orchestrator.service
            /etc/systemd/system/multi-user.target.wants: folder
            /etc/systemd/system/multi-user.target.wants/karman.target: link to /etc/systemd/system/karman.target
            /opt: folder
            /opt/karman: folder 755 root:root
            /opt/karman/current: link to releases/r1
            /opt/karman/releases: folder 755 root:root
            /opt/karman/releases/r1: folder 755 root:root
            /opt/karman/releases/r1/bin: folder 755 root:root
            /opt/karman/releases/r1/bin/etcd: file 755 root:root
            /opt/karman/releases/r1/bin/karman: file 755 root:root
            /opt/karman/releases/r1/bin/karmand: file 755 root:root
            /opt/karman/releases/r1/etc: folder 755 root:root
            /opt/karman/releases/r1/etc/karman.yaml: file 640 root:karman
            /opt/karman/releases/r1/manifest.json: file 644 root:root
            /opt/karman/releases/r1/systemd: folder 755 root:root
            /opt/karman/releases/r1/systemd/karman-agent.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-catalog.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-etcd.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-gateway.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-master.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-net.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-orchestrator.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman.target: file 644 root:root
            /var/lib: folder
            /var/lib/karman: folder 755 root:root
            /etc/resolv.conf: file 644 root:root
            users karman-catalog karman-etcd karman-gateway karman-master karman-net karman-orchestrator
            units karman-etcd.service karman-master.service karman-orchestrator.service karman-catalog.service karman-net.service karman-gateway.service karman.target
        "#]],
    );
}

#[test]
fn an_agent() {
    check(
        Role::Agent,
        &["10.0.0.1"],
        expect![[r#"
            /etc/karman: folder 755 root:root
            /etc/karman/node.yaml: file 644 root:root
            /etc/karman/tls: folder 750 root:karman
            /etc/karman/tls/ca.pem: file 644 root:karman
            /etc/karman/tls/node.key: file 640 root:karman
            /etc/karman/tls/node.pem: file 644 root:karman
            /etc/sysctl.d: folder
            /etc/sysctl.d/90-karman.conf: file 644 root:root
            /etc/systemd/system: folder
            /etc/systemd/system/karman-agent.service: file 644 root:root
            /etc/systemd/system/karman-net.service: file 644 root:root
            /etc/systemd/system/karman.target: file 644 root:root
            /etc/systemd/system/karman.target.wants: folder
            /etc/systemd/system/karman.target.wants/karman-agent.service: link to /etc/systemd/system/karman-agent.service
            /etc/systemd/system/karman.target.wants/karman-net.service: link to /etc/systemd/system/karman-net.service
            /etc/systemd/system/multi-user.target.wants: folder
            /etc/systemd/system/multi-user.target.wants/karman.target: link to /etc/systemd/system/karman.target
            /opt: folder
            /opt/karman: folder 755 root:root
            /opt/karman/current: link to releases/r1
            /opt/karman/releases: folder 755 root:root
            /opt/karman/releases/r1: folder 755 root:root
            /opt/karman/releases/r1/bin: folder 755 root:root
            /opt/karman/releases/r1/bin/etcd: file 755 root:root
            /opt/karman/releases/r1/bin/karman: file 755 root:root
            /opt/karman/releases/r1/bin/karmand: file 755 root:root
            /opt/karman/releases/r1/etc: folder 755 root:root
            /opt/karman/releases/r1/etc/karman.yaml: file 640 root:karman
            /opt/karman/releases/r1/manifest.json: file 644 root:root
            /opt/karman/releases/r1/systemd: folder 755 root:root
            /opt/karman/releases/r1/systemd/karman-agent.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-catalog.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-etcd.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-gateway.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-master.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-net.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman-orchestrator.service: file 644 root:root
            /opt/karman/releases/r1/systemd/karman.target: file 644 root:root
            /var/lib: folder
            /var/lib/karman: folder 755 root:root
            /etc/resolv.conf: file 644 root:root
            users karman-net
            units karman-net.service karman-agent.service karman.target
        "#]],
    );
}

#[test]
fn no_key_is_shown() {
    let order = order(Role::Master, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert!(!format!("{:?}", wanted(&order)).contains("key node"));
    assert!(!format!("{order:?}").contains("secret"));
}

#[test]
fn a_service_restarts_for_what_it_reads() {
    let masters = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let before = wanted(&order(Role::Master, &masters));
    let changed = |change: fn(&mut Order)| {
        let mut order = order(Role::Master, &masters);
        change(&mut order);
        let after = wanted(&order);
        let pairs = before.units.iter().zip(&after.units);
        let differ = pairs.filter(|(before, after)| before != after);
        differ
            .map(|(unit, _)| unit.name.trim_end_matches(".service").to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    expect!["karman-master karman-orchestrator karman-catalog karman-net karman-gateway"]
        .assert_eq(&changed(|order| order.cluster_yaml.push_str("log: {level: debug}\n")));
    expect!["karman-etcd"].assert_eq(&changed(|order| order.cluster_id.push('x')));
    expect!["karman-master"].assert_eq(&changed(|order| order.credentials = Some("x".into())));
    expect![""].assert_eq(&changed(|order| order.dns_search.push("example".into())));
}

#[test]
fn our_name_server_comes_first_and_old_ones_help_out() {
    let check = |original: &str, resolvers: &[Resolver], search: &[&str], expected: Expect| {
        let search: Vec<String> = search.iter().map(|text| (*text).to_owned()).collect();
        expected.assert_eq(&resolv_conf(original, resolvers, &search));
    };
    let before = "search a.example\nnameserver 192.0.2.1 \nnameserver fd00::1\nnameserver 198.51.100.1\nnameserver 192.0.2.3\n";
    expect![[r#"["192.0.2.1:53", "[fd00::1]:53", "192.0.2.3:53"]"#]]
        .assert_eq(&format!("{:?}", name_servers(before)));
    check(
        before,
        &[],
        &[],
        expect![[r#"
        # Written by karman-installer; uninstalling restores the file.
        nameserver 198.51.100.1
        nameserver 192.0.2.1
        nameserver fd00::1
        search a.example
        options timeout:2 attempts:2
    "#]],
    );
    let at = |port| Resolver { address: "192.0.2.53".parse().unwrap(), port };
    check(
        before,
        &[at(5353), at(53)],
        &["b.example", "c.example"],
        expect![[r#"
        # Written by karman-installer; uninstalling restores the file.
        nameserver 198.51.100.1
        nameserver 192.0.2.53
        search b.example c.example
        options timeout:2 attempts:2
    "#]],
    );
}
