use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// Mistakes and ignored keys, one a line.
#[track_caller]
fn check_text(text: &str, expected: Expect) {
    let Checked { config, mistakes, read: _, ignored } = check(text);
    assert_eq!(config.is_some(), mistakes.is_empty());
    let mistakes = mistakes
        .iter()
        .map(|Mistake { key, problem, remedy }| format!("{key} {problem}: {remedy}\n"));
    let ignored = ignored.iter().map(|Ignored { key, reason }| format!("({key}: {reason})\n"));
    expected.assert_eq(&mistakes.chain(ignored).collect::<String>());
}

fn valid(text: &str) -> Config {
    let checked = check(text);
    checked.config.unwrap_or_else(|| panic!("{:?}", checked.mistakes))
}

#[test]
fn the_template_is_valid_and_names_every_key() {
    let config = valid(TEMPLATE);
    assert_eq!(
        (config.master_list.len(), config.agent_list.len(), config.public_agent_list.len()),
        (3, 2, 1)
    );
    for Key { name, what: _ } in KEYS {
        let alternative = *name == "ip_detect";
        assert!(
            alternative
                || TEMPLATE
                    .lines()
                    .any(|line| line.trim_start_matches("# ").starts_with(&format!("{name}:"))),
            "{name}"
        );
    }
}

#[test]
fn the_smallest_file_has_defaults() {
    let config = valid("cluster_name: x\nmaster_list: [192.0.2.1]\n");
    let expected = Config {
        cluster_name: "x".into(),
        master_list: vec!["192.0.2.1".parse().unwrap()],
        agent_list: vec![],
        public_agent_list: vec![],
        ssh_user: "root".into(),
        ssh_port: 22,
        ssh_key_path: None,
        resolvers: vec![],
        dns_search: vec![],
        ip_detect: None,
        fault_domain_detect: None,
        ssh_config_path: None,
        superuser: "admin".into(),
        superuser_password_hash: None,
        agent_resources: None,
        agent_attributes: None,
        machines: BTreeMap::new(),
    };
    assert_eq!(config, expected);
}

#[test]
fn values_may_be_written_as_in_dcos() {
    let config = valid(
        r#"
cluster_name: 2026
master_list: '["192.0.2.1", "192.0.2.2", "2001:db8::3"]'
ssh_port: "2222"
resolvers: ["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]:54"]
dns_search: "a.example b.example"
ip_detect: '#!/bin/sh'
"#,
    );
    assert_eq!(
        (config.cluster_name.as_str(), config.master_list.len(), config.ssh_port),
        ("2026", 3, 2222)
    );
    assert_eq!(
        config.resolvers.iter().map(|resolver| resolver.port).collect::<Vec<_>>(),
        [53, 5353, 54]
    );
    assert_eq!(config.dns_search, ["a.example", "b.example"]);
    assert!(matches!(config.ip_detect, Some(Script::Text(_))));
}

