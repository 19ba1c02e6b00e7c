use expect_test::{Expect, expect};

use super::*;
use crate::config::{Resolver, Tuning};
use crate::plan::{Role, Store};

fn program(path: &str, text: &str) -> Item {
    Item::of_text(path, PROGRAM_MODE, text)
}

#[test]
fn the_name_is_the_content() {
    let programs = [program("bin/karmand", "one"), program("bin/karman", "two")];
    let release = Manifest::new(&programs, "a: 1\n");
    let mut turned = programs.clone();
    turned.reverse();
    assert_eq!(release.id(), Manifest::new(&turned, "a: 1\n").id(), "the order carries no meaning");
    assert_eq!(release.id().len(), ID_DIGITS);
    let other_program = [program("bin/karmand", "ONE"), program("bin/karman", "two")];
    let other_mode = [Item { mode: 0o700, ..programs[0].clone() }, programs[1].clone()];
    let others = [
        Manifest::new(&programs, "a: 2\n"),
        Manifest::new(&other_program, "a: 1\n"),
        Manifest::new(&other_mode, "a: 1\n"),
    ];
    for other in others {
        assert_ne!(release.id(), other.id());
    }
}

#[test]
fn every_unit_of_the_plan_is_carried() {
    for role in [Role::Master, Role::Agent, Role::PublicAgent] {
        for unit in crate::plan::units(role, Store::Etcd) {
            assert!(UNITS.iter().any(|(name, _)| *name == format!("{unit}.service")), "{unit}");
        }
    }
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    yaml_serde::from_str::<yaml_serde::Value>(text).unwrap();
    expected.assert_eq(text);
}

#[test]
fn files() {
    let masters: Vec<std::net::IpAddr> =
        ["10.0.0.1", "10.0.0.2", "fd00::3"].map(|text| text.parse().unwrap()).into();
    let resolvers = [Resolver { address: "192.0.2.53".parse().unwrap(), port: 53 }];
    check(
        &cluster_yaml(&ClusterFile {
            id: "5bb1",
            name: "yes",
            masters: &masters,
            store: Store::Etcd,
            resolvers: &resolvers,
            user: "admin",
            password_hash: "$argon2id$x",
        }),
        expect![[r#"
            # Written by karman-installer; the next deploy replaces it.
            cluster_name: yes
            cluster:
              id: 5bb1
              masters:
              - 10.0.0.1
              - 10.0.0.2
              - fd00::3
              store: etcd
            master:
              credentials: /etc/karman/credentials
            auth:
              local: true
              user: admin
              password_hash: $argon2id$x
            log:
              level: info
            dns:
              upstreams:
              - 192.0.2.53:53
        "#]],
    );
    let tuning = Tuning { attributes: Some("rack:r1".into()), ..Tuning::default() };
    let own = ["192.0.2.1:53".to_owned()];
    let node =
        NodeFile { address: masters[0], role: Role::PublicAgent, tuning: &tuning, resolvers: &own };
    check(
        &node_yaml(&node),
        expect![[r#"
        # Written by karman-installer; the next deploy replaces it.
        address: 10.0.0.1
        role: public-agent
        attributes: rack:r1
        resolvers:
        - 192.0.2.1:53
    "#]],
    );
    check(
        &etcd_yaml("5bb1", masters[2], &masters),
        expect![[r#"
        # Written by karman-installer; the next deploy replaces it.
        name: fd00::3
        data-dir: /var/lib/karman/etcd
        listen-peer-urls: https://[fd00::3]:2380
        listen-client-urls: https://[fd00::3]:2379,https://127.0.0.1:2379
        initial-advertise-peer-urls: https://[fd00::3]:2380
        advertise-client-urls: https://[fd00::3]:2379
        initial-cluster: 10.0.0.1=https://10.0.0.1:2380,10.0.0.2=https://10.0.0.2:2380,fd00::3=https://[fd00::3]:2380
        initial-cluster-token: 5bb1
        initial-cluster-state: new
        strict-reconfig-check: true
        pre-vote: true
        heartbeat-interval: 50
        election-timeout: 500
        auto-compaction-mode: revision
        auto-compaction-retention: '100000'
        quota-backend-bytes: 8589934592
        max-request-bytes: 10485760
        logger: zap
        log-outputs:
        - stderr
        log-level: warn
        client-transport-security:
          cert-file: /etc/karman/tls/store/server.pem
          key-file: /etc/karman/tls/store/server.key
          client-cert-auth: true
          trusted-ca-file: /etc/karman/tls/store/ca.pem
        peer-transport-security:
          cert-file: /etc/karman/tls/store/peer.pem
          key-file: /etc/karman/tls/store/peer.key
          client-cert-auth: true
          trusted-ca-file: /etc/karman/tls/store/ca.pem
    "#]],
    );
}
