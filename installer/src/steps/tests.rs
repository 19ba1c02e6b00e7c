use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::layout::tests::{order, wanted};
use crate::plan::Role;

/// A machine in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machine(Observed);

impl Machine {
    fn bare() -> Self {
        let folder = || Found::Folder(Rights::root(0o755));
        let mut observed = Observed::default();
        for path in ["/etc/systemd/system", "/etc/sysctl.d", "/opt", "/var/lib"] {
            observed.found.insert(path.into(), folder());
        }
        let link = Found::Link { target: "../run/resolv.conf".into() };
        observed.found.insert("/etc/resolv.conf".into(), link);
        observed.sysctl.insert("vm.swappiness".into(), "60".into());
        observed.groups.insert("root".into());
        Self(observed)
    }

    /// As the shell does it: note, do, note; `crash` stops after so many halves.
    fn carry_out(&mut self, wanted: &Wanted, crash: Option<usize>) -> usize {
        for tree in &wanted.trees {
            if !self.0.record.trees.contains(tree) {
                self.0.record.trees.push(tree.clone());
            }
        }
        let mut halves = 0;
        for step in plan(&self.0, wanted) {
            self.intend(&step);
            halves += 1;
            if crash == Some(halves) {
                return halves;
            }
            self.act(&step);
            halves += 1;
            if crash == Some(halves) {
                return halves;
            }
            self.0.record.done(&step);
        }
        halves
    }

    fn intend(&mut self, step: &Step) {
        let original = match step {
            Step::Put { path, .. } => self.0.found.get(path).map(|found| match found {
                Found::Link { target } => Original::Link { target: target.clone() },
                Found::File { rights, sha256 } => {
                    Original::File { rights: rights.clone(), text: sha256.clone() }
                }
                Found::Folder(_) | Found::Other => Original::Nothing,
            }),
            _ => None,
        };
        let before = match step {
            Step::SetSysctl { key, .. } => self.0.sysctl.get(key).cloned(),
            _ => None,
        };
        self.0.record.intend(step, original, before);
    }

    fn act(&mut self, step: &Step) {
        let Observed { groups, users, found, sysctl, units, releases, record: _ } = &mut self.0;
        match step {
            Step::AddGroup { name } => drop(groups.insert(name.clone())),
            Step::AddUser { name, .. } => drop(users.insert(name.clone())),
            Step::Put { path, entry } => {
                let put = match entry {
                    Entry::Folder(rights) => Found::Folder(rights.clone()),
                    Entry::Shared => Found::Folder(Rights::root(0o755)),
                    Entry::File { rights, content } => {
                        Found::File { rights: rights.clone(), sha256: content.sha256() }
                    }
                    Entry::Link { target } => Found::Link { target: target.clone() },
                };
                found.insert(path.clone(), put);
            }
            Step::Unpack { files } => {
                for Carried { path: _, to, rights, sha256 } in files {
                    let file = Found::File { rights: rights.clone(), sha256: sha256.clone() };
                    found.insert(to.clone(), file);
                }
            }
            Step::Restore { path, original } => {
                let before = match original {
                    Original::Nothing => None,
                    Original::Link { target } => Some(Found::Link { target: target.clone() }),
                    Original::File { rights, text } => {
                        Some(Found::File { rights: rights.clone(), sha256: text.clone() })
                    }
                };
                match before {
                    Some(before) => drop(found.insert(path.clone(), before)),
                    None => drop(found.remove(path)),
                }
            }
            Step::SetSysctl { key, value } | Step::ResetSysctl { key, value } => {
                sysctl.insert(key.clone(), value.clone());
            }
            Step::Start { unit, .. } => drop(units.insert(unit.clone(), Activity::Active)),
            Step::Stop { unit } => drop(units.remove(unit)),
            Step::RemoveUser { name } => drop(users.remove(name)),
            Step::RemoveGroup { name } => drop(groups.remove(name)),
            Step::RemoveTree { path } => {
                releases.retain(|release| !path.ends_with(release.as_str()));
                found.retain(|at, _| at != path && !at.starts_with(&format!("{path}/")));
            }
            Step::Reload | Step::Await { .. } | Step::EndTasks | Step::DropAddresses => {}
        }
    }
}

fn three_masters(role: Role) -> Wanted {
    wanted(&order(role, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]))
}

