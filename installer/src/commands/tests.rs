use expect_test::expect;

use super::*;

/// Exit code, output and errors, with the folder cut out of paths.
fn call(folder: &Path, arguments: &[&str]) -> (u8, String, String) {
    let place = |argument: &&str| match argument.strip_prefix("./") {
        Some(file) => folder.join(file).into_os_string(),
        None => OsString::from(argument),
    };
    let arguments = std::iter::once("karman-installer".into()).chain(arguments.iter().map(place));
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = run(arguments, &mut out, &mut errors);
    let text =
        |bytes| String::from_utf8(bytes).unwrap().replace(&folder.display().to_string(), ".");
    (code, text(out), text(errors))
}

#[test]
fn what_init_writes_is_valid_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = call(folder.path(), &["init", "--config", "./c.yaml"]);
    assert_eq!(code, DONE);
    expect![[r#"
        Wrote ./c.yaml. Change it, then run: karman-installer validate --config ./c.yaml
    "#]]
    .assert_eq(&out);
    let (code, out, _) = call(folder.path(), &["validate", "--config", "./c.yaml"]);
    assert_eq!(code, DONE);
    expect![[r#"
        reads    cluster_name: what the cluster is called
        reads    master_list: addresses of 1, 3 or 5 machines that lead the cluster
        reads    agent_list: addresses of the machines that run tasks
        reads    public_agent_list: addresses of the machines that run tasks reachable from outside
        reads    ssh_user: the account on the machines; root, or one that may use sudo
        reads    ssh_port: the port of the SSH servers
        reads    superuser_username: the name of the first user, who may do everything
        master        192.0.2.1        karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
        master        192.0.2.2        karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
        master        192.0.2.3        karman-etcd karman-master karman-orchestrator karman-catalog karman-net karman-gateway
        agent         192.0.2.11       karman-net karman-agent
        agent         192.0.2.12       karman-net karman-agent
        public-agent  192.0.2.21       karman-net karman-agent
        ./c.yaml is valid: 'my-datacenter' with 6 machine(s).
    "#]].assert_eq(&out);
    let (code, _, errors) = call(folder.path(), &["init", "--config", "./c.yaml"]);
    assert_eq!(code, FAILED);
    expect![[r#"
        error: './c.yaml' exists and is kept; give another --config
    "#]]
    .assert_eq(&errors);
}

#[test]
fn mistakes_have_their_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "cluster_name: x\nmaster_list: [192.0.2.1]\nip_detect_filename: none\nbootstrap_url: y\n";
    fs::write(folder.path().join("c.yaml"), text).unwrap();
    let (code, out, _) = call(folder.path(), &["validate", "--config", "./c.yaml"]);
    assert_eq!(code, INVALID);
    expect![[r#"
        reads    cluster_name: what the cluster is called
        reads    master_list: addresses of 1, 3 or 5 machines that lead the cluster
        reads    ip_detect_filename: a file with such a script
        ignored  bootstrap_url: the installer carries everything and copies it by itself
        mistake  ip_detect_filename names './none', which is not a file: correct the path, which begins at the folder of the configuration
        ./c.yaml has 1 mistake(s).
    "#]].assert_eq(&out);
    fs::write(folder.path().join("none"), "#!/bin/sh").unwrap();
    assert_eq!(call(folder.path(), &["validate", "--config", "./c.yaml"]).0, DONE);
}

#[test]
fn machines_can_read_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let parse = |text: &str| {
        fs::write(folder.path().join("c.yaml"), text).unwrap();
        let (code, out, _) =
            call(folder.path(), &["validate", "--config", "./c.yaml", "--output", "json"]);
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap())
    };
    let (code, value) = parse("cluster_name: x\n");
    assert_eq!(
        (code, &value["valid"], &value["mistakes"][0]["key"]),
        (INVALID, &false.into(), &"master_list".into())
    );
    let (code, value) = parse("cluster_name: x\nmaster_list: [192.0.2.1]\n");
    assert_eq!(
        (code, &value["valid"], &value["plan"]["nodes"][0]["role"]),
        (DONE, &true.into(), &"master".into())
    );
}

#[test]
fn a_missing_file_and_wrong_usage_have_their_own_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = call(folder.path(), &["validate", "--config", "./none.yaml"]);
    assert_eq!(code, FAILED);
    expect![[r#"
        error: cannot read './none.yaml': No such file or directory (os error 2)
    "#]]
    .assert_eq(&errors);
    let (code, out, errors) = call(folder.path(), &["depoly"]);
    assert!(code == WRONG_USAGE && out.is_empty() && errors.contains("depoly"), "{errors}");
    let (code, out, _) = call(folder.path(), &["--help"]);
    assert!(code == DONE && out.contains("validate") && out.contains("init"), "{out}");
}
