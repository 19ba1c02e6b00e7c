//! Tasks that try to get out of their containers, as the superuser inside, and
//! tasks that take what is not theirs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use karman_agent::cgroup::{Group, Limits};
use karman_agent::shim::records::{Cause, Launch};
use karman_container::spec::Namespace;

use crate::container::{image, isolated, limited};
use crate::shim::{Run, hierarchy};
use crate::support::{eventually, is_root, runs};

const MEMORY_BYTES: u64 = 64 << 20;

/// Runs `attempt` on the machine's files and in an image, each in a limited
/// container; what it says, and the group that it had.
fn both(name: &str, attempt: &str, check: impl Fn(&Run, &str)) {
    if !is_root() || hierarchy().is_none() {
        return;
    }
    for kind in ["host", "image"] {
        let run = isolated(attempt, |launch| {
            if kind == "image" {
                image(launch, |_| {});
            }
            let limits = Limits {
                cpu_shares: 1024,
                memory_bytes: Some(MEMORY_BYTES),
                pids: Some(64),
                ..Limits::default()
            };
            limited(launch, &format!("{name}-{kind}"), limits);
        });
        let exit = run.run();
        let said = format!("{}{}", run.output("stdout"), run.output("stderr"));
        assert!(matches!(exit.cause, Cause::Status(_)), "{kind}: {exit:?} {said}");
        check(&run, &said);
    }
}

#[test]
fn limits_cannot_be_changed_from_inside() {
    let attempt = "\
        for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max \
                 /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.shares; do \
          [ -e $f ] || continue; (echo 999999999 > $f) && echo ESCAPED $f; done; \
        for d in memory cpu .; do mkdir /sys/fs/cgroup/$d/mine && echo ESCAPED $d; done; \
        (echo 0 > /sys/fs/cgroup/memory/../cgroup.procs) && echo ESCAPED; \
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; true";
    both("limits", attempt, |_, said| {
        assert!(!said.contains("ESCAPED"), "{said}");
        assert!(said.contains(&MEMORY_BYTES.to_string()), "{said}");
    });
}

#[test]
fn nothing_can_be_mounted_or_made_visible() {
    let attempt = "\
        mount -t tmpfs none /tmp && echo ESCAPED tmpfs; \
        mount -t proc none /proc && echo ESCAPED proc; \
        mount -o remount,rw /sys && echo ESCAPED sys; \
        mount -o bind / /tmp && echo ESCAPED bind; \
        umount /proc && echo ESCAPED umount; \
        umount -l /sys && echo ESCAPED lazy; true";
    both("mounts", attempt, |_, said| assert!(!said.contains("ESCAPED"), "{said}"));
}

#[test]
fn the_machine_cannot_be_told_what_to_do() {
    let attempt = "\
        (echo h > /proc/sysrq-trigger) && echo ESCAPED sysrq; \
        (echo '|/bin/evil' > /proc/sys/kernel/core_pattern) && echo ESCAPED core; \
        (echo /bin/evil > /proc/sys/kernel/modprobe) && echo ESCAPED modprobe; \
        (echo 1 > /sys/kernel/uevent_helper) && echo ESCAPED uevent; \
        head -c 10 /proc/kcore | grep -q . && echo ESCAPED kcore; \
        ls /sys/firmware | grep -q . && echo ESCAPED firmware; true";
    both("machine", attempt, |_, said| assert!(!said.contains("ESCAPED"), "{said}"));
}

#[test]
fn disks_cannot_be_reached() {
    let disk = fs::read_dir("/sys/class/block").unwrap().flatten().find_map(|entry| {
        fs::read_to_string(entry.path().join("dev")).ok().map(|number| number.trim().to_owned())
    });
    let Some(disk) = disk else { return };
    let (major, minor) = disk.split_once(':').unwrap();
    let attempt = format!(
        "PATH=$PATH:/usr/sbin:/sbin; mknod disk b {major} {minor} && echo ESCAPED mknod; \
         head -c 1 disk && echo ESCAPED read; \
         for d in /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmsg; do \
           [ -e $d ] && head -c 1 $d > /dev/null && echo ESCAPED $d; done; \
         head -c 1 /dev/zero > /dev/null && echo zero; echo null > /dev/null && echo null"
    );
    both("disks", &attempt, |_, said| {
        assert!(!said.contains("ESCAPED"), "{said}");
        assert!(said.contains("zero\n") && said.contains("null\n"), "{said}");
    });
}

#[test]
fn neighbours_are_out_of_reach() {
    if !is_root() {
        return;
    }
    let mut neighbour = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let pid = neighbour.id();
    let attempt = format!(
        "kill -9 {pid} && echo ESCAPED kill; cat /proc/{pid}/environ && echo ESCAPED environ; \
         ls /proc/1/root/ && echo ESCAPED root; readlink /proc/1/fd/0 && echo ESCAPED fd; \
         cat /proc/1/environ && echo ESCAPED init; cat /proc/1/maps | grep . && echo ESCAPED maps; \
         kill -9 1; true"
    );
    both("neighbours", &attempt, |_, said| assert!(!said.contains("ESCAPED"), "{said}"));
    assert!(runs(pid));
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
}

