use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config;

fn config(text: &str) -> Config {
    let text = format!("cluster_name: x\nmaster_list: [10.0.0.1]\n{text}");
    config::check(&text).config.unwrap()
}

fn site() -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::beside(&folder.path().join("config.yaml"));
    (folder, site)
}

#[test]
fn secrets_are_made_once_and_for_the_owner_only() {
    let (_folder, site) = site();
    assert!(!site.exists());
    let first = site.cluster(&config("")).unwrap();
    let again = site.cluster(&config("")).unwrap();
    let view = |cluster: &Cluster| {
        let Cluster { id, authority, store_authority, password, password_hash, credentials } =
            cluster;
        let keys = [authority.key(), store_authority.key()].map(str::to_owned);
        (id.clone(), keys, password.clone(), password_hash.clone(), credentials.clone())
    };
    assert_eq!(view(&first), view(&again));
    assert!(first.password.is_some() && first.password_hash.starts_with("$argon2id$"));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.folder), 0o700);
    for entry in fs::read_dir(&site.folder).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
    }
    assert!(!format!("{first:?}").contains("PRIVATE"));
    let given = config("superuser_password_hash: $argon2id$v=19$x");
    let cluster = site.cluster(&given).unwrap();
    assert_eq!((cluster.password, cluster.password_hash.as_str()), (None, "$argon2id$v=19$x"));
}

#[test]
fn one_installer_at_a_time() {
    let (_folder, site) = site();
    let held = site.lock().unwrap();
    let refused = site.lock().unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(held);
    site.lock().unwrap();
}

#[test]
fn the_same_request_gets_the_same_certificate() {
    let (_folder, site) = site();
    let cluster = site.cluster(&config("")).unwrap();
    let member = Member {
        address: "10.0.0.1".parse().unwrap(),
        role: Role::Master,
        tuning: Tuning::default(),
        joined: false,
    };
    let ask = || crate::pki::Request::create().unwrap().request;
    let mut requests: BTreeMap<String, String> =
        ["node", "store/client", "store/peer"].map(|name| (name.to_owned(), ask())).into();
    let first = site.certificates(&cluster, &member, "one", &requests).unwrap();
    assert_eq!(first.len(), 5);
    assert_eq!(first, site.certificates(&cluster, &member, "one", &requests).unwrap());
    requests.insert("node".into(), ask());
    let other = site.certificates(&cluster, &member, "one", &requests).unwrap();
    assert_ne!(first["node.pem"], other["node.pem"]);
    assert_eq!(first["store/peer.pem"], other["store/peer.pem"]);
    requests.insert("admin".into(), ask());
    assert!(site.certificates(&cluster, &member, "one", &requests).is_err());
}

#[test]
fn commands_change_what_the_lists_say() {
    let config = config(
        "agent_list: [10.0.0.3, 10.0.0.2]\nagent_attributes: 'a:b'\nmachines: {10.0.0.2: {attributes: 'c:d'}}",
    );
    let added = Added { role: Role::PublicAgent, joined: true };
    let changed = Members {
        added: [("10.0.0.9".parse().unwrap(), added)].into(),
        removed: ["10.0.0.3".parse().unwrap()].into(),
    };
    let all = members(&config, &changed);
    let shown: Vec<String> = all
        .iter()
        .map(|member| {
            format!("{} {} {:?}", member.role.name(), member.address, member.tuning.attributes)
        })
        .collect();
    let expected = [
        "master 10.0.0.1 None",
        "agent 10.0.0.2 Some(\"c:d\")",
        "public-agent 10.0.0.9 Some(\"a:b\")",
    ];
    assert_eq!(shown, expected);
}
