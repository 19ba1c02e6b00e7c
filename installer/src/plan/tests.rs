use expect_test::{Expect, expect};

use super::*;
use crate::config;

#[track_caller]
fn check(text: &str, expected: Expect) {
    let Plan { cluster_name, store, nodes } = plan(&config::check(text).config.unwrap());
    let mut out = format!("{cluster_name}: {store:?}\n");
    for Node { address, role, units, masters, resolvers } in nodes {
        out.push_str(&format!("{role:?} {address}: {}\n", units.join(" ")));
        for master in masters {
            out.push_str(&format!("  -> {master}\n"));
        }
        for Resolver { address, port } in resolvers {
            out.push_str(&format!("  ? {address} {port}\n"));
        }
    }
    expected.assert_eq(&out);
}

#[test]
fn one_master_keeps_its_state_itself() {
    check(
        "cluster_name: small\nmaster_list: [192.0.2.1]\nagent_list: [192.0.2.2]\nresolvers: [192.0.2.53]",
        expect![[r#"
            small: Embedded
            Master 192.0.2.1: karman-master karman-orchestrator karman-catalog karman-net karman-gateway
              ? 192.0.2.53 53
            Agent 192.0.2.2: karman-net karman-agent
              -> 192.0.2.1:5049
              ? 192.0.2.53 53
        "#]],
    );
}

#[test]
fn several_masters_share_their_state() {
    check(
        config::TEMPLATE,
        expect![[r#"
            my-datacenter: Etcd
            Master 192.0.2.1: karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
            Master 192.0.2.2: karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
            Master 192.0.2.3: karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
            Agent 192.0.2.11: karman-net karman-agent
              -> 192.0.2.1:5049
              -> 192.0.2.2:5049
              -> 192.0.2.3:5049
            Agent 192.0.2.12: karman-net karman-agent
              -> 192.0.2.1:5049
              -> 192.0.2.2:5049
              -> 192.0.2.3:5049
            PublicAgent 192.0.2.21: karman-net karman-agent
              -> 192.0.2.1:5049
              -> 192.0.2.2:5049
              -> 192.0.2.3:5049
        "#]],
    );
}