#[test]
fn no_namespace_of_ones_own_makes_a_superuser() {
    let attempt = "PATH=$PATH:/usr/sbin:/sbin; unshare -U true && echo ESCAPED user; \
        unshare -m true && echo ESCAPED mount; \
        nsenter -t 1 -m true && echo ESCAPED nsenter; true";
    both("namespaces", attempt, |_, said| assert!(!said.contains("ESCAPED"), "{said}"));
}

#[test]
fn a_change_of_root_does_not_lead_out_of_an_image() {
    if !is_root() {
        return;
    }
    let marker = tempfile::Builder::new().prefix("karman-marker").tempdir_in("/var/tmp").unwrap();
    let name = marker.path().file_name().unwrap().to_str().unwrap();
    let attempt = format!(
        "mkdir -p deep/bin; cp /bin/* deep/bin/; cp -r /lib* deep/ ; exec 3< /; \
         chroot deep sh -c 'cd /proc/self/fd/3; cd ../../../../../../..; ls; ls var/tmp; cd ../../../../var/tmp && ls'; \
         ls /../../../var/tmp/{name} && echo ESCAPED; cd /; cd ../../..; ls var/tmp"
    );
    let run = isolated(&attempt, |launch| image(launch, |_| {}));
    run.run();
    let said = run.output("stdout");
    assert!(!said.contains(name) && !said.contains("ESCAPED"), "{said}");
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_ends_when_told() {
    let Some(hierarchy) = hierarchy().filter(|_| is_root()) else { return };
    let group = hierarchy.group("karman-test-container", "bomb");
    let Some(pids) = group.pids.clone() else { return };
    let run = isolated("bomb() { bomb | bomb & }; bomb; sleep 1000", |launch: &mut Launch| {
        limited(launch, "bomb", Limits { cpu_shares: 2, pids: Some(40), ..Limits::default() });
    });
    let mut shim = run.start();
    run.running();
    let failed = pids.join("pids.events");
    eventually(|| {
        let events = fs::read_to_string(&failed).unwrap_or_default();
        if events.contains("max 0") || events.is_empty() { Err(events) } else { Ok(()) }
    });
    assert!(group.processes().len() <= 40);
    run.kill(0);
    shim.wait().unwrap();
    assert!(group_is_gone(&group));
}

fn group_is_gone(group: &Group) -> bool {
    !group.memory.exists() && !group.cpu.exists()
}

#[test]
fn memory_that_is_hidden_in_files_counts() {
    let Some(_) = hierarchy().filter(|_| is_root()) else { return };
    let run = isolated(
        "head -c 200000000 /dev/zero > /dev/shm/bomb; echo survived; sleep 1000",
        |launch| {
            let limits = Limits {
                cpu_shares: 1024,
                memory_bytes: Some(32 << 20),
                swap_bytes: Some(0),
                ..Limits::default()
            };
            limited(launch, "files", limits);
            launch.spec.mounts.push(karman_container::spec::Mount {
                source: karman_container::spec::Source::Shm { bytes: None },
                target: "/dev/shm".into(),
                read_only: false,
                recursive: false,
                options: Vec::new(),
            });
        },
    );
    let exit = run.run();
    assert!(exit.out_of_memory, "{exit:?} {}", run.output("stdout"));
}

#[test]
fn orphans_inside_leave_no_zombies() {
    if !is_root() {
        return;
    }
    let run = isolated(
        "i=0; while [ $i -lt 30 ]; do (sleep 0.01 &) ; i=$((i+1)); done; \
         while ps -e 2>/dev/null | grep -q 'sleep$'; do :; done; \
         cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '; true",
        |launch| assert_eq!(launch.spec.namespaces.pid, Namespace::Own),
    );
    let exit = run.run();
    assert_eq!(exit.cause, Cause::Status(0), "{}", run.output("stderr"));
    assert_eq!(run.output("stdout").trim(), "0");
}

#[test]
fn output_does_not_go_where_a_link_leads() {
    let victim = tempfile::NamedTempFile::new().unwrap();
    for make in [make_link as fn(&Path, &Path), make_second_name] {
        let run = Run::with("echo overwritten", |launch| {
            make(victim.path(), &launch.sandbox.join("stdout"));
        });
        let Cause::NotStarted(reason) = run.run().cause else { panic!("it started") };
        assert!(reason.contains("stdout"), "{reason}");
    }
    assert_eq!(fs::read(victim.path()).unwrap(), b"");
}

fn make_link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

fn make_second_name(to: &Path, at: &Path) {
    fs::hard_link(to, at).unwrap();
}
