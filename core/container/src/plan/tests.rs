use std::path::PathBuf;

use expect_test::{ExpectFile, expect_file};

use super::*;
use crate::cgroup::{Hierarchy, Limits};
use crate::process::Identity;
use crate::spec::{
    Access, Capabilities, Capability, Device, Devices, Kind as DeviceKind, Mount, MountOption,
    Process, Resource, Rlimit, Root, Seccomp, Size, Source, User,
};

fn process() -> Process {
    Process {
        program: "/bin/sh".into(),
        arguments: vec!["sh".into()],
        environment: Vec::new(),
        directory: "/mnt/mesos/sandbox".into(),
        terminal: None,
    }
}

fn bind(from: &str, to: &str, read_only: bool) -> Mount {
    Mount {
        source: Source::Bind(from.into()),
        target: to.into(),
        read_only,
        recursive: false,
        options: vec![MountOption::NoSuid],
    }
}

fn text(spec: &Spec) -> String {
    let Plan { joins, makes, setup, process } = plan(spec).unwrap();
    let mut text = format!("joins {joins:?}\nmakes {makes:?}\n\nsetup\n");
    for step in setup {
        text.push_str(&format!("  {step}\n"));
    }
    text.push_str("\nprocess\n");
    for step in process {
        text.push_str(&format!("  {step}\n"));
    }
    text
}

#[track_caller]
fn check(spec: &Spec, golden: &ExpectFile) {
    golden.assert_eq(&text(spec));
}

#[test]
fn a_process_without_a_container() {
    let spec = Spec { user: User::Named("nobody".into()), ..Spec::plain(process()) };
    check(&spec, &expect_file!["golden/plain.txt"]);
}

#[test]
fn a_task_on_the_machines_files() {
    let v1 = "cgroup /cg/cpu cgroup rw,cpu 0 0\ncgroup /cg/memory cgroup rw,memory 0 0\n";
    let spec = Spec {
        mounts: vec![bind("/work/sandboxes/one", "/work/sandboxes/one", false)],
        hidden: vec!["/work".into(), "/etc/karman".into()],
        group: Hierarchy::detect(v1).map(|hierarchy| hierarchy.group("a", "c")),
        limits: Some(Limits::default()),
        ..Spec::isolated(process())
    };
    check(&spec, &expect_file!["golden/host.txt"]);
}

#[test]
fn an_image_with_everything() {
    let mut spec = Spec::isolated(process());
    spec.process.terminal = Some(Size::default());
    spec.root = Root::Image {
        lower: vec!["/layers/top".into(), "/layers/base".into()],
        upper: "/runs/one/upper".into(),
        work: "/runs/one/work".into(),
        read_only: true,
    };
    spec.user = User::Named("web:logs".into());
    spec.mounts = vec![
        Mount { source: Source::Shm { bytes: Some(1 << 30) }, ..bind("", "/dev/shm", false) },
        bind("/runs/one/sandbox", "/mnt/mesos/sandbox", false),
        Mount {
            source: Source::Below { folder: "/volumes/v".into(), path: "data".into() },
            recursive: true,
            ..bind("", "/data", true)
        },
        Mount { source: Source::Image(vec!["/a".into(), "/b".into()]), ..bind("", "/image", true) },
    ];
    spec.namespaces.network = Network::Own;
    spec.hostname = Some("web-1".into());
    spec.capabilities = Capabilities::Set {
        effective: Some([Capability::named("net_raw").unwrap()].into()),
        bounding: [Capability::named("CAP_NET_RAW").unwrap()].into(),
    };
    spec.no_new_privileges = true;
    spec.rlimits = vec![Rlimit { resource: Resource::OpenFiles, soft: Some(1024), hard: None }];
    spec.devices = Devices::Only(vec![Device {
        path: "/dev/gpu0".into(),
        kind: DeviceKind::Character,
        major: 195,
        minor: 0,
        mode: 0o660,
        access: Access::USE,
    }]);
    let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    spec.group = Hierarchy::detect(v2).map(|hierarchy| hierarchy.group("a", "c"));
    check(&spec, &expect_file!["golden/image.txt"]);
}

#[test]
fn a_session_in_a_container() {
    let init = Identity { pid: 7, started: 77 };
    let spec = Spec::inside(init, process(), None);
    check(&spec, &expect_file!["golden/session.txt"]);
}

#[test]
fn whoever_may_do_everything_keeps_everything() {
    let spec = Spec {
        capabilities: Capabilities::Unchanged,
        seccomp: Seccomp::Unconfined,
        kernel_masked: false,
        devices: Devices::All,
        ..Spec::isolated(process())
    };
    check(&spec, &expect_file!["golden/privileged.txt"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let target = |target: &str| Spec {
        mounts: vec![bind("/a", target, false)],
        ..Spec::isolated(process())
    };
    let path = |path: &str| Error::Path { path: PathBuf::from(path) };
    let kernel = |path: &str| Error::Kernel { path: PathBuf::from(path) };
    let plain = Spec::plain(process());
    let image =
        Root::Image { lower: Vec::new(), upper: "/u".into(), work: "/w".into(), read_only: false };
    let mut nul = Spec::plain(process());
    nul.process.arguments.push("a\0b".into());
    for (spec, error) in [
        (target("relative"), path("relative")),
        (target("/a/../../b"), path("/a/../../b")),
        (target("/"), path("/")),
        (target("/a\0"), path("/a\0")),
        (target("/proc/self/fd/7"), kernel("/proc/self/fd/7")),
        (target("/sys/fs/cgroup"), kernel("/sys/fs/cgroup")),
        (Spec { root: image, ..Spec::isolated(process()) }, Error::Layers { layers: 0 }),
        (nul, Error::Nul),
        (
            Spec { hidden: vec!["/keys".into()], ..plain.clone() },
            Error::NeedsMounts { what: "hiding a folder" },
        ),
        (Spec { hostname: Some("a".into()), ..plain }, Error::Hostname { name: "a".into() }),
    ] {
        assert_eq!(plan(&spec), Err(error));
    }
}

#[test]
fn what_is_hidden_twice_is_hidden_once() {
    let hidden = ["/var/lib/karman", "/etc/karman", "/var/lib/karman/agent", "/etc/karman"];
    let spec = Spec { hidden: hidden.map(PathBuf::from).to_vec(), ..Spec::isolated(process()) };
    let steps = plan(&spec).unwrap().setup;
    let hides = steps.iter().filter(|step| matches!(step, Step::Hide(_))).count();
    let seals = steps.iter().filter(
        |step| matches!(step, Step::Seal(path) if path.to_string_lossy().contains("karman")),
    );
    assert_eq!((hides, seals.count()), (2, 2));
}
