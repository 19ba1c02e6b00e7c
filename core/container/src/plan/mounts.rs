//! What is put where in a container's tree. Pure.

use std::path::{Path, PathBuf};

use super::{Filesystem, Step};
use crate::spec::{
    Device, Devices, Kind, Mount, MountOption, Namespace, Root, Source, Spec, standard,
};

use MountOption::{NoDev, NoExec, NoSuid};

/// What processes share by `/dev/shm` where nobody says how much: as Docker.
const SHM_BYTES: u64 = 64 << 20;

/// The folder of devices holds nothing else.
const DEV_BYTES: u64 = 64 << 10;
const DEV_MODE: u32 = 0o755;

/// Like `/tmp`: anybody's, and everybody only his own.
const SHARED_MODE: u32 = 0o1777;

/// What tells of the machine or of other containers.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What changes the machine when it is written.
const SEALED: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Of the kernel's own: what every container has, then what this one wants.
pub(super) fn all(spec: &Spec) -> Vec<Mount> {
    let wanted = |mount: &Mount| spec.mounts.iter().any(|own| own.target == mount.target);
    let mut all: Vec<Mount> = usual(spec).into_iter().filter(|mount| !wanted(mount)).collect();
    all.extend(spec.mounts.iter().cloned());
    all
}

fn usual(spec: &Spec) -> Vec<Mount> {
    let mut all = Vec::new();
    if matches!(spec.root, Root::Image { .. }) {
        let source = Source::Tmpfs { bytes: Some(DEV_BYTES), mode: DEV_MODE };
        all.push(mount(source, "/dev", false, &[NoSuid, NoExec]));
    }
    all.push(mount(Source::Proc, "/proc", false, &[NoSuid, NoDev, NoExec]));
    all.push(mount(Source::Sys, "/sys", spec.kernel_masked, &[NoSuid, NoDev, NoExec]));
    all.extend(groups(spec));
    all.push(mount(Source::Devpts, "/dev/pts", false, &[NoSuid, NoExec]));
    match spec.namespaces.ipc {
        Namespace::Own => {
            let shm = Source::Shm { bytes: Some(SHM_BYTES) };
            all.push(mount(shm, "/dev/shm", false, &[NoSuid, NoDev, NoExec]));
            all.push(mount(Source::Mqueue, "/dev/mqueue", false, &[NoSuid, NoDev, NoExec]));
        }
        // That of whom the memory is shared with, whose tree this may not be.
        Namespace::Shared | Namespace::Join(_) => {}
    }
    all
}

/// Programs look for their limits there; they see their own group only.
fn groups(spec: &Spec) -> Vec<Mount> {
    let Some(group) = &spec.group else { return Vec::new() };
    let own = |folder: &Path, at: PathBuf| {
        mount(Source::Bind(folder.to_owned()), at, true, &[NoSuid, NoDev, NoExec])
    };
    let place = Path::new("/sys/fs/cgroup");
    if group.unified {
        return vec![own(&group.memory, place.to_owned())];
    }
    let source = Source::Tmpfs { bytes: Some(DEV_BYTES), mode: DEV_MODE };
    let mut all = vec![mount(source, place, false, &[NoSuid, NoDev, NoExec])];
    let shown = [("cpu", &group.cpu), ("cpuacct", &group.cpuacct), ("memory", &group.memory)];
    all.extend(shown.map(|(name, folder)| own(folder, place.join(name))));
    all.extend(group.pids.iter().map(|folder| own(folder, place.join("pids"))));
    all
}

fn mount(
    source: Source,
    target: impl Into<PathBuf>,
    read_only: bool,
    options: &[MountOption],
) -> Mount {
    Mount { source, target: target.into(), read_only, recursive: false, options: options.to_vec() }
}

/// What is below another hidden folder is hidden with it; what is made there
/// leads to mounts of the container's, which stay as they are.
pub(super) fn hidden(spec: &Spec) -> impl Iterator<Item = &PathBuf> {
    let below = |path: &PathBuf, other: &PathBuf| path != other && path.starts_with(other);
    spec.hidden
        .iter()
        .enumerate()
        .filter(move |(at, path)| {
            let said_before = spec.hidden.iter().take(*at).any(|other| other == *path);
            !said_before && !spec.hidden.iter().any(|other| below(path, other))
        })
        .map(|(_, path)| path)
}

