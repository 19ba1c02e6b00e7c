use expect_test::{Expect, expect};

use super::*;

pub(crate) fn good() -> Facts {
    Facts {
        root: true,
        arch: "x86_64".into(),
        kernel: "6.1.0-18-amd64".into(),
        systemd: 252,
        cgroups: ["cpu", "memory"].map(str::to_owned).into(),
        memory_bytes: 8 << 30,
        free_bytes: ["/opt/karman", "/var/lib/karman"]
            .map(|path| (path.to_owned(), 50 << 30))
            .into(),
        addresses: ["10.0.0.1".parse().unwrap()].into(),
        clock_synchronised: Some(true),
        ..Facts::default()
    }
}

#[track_caller]
fn check(facts: &Facts, role: Role, skew_ms: i64, expected: Expect) {
    let address = "10.0.0.1".parse().unwrap();
    let question =
        Question { role, address, cluster_id: "me", arch: "x86_64", skew_ms, etcd: true };
    let found = judge(facts, question);
    let shown = found.iter().filter(|finding| finding.verdict != Verdict::Pass).map(
        |Finding { check, verdict, detail, remedy }| {
            format!("{verdict:?} {check}: {detail}: {remedy}\n")
        },
    );
    expected.assert_eq(&shown.collect::<String>());
}

#[test]
fn a_good_machine() {
    check(&good(), Role::Master, 20, expect![""]);
    check(&good(), Role::PublicAgent, -400, expect![""]);
}

#[test]
fn everything_wrong_at_once() {
    let facts = Facts {
        arch: "aarch64".into(),
        kernel: "3.10.0".into(),
        selinux: Some("enforcing".into()),
        memory_bytes: 100 << 20,
        free_bytes: [("/opt/karman".to_owned(), 5 << 20)].into(),
        missing_tools: vec!["ip".into(), "useradd".into()],
        tcp: [(80, "nginx".to_owned()), (5050, String::new()), (9999, "x".into())].into(),
        clock_synchronised: Some(false),
        in_the_way: vec!["/etc/karman".into()],
        others: vec!["DC/OS (/opt/mesosphere)".into()],
        addresses: ["10.0.0.2".parse().unwrap()].into(),
        ..Facts::default()
    };
    check(
        &facts,
        Role::Master,
        90_000,
        expect![[r#"
        Fail root: is root: take an ssh_user that is root or may use sudo
        Fail processor: aarch64: take the installer that was built for it
        Fail kernel: 3.10.0: 5.12 or later is needed
        Fail systemd: does not run it: version 247 or later must run it
        Fail programs: without ip useradd: install the packages iproute2, passwd, util-linux
        Warn SELinux: enforcing: Karman brings no policy; set it to permissive
        Fail disk for programs: 5 MiB free in /opt: 400 MiB are needed
        Fail disk for state: 0 MiB free in /var/lib: 1 GiB is needed, 10 GiB are good
        Fail memory: 100 MiB: 512 MiB are needed, 4 GiB are good
        Fail clock: 90000 ms from the installer's: set it, and let chrony or systemd-timesyncd keep it
        Warn time service: nobody keeps the clock: set it, and let chrony or systemd-timesyncd keep it
        Fail Karman: /etc/karman is there and nobody's: move it away: uninstalling would remove it
        Fail other systems: DC/OS (/opt/mesosphere) is installed: uninstall it: both want the same ports and machines
        Fail address: 10.0.0.1 is on none of its interfaces: list the address that the machine has itself; behind NAT it cannot be reached
        Fail ports: taken: 80 (nginx), 5050: stop what listens there, or move it
    "#]],
    );
    check(
        &facts,
        Role::Agent,
        -900,
        expect![[r#"
        Fail root: is root: take an ssh_user that is root or may use sudo
        Fail processor: aarch64: take the installer that was built for it
        Fail kernel: 3.10.0: 5.12 or later is needed
        Fail systemd: does not run it: version 247 or later must run it
        Fail programs: without ip useradd: install the packages iproute2, passwd, util-linux
        Warn control groups: cpu or memory is missing: tasks would run without limits; boot with cgroup_enable=memory
        Warn SELinux: enforcing: Karman brings no policy; set it to permissive
        Fail disk for programs: 5 MiB free in /opt: 400 MiB are needed
        Fail disk for state: 0 MiB free in /var/lib: 1 GiB is needed, 10 GiB are good
        Fail memory: 100 MiB: 256 MiB are needed besides the tasks
        Warn clock: -900 ms from the installer's: set it, and let chrony or systemd-timesyncd keep it
        Warn time service: nobody keeps the clock: set it, and let chrony or systemd-timesyncd keep it
        Fail Karman: /etc/karman is there and nobody's: move it away: uninstalling would remove it
        Fail other systems: DC/OS (/opt/mesosphere) is installed: uninstall it: both want the same ports and machines
        Fail address: 10.0.0.1 is on none of its interfaces: list the address that the machine has itself; behind NAT it cannot be reached
    "#]],
    );
}

#[test]
fn what_is_installed_already() {
    let installed = |cluster_id: &str, role| Facts {
        installed: Some(Installed {
            cluster_id: cluster_id.into(),
            cluster_name: "theirs".into(),
            role,
            address: "10.0.0.1".parse().unwrap(),
            release: "abc".into(),
            started: vec![],
            served: true,
        }),
        tcp: [(5050, "karmand".to_owned())].into(),
        ..good()
    };
    check(&installed("me", Role::Master), Role::Master, 0, expect![""]);
    check(
        &installed("me", Role::Agent),
        Role::Master,
        0,
        expect![[r#"
        Fail Karman: is installed as agent: use remove-node first
    "#]],
    );
    check(
        &installed("other", Role::Master),
        Role::Master,
        0,
        expect![[r#"
        Fail Karman: belongs to the cluster 'theirs' (other): uninstall it from where it was installed
    "#]],
    );
}

#[test]
fn a_script_knows_the_address_better() {
    let facts = Facts { detected_address: Some("10.0.0.9".parse().unwrap()), ..good() };
    check(
        &facts,
        Role::Agent,
        0,
        expect![[r#"
        Fail address: ip_detect says 10.0.0.9: list that address, or correct the script
    "#]],
    );
}