#[test]
fn every_mistake_is_found_at_once() {
    check_text(
        r#"
cluster_nam: typo
master_lst: []
agent_list: [node1, 127.0.0.1, 7, 192.0.2.9, 192.0.2.9]
public_agent_list: 192.0.2.9
ssh_user: "-oProxyCommand=x"
ssh_port: 70000
ssh_key_path: [a]
resolvers: [198.51.100.2, nonsense]
dns_search: a b c d e f g
ip_detect: hostname -I
completely_different: 1
3: x
"#,
        expect![[r#"
            cluster_nam is not a key of this file: did you mean 'cluster_name'?
            master_lst is not a key of this file: did you mean 'master_list'?
            completely_different is not a key of this file: remove it; 'karman-installer init' writes a file with all keys
            '3' is not a key: use a word as the key
            cluster_name is missing: give the cluster a name
            agent_list '7' is not text: write it in quotes
            agent_list 'node1' is not an IP address: give addresses such as 192.0.2.10, not names
            agent_list 127.0.0.1 is no address of a machine that others can reach: give the address in the network of the cluster
            ssh_user '-oProxyCommand=x' is not the name of an account: use the name of an account on the machines, such as 'root'
            ssh_port '70000' is not a port: give a number from 1 to 65535
            ssh_key_path is not text: write one value, as in 'ssh_key_path: value'
            resolvers 198.51.100.2 is the cluster's own name server: name servers outside the cluster go here
            resolvers 'nonsense' is not an IP address with or without a port: give addresses such as 192.0.2.53 or 192.0.2.53:5353
            dns_search has more than 6 domains or 255 bytes: resolvers would cut it; shorten it
            ip_detect is not a script: begin with '#!/bin/sh', or give the path of a file as ip_detect_filename
            master_list names no master: give the addresses of 1, 3 or 5 machines
            agent_list has 192.0.2.9 twice: name each machine once
            public_agent_list has 192.0.2.9, which is in agent_list too: give each machine one role; for everything on one machine there is 'karmand up'
        "#]],
    );
}

#[test]
fn users_and_machines() {
    let text = r#"
cluster_name: x
master_list: [192.0.2.1]
agent_list: [192.0.2.2]
superuser_username: "root@x.example"
superuser_password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"
agent_attributes: "hall:one"
machines: { 192.0.2.2: { fault_domain: eu/a } }
"#;
    let config = valid(text);
    assert_eq!(config.superuser, "root@x.example");
    let only = config.machines.values().next().unwrap();
    assert_eq!(only.fault_domain.as_deref(), Some("eu/a"));
    check_text(
        r#"
cluster_name: x
master_list: [192.0.2.1]
superuser_username: anonymous
superuser_password_hash: "$6$rounds=656000$x"
machines: { 192.0.2.2: { fault_domain: eu }, 192.0.2.3: { disks: 7 }, 192.0.2.x: {}, 192.0.2.4: [] }
"#,
        expect![[r#"
            superuser_username 'anonymous' is not the name of a user: use up to 96 letters, digits, '-', '_', '@' and '.'
            superuser_password_hash is not an argon2id hash: run 'karman-installer hash-password', or leave the key out: a password is made up then
            machines of 192.0.2.3 cannot be read: unknown field `disks`, expected one of `resources`, `attributes`, `fault_domain`: give texts as resources, attributes and fault_domain
            machines '192.0.2.x' is not an IP address: begin each line with the address of an agent
            machines of 192.0.2.4 cannot be read: invalid type: sequence, expected struct Tuning: give texts as resources, attributes and fault_domain
            machines of 192.0.2.2 has a fault_domain that is no region and zone: write it as region/zone
            machines names 192.0.2.2, which is no agent: name it in agent_list or public_agent_list, or take it out here
        "#]],
    );
}

#[test]
fn masters_are_one_three_or_five() {
    check_text(
        "cluster_name: x\nmaster_list: [192.0.2.1, 192.0.2.2]\n",
        expect![[r#"
        master_list has 2 masters: take 1, 3 or 5: more do not help, and an even number decides nothing
    "#]],
    );
    check_text(
        "cluster_name: x\nmaster_list: []\n",
        expect![[r#"
        master_list names no master: give the addresses of 1, 3 or 5 machines
    "#]],
    );
    check_text(
        "cluster_name: x\nmaster_list: {a: b}\n",
        expect![[r#"
        master_list is not a list: write each element on a line of its own, after '- '
    "#]],
    );
    check_text(
        "cluster_name: ''\nmaster_list: [192.0.2.1]\nagent_list: [192.0.2.1]",
        expect![[r#"
            cluster_name is missing: give the cluster a name
            agent_list has 192.0.2.1, which is in master_list too: give each machine one role; for everything on one machine there is 'karmand up'
        "#]],
    );
}

#[test]
fn keys_of_dcos_are_ignored_with_a_reason() {
    check_text(
        "
cluster_name: x
master_list: [192.0.2.1]
bootstrap_url: http://192.0.2.100
exhibitor_storage_backend: static
master_discovery: static
telemetry_enabled: 'false'
oauth_enabled: 'false'
dcos_overlay_enable: 'true'
mesos_seccomp_enabled: true
",
        expect![[r#"
            (bootstrap_url: the installer carries everything and copies it by itself)
            (exhibitor_storage_backend: the masters keep the state themselves; there is no ZooKeeper and no Exhibitor)
            (master_discovery: the masters are those of master_list)
            (telemetry_enabled: nothing is ever sent to anybody)
            (oauth_enabled: users and their rights are managed in the running cluster)
            (dcos_overlay_enable: this version has no virtual networks to configure)
            (mesos_seccomp_enabled: this version has no setting for it and takes its own default)
        "#]],
    );
}

#[test]
fn a_file_that_is_no_configuration() {
    check_text(
        "",
        expect![[r#"
        cluster_name is missing: give the cluster a name
        master_list names no master: give the addresses of 1, 3 or 5 machines
    "#]],
    );
    check_text(
        "- a\n",
        expect![[r#"
        file is not a list of keys with values: write 'key: value' on each line
    "#]],
    );
    check_text(
        "a: [",
        expect![[r#"
        file is not valid YAML: did not find expected node content at line 2 column 1, while parsing a flow node: correct that place
    "#]],
    );
    check_text(
        "ip_detect: '#!/bin/sh'\nip_detect_filename: x\ncluster_name: {a: b}\nmaster_list: [192.0.2.1]",
        expect![[r#"
            cluster_name is not text: write one value, as in 'cluster_name: value'
            ip_detect is given together with ip_detect_filename: keep one of them
        "#]],
    );
}

proptest! {
    #[test]
    fn any_text_is_checked(text in "([a-z_]{1,14}: ?.{0,20}\n){0,6}") {
        let Checked { config, mistakes, .. } = check(&text);
        prop_assert_eq!(config.is_some(), mistakes.is_empty());
    }
}