/// Everything that comes from the machine.
pub(super) fn take(mounts: &[Mount]) -> impl Iterator<Item = Step> {
    let of_machine = mounts.iter().filter(|mount| filesystem(&mount.source).is_none());
    of_machine.enumerate().map(|(slot, mount)| Step::Take {
        slot,
        source: mount.source.clone(),
        recursive: mount.recursive,
    })
}

/// Everything in its place, with the devices as soon as their folder is there.
pub(super) fn put(spec: &Spec, mounts: &[Mount]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut slot = 0;
    let mut ours: Vec<&Path> = spec.hidden.iter().map(PathBuf::as_path).collect();
    for mount in mounts {
        let Mount { source, target, read_only, recursive: _, options } = mount;
        let (at, read_only, options) = (target.clone(), *read_only, options.clone());
        // Nothing is made in the machine's own tree.
        let make = spec.root != Root::Host || ours.iter().any(|above| target.starts_with(above));
        ours.push(target);
        if let Some(what) = filesystem(source) {
            // Of the usual ones a machine may lack some.
            let optional = !spec.mounts.contains(mount) && *source != Source::Proc;
            steps.push(Step::Mount { what, at, read_only, options, make, optional });
        } else {
            steps.push(Step::Put { slot, at, read_only, options, make });
            slot += 1;
        }
        // Never into a folder of the machine's.
        if target == Path::new("/dev") && filesystem(source).is_some() {
            steps.extend(devices(spec));
        }
    }
    steps
}

fn filesystem(source: &Source) -> Option<Filesystem> {
    match source {
        Source::Bind(_) | Source::Below { .. } | Source::Image(_) => None,
        Source::Tmpfs { bytes, mode } => Some(Filesystem::Tmpfs { bytes: *bytes, mode: *mode }),
        Source::Shm { bytes } => Some(Filesystem::Tmpfs { bytes: *bytes, mode: SHARED_MODE }),
        Source::Proc => Some(Filesystem::Proc),
        Source::Sys => Some(Filesystem::Sys),
        Source::Devpts => Some(Filesystem::Devpts),
        Source::Mqueue => Some(Filesystem::Mqueue),
    }
}

fn devices(spec: &Spec) -> Vec<Step> {
    let mut steps: Vec<Step> = standard().into_iter().map(Step::Device).collect();
    steps.extend(special(spec).iter().cloned().map(Step::Device));
    let links = [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ];
    steps.extend(links.map(|(at, to)| Step::Link { at: at.into(), to: to.into() }));
    steps
}

/// What this container has beyond the usual.
fn special(spec: &Spec) -> &[Device] {
    match &spec.devices {
        Devices::All => &[],
        Devices::Only(devices) => devices,
    }
}

/// Last, because nothing can be put into what is sealed.
pub(super) fn protect(spec: &Spec) -> Vec<Step> {
    let mut steps = Vec::new();
    if spec.kernel_masked {
        steps.extend(MASKED.map(|path| Step::Mask(path.into())));
        steps.extend(SEALED.map(|path| Step::Seal(path.into())));
    }
    if spec.group.as_ref().is_some_and(|group| !group.unified) {
        steps.push(Step::Seal("/sys/fs/cgroup".into()));
    }
    steps.extend(hidden(spec).cloned().map(Step::Seal));
    if let Root::Image { read_only: true, .. } = &spec.root {
        steps.push(Step::Seal("/".into()));
    }
    steps
}

/// Those that the kernel lets a container use.
pub fn allowed(spec: &Spec) -> Option<Vec<Device>> {
    let Devices::Only(own) = &spec.devices else { return None };
    let mut all = standard();
    // The master side of terminals, and their other sides.
    let terminal = |path: &str, major, minor| Device {
        path: path.into(),
        kind: Kind::Character,
        major,
        minor,
        mode: 0o666,
        access: crate::spec::Access::ALL,
    };
    all.push(terminal("/dev/ptmx", 5, 2));
    all.extend((136..=143).map(|major| terminal("/dev/pts", major, ANY)));
    all.extend(own.iter().cloned());
    Some(all)
}

/// Every minor number.
pub const ANY: u32 = u32::MAX;