#[track_caller]
fn check(machine: &Machine, wanted: &Wanted, expected: Expect) {
    let steps: String = plan(&machine.0, wanted).iter().map(|step| format!("{step}\n")).collect();
    expected.assert_eq(&steps);
}

#[test]
fn from_a_bare_machine_to_an_agent_and_back() {
    let mut machine = Machine::bare();
    let agent = three_masters(Role::Agent);
    check(
        &machine,
        &agent,
        expect![[r#"
            add group karman
            add user karman-net of group karman
            put /etc/karman: folder 755 root:root
            put /etc/karman/tls: folder 750 root:karman
            put /etc/systemd/system/karman.target.wants: folder
            put /etc/systemd/system/multi-user.target.wants: folder
            put /opt/karman: folder 755 root:root
            put /opt/karman/releases: folder 755 root:root
            put /opt/karman/releases/r1: folder 755 root:root
            put /opt/karman/releases/r1/bin: folder 755 root:root
            put /opt/karman/releases/r1/etc: folder 755 root:root
            put /opt/karman/releases/r1/systemd: folder 755 root:root
            put /var/lib/karman: folder 755 root:root
            unpack /opt/karman/releases/r1/bin/etcd /opt/karman/releases/r1/bin/karman /opt/karman/releases/r1/bin/karmand
            put /etc/karman/node.yaml: file 644 root:root
            put /etc/karman/tls/ca.pem: file 644 root:karman
            put /etc/karman/tls/node.key: file 640 root:karman
            put /etc/karman/tls/node.pem: file 644 root:karman
            put /etc/sysctl.d/90-karman.conf: file 644 root:root
            put /etc/systemd/system/karman-agent.service: file 644 root:root
            put /etc/systemd/system/karman-net.service: file 644 root:root
            put /etc/systemd/system/karman.target: file 644 root:root
            put /opt/karman/releases/r1/etc/karman.yaml: file 640 root:karman
            put /opt/karman/releases/r1/manifest.json: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-agent.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-catalog.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-etcd.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-gateway.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-master.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-net.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman-orchestrator.service: file 644 root:root
            put /opt/karman/releases/r1/systemd/karman.target: file 644 root:root
            put /etc/systemd/system/karman.target.wants/karman-agent.service: link to /etc/systemd/system/karman-agent.service
            put /etc/systemd/system/karman.target.wants/karman-net.service: link to /etc/systemd/system/karman-net.service
            put /etc/systemd/system/multi-user.target.wants/karman.target: link to /etc/systemd/system/karman.target
            put /opt/karman/current: link to releases/r1
            set vm.swappiness to 1
            reload systemd
            start karman-net.service
            start karman-agent.service
            start karman.target
            await karman-net.service
            await karman-agent.service
            await karman.target
            put /etc/resolv.conf: file 644 root:root
        "#]],
    );
    machine.carry_out(&agent, None);
    check(&machine, &agent, expect![""]);
    check(
        &machine,
        &Wanted::default(),
        expect![[r#"
            restore /etc/resolv.conf
            stop karman.target
            stop karman-agent.service
            stop karman-net.service
            end tasks
            drop the addresses of the name server
            remove /etc/systemd/system/multi-user.target.wants/karman.target
            remove /etc/systemd/system/multi-user.target.wants
            remove /etc/systemd/system/karman.target.wants/karman-net.service
            remove /etc/systemd/system/karman.target.wants/karman-agent.service
            remove /etc/systemd/system/karman.target.wants
            remove /etc/systemd/system/karman.target
            remove /etc/systemd/system/karman-net.service
            remove /etc/systemd/system/karman-agent.service
            remove /etc/sysctl.d/90-karman.conf
            reload systemd
            set vm.swappiness back to 60
            remove user karman-net
            remove group karman
            remove all of /etc/karman
            remove all of /var/lib/karman
            remove all of /opt/karman
        "#]],
    );
    machine.carry_out(&Wanted::default(), None);
    assert_eq!(machine, Machine::bare());
}

#[test]
fn another_configuration_restarts_what_reads_it() {
    let mut machine = Machine::bare();
    let mut order = order(Role::Agent, &["10.0.0.1"]);
    machine.carry_out(&wanted(&order), None);
    order.release = "r2".into();
    order.cluster_yaml.push_str("log: {level: debug}\n");
    check(
        &machine,
        &wanted(&order),
        expect![[r#"
            put /opt/karman/releases/r2: folder 755 root:root
            put /opt/karman/releases/r2/bin: folder 755 root:root
            put /opt/karman/releases/r2/etc: folder 755 root:root
            put /opt/karman/releases/r2/systemd: folder 755 root:root
            unpack /opt/karman/releases/r2/bin/etcd /opt/karman/releases/r2/bin/karman /opt/karman/releases/r2/bin/karmand
            put /opt/karman/releases/r2/etc/karman.yaml: file 640 root:karman
            put /opt/karman/releases/r2/manifest.json: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-agent.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-catalog.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-etcd.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-gateway.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-master.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-net.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman-orchestrator.service: file 644 root:root
            put /opt/karman/releases/r2/systemd/karman.target: file 644 root:root
            put /opt/karman/current: link to releases/r2
            start karman-net.service
            start karman-agent.service
            await karman-net.service
            await karman-agent.service
        "#]],
    );
    let mut before = machine.clone();
    machine.carry_out(&wanted(&order), None);
    order.dns_search.push("example".into());
    check(
        &machine,
        &wanted(&order),
        expect![[r#"
        put /etc/resolv.conf: file 644 root:root
    "#]],
    );
    before.0.units.insert("karman-agent.service".into(), Activity::Inactive);
    order = crate::layout::tests::order(Role::Agent, &["10.0.0.1"]);
    check(
        &before,
        &wanted(&order),
        expect![[r#"
        start karman-agent.service
        await karman-agent.service
    "#]],
    );
}

#[test]
fn one_release_before_the_present_one_is_kept() {
    let mut machine = Machine::bare();
    let agent = wanted(&order(Role::Agent, &["10.0.0.1"]));
    machine.carry_out(&agent, None);
    machine.0.releases = ["r1", "r0", "old"].map(str::to_owned).into();
    machine.0.record.before = Some("r0".into());
    check(
        &machine,
        &agent,
        expect![[r#"
        remove all of /opt/karman/releases/old
    "#]],
    );
    machine.carry_out(&agent, None);
    check(&machine, &agent, expect![""]);
}

#[test]
fn what_the_machine_had_is_kept_for_it() {
    let mut machine = Machine::bare();
    machine.0.users.insert("karman-net".into());
    machine.0.groups.insert("karman".into());
    let theirs = Found::File { rights: Rights::root(0o600), sha256: "theirs".into() };
    machine.0.found.insert("/etc/sysctl.d/90-karman.conf".into(), theirs);
    let before = machine.clone();
    machine.carry_out(&three_masters(Role::Master), None);
    assert_ne!(machine, before);
    machine.carry_out(&Wanted::default(), None);
    assert_eq!(machine, before);
}

#[test]
fn a_setting_that_the_machine_refuses_is_not_tried_again() {
    let mut machine = Machine::bare();
    let agent = three_masters(Role::Agent);
    machine.carry_out(&agent, None);
    machine.0.record.refused("vm.swappiness");
    machine.0.sysctl.insert("vm.swappiness".into(), "60".into());
    check(&machine, &agent, expect![""]);
    machine.carry_out(&Wanted::default(), None);
    machine.0.record.sysctl.clear();
    assert_eq!(machine, Machine::bare());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However often and wherever it is interrupted, in the end the machine is
    /// as wanted, and afterwards as it was.
    #[test]
    fn every_interruption_can_be_continued(
        role in prop::sample::select(vec![Role::Master, Role::Agent, Role::PublicAgent]),
        crashes in prop::collection::vec((1_usize..160, any::<bool>()), 0..6),
    ) {
        let mut machine = Machine::bare();
        let (all, nothing) = (three_masters(role), Wanted::default());
        for (crash, up) in crashes {
            machine.carry_out(if up { &all } else { &nothing }, Some(crash));
        }
        machine.carry_out(&all, None);
        prop_assert_eq!(plan(&machine.0, &all), vec![]);
        machine.carry_out(&nothing, None);
        prop_assert_eq!(plan(&machine.0, &nothing), vec![]);
        prop_assert_eq!(machine, Machine::bare());
    }
}
