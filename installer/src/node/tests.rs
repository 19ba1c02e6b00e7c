use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::*;
use crate::layout::{INSTALLER, Order, RESOLV_CONF, certificates};
use crate::payload::{Payload, pack};
use crate::plan::Role;
use crate::release::Manifest;

/// A folder that looks like a small machine; none where users cannot be made.
fn root() -> Option<tempfile::TempDir> {
    let tools = ["/usr/sbin/useradd", "/usr/sbin/groupadd"];
    if !rustix::process::geteuid().is_root() || !tools.iter().all(|tool| Path::new(tool).exists()) {
        eprintln!("SKIPPED: needs root and useradd");
        assert!(std::env::var_os("CI").is_none());
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/shadow", "root:*:19000:0:99999:7:::\n"),
        ("etc/gshadow", "root:*::\n"),
        ("etc/login.defs", "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n"),
        ("etc/sysctl.d/10-other.conf", "kernel.panic = 1\n"),
        ("run/resolv.conf", "nameserver 192.0.2.1\n"),
        ("etc/systemd/system/multi-user.target.wants/ssh.service", "theirs\n"),
    ];
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    fs::create_dir_all(root.path().join("opt")).unwrap();
    std::os::unix::fs::symlink("../run/resolv.conf", root.path().join("etc/resolv.conf")).unwrap();
    Some(root)
}

/// Every path with its rights and content, without the copies that the tools
/// for accounts keep of their files.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let what = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if metadata.is_dir() {
                folders.push(path);
                String::new()
            } else {
                fs::read_to_string(&path).unwrap()
            };
            let mode = metadata.permissions().mode();
            tree.insert(name, format!("{mode:o} {}:{} {what}", metadata.uid(), metadata.gid()));
        }
    }
    let copies = ["etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"];
    tree.retain(|path, _| !copies.contains(&path.as_str()) && !path.ends_with(".lock"));
    tree
}

fn payload(folder: &Path) -> Payload {
    let bare = crate::payload::tests::programs(folder);
    let packed = folder.join("packed");
    pack(&bare, folder, folder, &packed).unwrap();
    Payload::open(&packed).unwrap()
}

fn order(role: Role, payload: &Payload) -> Order {
    let order = crate::layout::tests::order(role, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let release = Manifest::new(&payload.items, &order.cluster_yaml).id();
    Order { release, ..order }
}

fn keys_for(machine: &Machine, order: &Order) {
    let names: Vec<String> =
        certificates(order.role, order.store).iter().map(|name| (*name).to_owned()).collect();
    let first = keys::requests(machine, &names).unwrap();
    assert_eq!(first, keys::requests(machine, &names).unwrap(), "a key is made once");
}

fn apply_all(machine: &Machine, order: &Order, payload: &Payload) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    apply::apply_with(machine, order, payload.clone(), &mut |event| events.push(event))?;
    Ok(events)
}

#[test]
fn a_machine_is_made_and_left_as_it_was() {
    let Some(root) = root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let payload = payload(folder.path());
    let machine = Machine::new(root.path().to_owned());
    let before = tree(root.path());
    for role in [Role::Master, Role::PublicAgent] {
        let order = order(role, &payload);
        keys_for(&machine, &order);
        let steps = apply_all(&machine, &order, &payload).unwrap().len();
        assert!(steps > 30, "{steps}");
        assert_eq!(apply_all(&machine, &order, &payload).unwrap(), [], "nothing is left to do");
        let current = fs::canonicalize(root.path().join("opt/karman/current/bin/karmand")).unwrap();
        assert_eq!(current.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let key = root.path().join("etc/karman/tls/node.key").metadata().unwrap();
        let karman = machine.groups()["karman"];
        assert_eq!((key.permissions().mode() & 0o777, key.gid()), (0o640, karman));
        let text = machine.text(RESOLV_CONF);
        assert!(text.contains("198.51.100.1") && text.contains("192.0.2.1"), "{text}");
        let health = health::look(&machine).unwrap();
        assert_eq!(health.installed.unwrap().role, role);
        apply::remove(&machine, &mut |_| ()).unwrap();
        let after = tree(root.path());
        let differ: Vec<_> =
            before.iter().filter(|(path, what)| after.get(*path) != Some(what)).collect();
        assert!(differ.is_empty(), "{differ:#?}");
        let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
        assert!(new.is_empty(), "{new:#?}");
    }
    assert_eq!(apply::remove(&machine, &mut |_| ()).unwrap(), Applied { steps: 0 });
}

#[test]
fn a_machine_of_somebody_else_is_not_touched() {
    let Some(root) = root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let payload = payload(folder.path());
    let machine = Machine::new(root.path().to_owned());
    let mine = order(Role::Agent, &payload);
    fs::create_dir_all(root.path().join("etc/karman")).unwrap();
    fs::write(root.path().join("etc/karman/credentials"), "a b\n").unwrap();
    let refused = apply_all(&machine, &mine, &payload).unwrap_err();
    assert!(format!("{refused:#}").contains("/etc/karman is there"), "{refused:#}");
    fs::remove_dir_all(root.path().join("etc/karman")).unwrap();

    keys_for(&machine, &mine);
    apply_all(&machine, &mine, &payload).unwrap();
    let theirs = Order { cluster_id: "other".into(), ..mine.clone() };
    let refused = apply_all(&machine, &theirs, &payload).unwrap_err();
    assert!(format!("{refused:#}").contains("belongs to the cluster 'test'"), "{refused:#}");
    let stale = Order { cluster_yaml: "a: 1\n".into(), ..mine.clone() };
    let refused = apply_all(&machine, &stale, &payload).unwrap_err();
    assert!(format!("{refused:#}").contains("is wanted"), "{refused:#}");
    let _held = state::lock(&machine).unwrap();
    let refused = apply_all(&machine, &mine, &payload).unwrap_err();
    assert!(format!("{refused:#}").contains("another installer"), "{refused:#}");
}

/// Breaks off after each step in turn; the next run completes the machine.
#[test]
fn an_interrupted_run_is_continued() {
    let Some(root) = root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let payload = payload(folder.path());
    let machine = Machine::new(root.path().to_owned());
    let order = order(Role::Agent, &payload);
    let before = tree(root.path());
    for stop in (1..60).step_by(19) {
        keys_for(&machine, &order);
        let broken = std::panic::catch_unwind(|| {
            let mut tell = |event: Event| match event {
                Event::Step { number, .. } if number == stop => panic!("the power fails"),
                _ => {}
            };
            drop(apply::apply_with(&machine, &order, payload.clone(), &mut tell));
        });
        let whole = apply_all(&machine, &order, &payload).unwrap();
        assert!(broken.is_ok() || !whole.is_empty(), "{stop}");
        assert_eq!(apply_all(&machine, &order, &payload).unwrap(), []);
        apply::remove(&machine, &mut |_| ()).unwrap();
        assert_eq!(tree(root.path()), before, "{stop}");
    }
    assert!(!machine.path(INSTALLER).exists());
}

#[test]
fn facts_of_this_machine() {
    let machine = Machine::new("/".into());
    let ask = facts::Ask {
        ip_detect: Some("#!/bin/sh\necho 10.0.0.7\n".into()),
        fault_domain_detect: Some(
            "#!/bin/sh\necho '{\"fault_domain\":{\"region\":{\"name\":\"eu\"},\"zone\":{\"name\":\"a\"}}}'".into(),
        ),
    };
    let facts = facts::gather(&machine, &ask).unwrap();
    assert!(facts.memory_bytes > 1 << 20 && facts.cpus > 0 && facts.clock_ms > 0);
    assert_eq!(facts.detected_address, Some("10.0.0.7".parse().unwrap()));
    assert_eq!(facts.detected_fault_domain.as_deref(), Some("eu/a"));
    let ask = facts::Ask { ip_detect: Some("#!/bin/sh\nexit 3\n".into()), ..facts::Ask::default() };
    assert!(facts::gather(&machine, &ask).unwrap_err().to_string().contains("ip_detect failed"));
}

#[test]
fn who_refuses_was_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    assert!(reach::unreachable(&[at]).is_empty());
    drop(listener);
    assert!(reach::unreachable(&[at]).is_empty());
}
