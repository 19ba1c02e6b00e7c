//! Containers, by the shim: what they see, what they may, and what they leave.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use karman_agent::attach::frame::{self, Kind, SENDS_INPUT, WANTS_OUTPUT};
use karman_agent::cgroup::{Group, Limits};
use karman_agent::shim::console::{Attach, SOCKET};
use karman_agent::shim::records::{Cause, Exit, Launch};
use karman_container::Spec;
use karman_container::spec::{
    Capabilities, Capability, Mount, Network, Resource, Rlimit, Root, Size, Source, User,
};

use crate::shim::{Run, hierarchy};
use crate::support::{PATIENCE, eventually, is_root, runs};

/// A task like that of an agent with all rights.
pub(crate) fn isolated(command: &str, change: impl FnOnce(&mut Launch)) -> Run {
    let run = Run::with(command, |launch| {
        launch.spec = Spec::isolated(launch.spec.process.clone());
        change(launch);
    });
    fs::set_permissions(run.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    run
}

/// An image of one layer: the programs of this machine that are needed, and
/// what `change` makes of it.
pub(crate) fn image(launch: &mut Launch, change: impl FnOnce(&Path)) {
    let base = launch.sandbox.parent().unwrap().join("image");
    let (layer, upper, work) = (base.join("layer"), base.join("upper"), base.join("work"));
    for folder in [&layer, &upper, &work] {
        fs::create_dir_all(folder).unwrap();
    }
    let busybox = std::process::Command::new("sh").args(["-c", "command -v busybox"]).output();
    let path = busybox.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match path {
        Ok(path) if !path.is_empty() => {
            fs::create_dir(layer.join("bin")).unwrap();
            fs::copy(path, layer.join("bin/busybox")).unwrap();
            for name in [
                "sh", "cat", "id", "ls", "echo", "mount", "sleep", "touch", "pwd", "stat", "ps",
                "readlink", "hostname", "tty", "stty", "test", "head", "true", "grep", "mkdir",
            ] {
                std::os::unix::fs::symlink("busybox", layer.join("bin").join(name)).unwrap();
            }
        }
        _ => with_libraries(&layer),
    }
    change(&layer);
    launch.spec.root = Root::Image { lower: vec![layer], upper, work, read_only: false };
    launch.spec.process.directory = "/mnt/mesos/sandbox".into();
    launch.spec.mounts.push(bind(&launch.sandbox.clone(), "/mnt/mesos/sandbox"));
}

/// The shell and what it needs, from this machine.
fn with_libraries(layer: &Path) {
    let script = "set -e; mkdir -p $0/bin; for p in sh cat id ls echo mount sleep touch pwd stat ps readlink hostname tty stty test head true grep mkdir; do \
        f=$(PATH=/usr/bin:/bin:/usr/sbin:/sbin; command -v $p); f=$(readlink -f /usr/bin/$p || echo $f); cp $f $0/bin/$p; \
        for l in $(ldd $f | grep -o '/[^ ]*'); do mkdir -p $0$(dirname $l); cp -Ln $l $0$l; done; done";
    let made = std::process::Command::new("sh").arg("-c").arg(script).arg(layer).status().unwrap();
    assert!(made.success());
}

fn bind(from: &Path, to: &str) -> Mount {
    Mount {
        source: Source::Bind(from.to_owned()),
        target: to.into(),
        read_only: false,
        recursive: false,
        options: Vec::new(),
    }
}

/// A group of a container of this test.
pub(crate) fn limited(launch: &mut Launch, name: &str, limits: Limits) -> Option<Group> {
    let group = hierarchy()?.group("karman-test-container", name);
    launch.spec.group = Some(group.clone());
    launch.spec.limits = Some(limits);
    Some(group)
}

#[test]
fn a_task_sees_its_own_processes_only() {
    if !is_root() {
        return;
    }
    let run =
        isolated("ls /proc | grep -c '^[0-9]'; cat /proc/1/comm; kill -9 1; echo alive", |_| {});
    let exit = run.run();
    assert_eq!(exit.cause, Cause::Status(0), "{}", run.output("stderr"));
    let out = run.output("stdout");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].parse::<u32>().unwrap() <= 6, "{out}");
    assert_eq!(lines[1..], ["karman-init", "alive"], "{out}");
}

#[test]
fn a_kill_reaches_a_task_that_does_not_heed_signals_by_itself() {
    if !is_root() {
        return;
    }
    let run = isolated("exec sleep 1000", |_| {});
    let mut shim = run.start();
    let running = run.running();
    run.kill(60_000);
    shim.wait().unwrap();
    let exit: Exit = crate::shim::read(&run.dir.exit()).unwrap();
    // Not the 60 seconds: the first process of a container would not hear it.
    assert_eq!(exit.cause, Cause::Signal(15));
    assert!(!runs(running.init.unwrap().pid));
}

#[test]
fn what_is_hidden_stays_hidden_but_for_what_is_put_there() {
    if !is_root() {
        return;
    }
    let run = isolated(
        "cat ../keys/secret; ls ..; echo mine > here; umount ..; ls ..; cat ../keys/secret",
        |launch| {
            let folder = launch.sandbox.parent().unwrap().to_owned();
            fs::create_dir(folder.join("keys")).unwrap();
            fs::write(folder.join("keys/secret"), "the agent's key").unwrap();
            launch.spec.hidden = vec![folder];
            let sandbox = launch.sandbox.clone();
            launch.spec.mounts = vec![bind(&sandbox, sandbox.to_str().unwrap())];
        },
    );
    run.run();
    let out = run.output("stdout");
    assert!(!out.contains("key"), "{out}");
    assert_eq!(out, "sandbox\nsandbox\n");
    assert_eq!(run.output("here"), "mine\n");
}

#[test]
fn an_image_is_all_there_is() {
    if !is_root() {
        return;
    }
    let mut layer = None;
    let run = isolated(
        "ls /; id -u; id -G; pwd; hostname; echo $HOME; echo new > /made; cat /made; echo out > file; ls /dev; ls /.. | head -3; echo there >> /dev/stdout",
        |launch| {
            image(launch, |path| {
                fs::create_dir(path.join("etc")).unwrap();
                let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:\n";
                fs::write(path.join("etc/passwd"), passwd).unwrap();
                fs::write(path.join("etc/group"), "logs:x:50:web\n").unwrap();
                let anybody = fs::Permissions::from_mode(0o777);
                fs::set_permissions(path, anybody).unwrap();
                layer = Some(path.to_owned());
            });
            let upper = launch.sandbox.parent().unwrap().join("image/upper");
            fs::set_permissions(upper, fs::Permissions::from_mode(0o777)).unwrap();
            std::os::unix::fs::chown(&launch.sandbox, Some(33), None).unwrap();
            launch.spec.user = User::Named("web".into());
            launch.spec.hostname = Some("inside".into());
        },
    );
    let exit = run.run();
    assert_eq!(exit.cause, Cause::Status(0), "{}", run.output("stderr"));
    let out = run.output("stdout");
    assert!(out.contains("\n33\n34 50\n/mnt/mesos/sandbox\ninside\n/var/www\nnew\n"), "{out}");
    assert!(out.contains("null\n") && !out.contains("vda") && !out.contains("boot"), "{out}");
    assert!(out.ends_with("there\n"), "{out}");
    assert_eq!(run.output("file"), "out\n");
    assert!(!layer.unwrap().join("made").exists());
    assert!(run.folder.path().join("image/upper/made").exists());
    // Nothing is mounted where the machine could see it.
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(run.folder.path().to_str().unwrap()));
}

#[test]
fn a_read_only_image_is_not_written_to() {
    if !is_root() {
        return;
    }
    let run =
        isolated("echo a > /made; echo b > file; echo c > /dev/shm/c; cat /dev/shm/c", |launch| {
            image(launch, |_| {});
            if let Root::Image { read_only, .. } = &mut launch.spec.root {
                *read_only = true;
            }
        });
    assert_eq!(run.run().cause, Cause::Status(0));
    assert!(run.output("stderr").contains("Read-only"), "{}", run.output("stderr"));
    assert_eq!(run.output("file"), "b\n");
    assert_eq!(run.output("stdout"), "c\n");
}

#[test]
fn links_of_an_image_lead_nowhere_but_into_it() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_owned();
    let run = isolated("ls /data; stat -c %i /data/mark", |launch| {
        image(launch, |path| {
            // Where a volume goes, where devices and what the kernel shows go.
            std::os::unix::fs::symlink(&target, path.join("data")).unwrap();
            std::os::unix::fs::symlink(&target, path.join("dev")).unwrap();
            std::os::unix::fs::symlink("/../../../..", path.join("sys")).unwrap();
            fs::create_dir(path.join("etc")).unwrap();
            std::os::unix::fs::symlink("/etc/shadow", path.join("etc/passwd")).unwrap();
        });
        let volume = launch.sandbox.parent().unwrap().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("mark"), "").unwrap();
        launch.spec.mounts.push(bind(&volume, "/data"));
    });
    // Whatever comes of it, it comes of it inside.
    let _exit = run.run();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(outside.path().to_str().unwrap()));
}

#[test]
fn a_volume_below_a_folder_does_not_leave_it() {
    if !is_root() {
        return;
    }
    let run = isolated("cat /mnt/root/shadow", |launch| {
        image(launch, |_| {});
        let folder = launch.sandbox.parent().unwrap().join("volume");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/etc", folder.join("escape")).unwrap();
        let source = Source::Below { folder, path: "escape".into() };
        launch.spec.mounts.push(Mount { source, ..bind(Path::new("/"), "/mnt/root") });
    });
    let Cause::NotStarted(reason) = run.run().cause else { panic!("it started") };
    assert!(reason.starts_with("cannot take escape below "), "{reason}");
}

#[test]
fn rights_and_limits_are_those_that_were_asked_for() {
    if !is_root() {
        return;
    }
    let run = isolated(
        "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; ulimit -n; ls -l /proc/self/ns/net",
        |launch| {
            launch.spec.capabilities = Capabilities::Set {
                effective: Some([Capability::named("NET_RAW").unwrap()].into()),
                bounding: [Capability::named("NET_RAW").unwrap()].into(),
            };
            launch.spec.user = User::Ids { uid: 65_534, gid: 65_534, groups: vec![7] };
            launch.spec.no_new_privileges = true;
            launch.spec.rlimits =
                vec![Rlimit { resource: Resource::OpenFiles, soft: Some(77), hard: Some(88) }];
            launch.spec.namespaces.network = Network::Own;
            let mode = fs::Permissions::from_mode(0o777);
            fs::set_permissions(&launch.sandbox, mode).unwrap();
        },
    );
    let exit = run.run();
    assert_eq!(exit.cause, Cause::Status(0), "{}", run.output("stderr"));
    let out = run.output("stdout");
    for line in [
        "CapPrm:\t0000000000002000",
        "CapEff:\t0000000000002000",
        "CapBnd:\t0000000000002000",
        "CapAmb:\t0000000000002000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "77",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    }
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!out.contains(own.to_str().unwrap()), "{out}");
}

#[test]
fn another_process_runs_inside_and_ends_alone() {
    if !is_root() {
        return;
    }
    let mut group = None;
    let run = isolated("echo up; exec sleep 1000", |launch| {
        image(launch, |_| {});
        launch.spec.hostname = Some("joined".into());
        group = limited(launch, "joined", Limits { cpu_shares: 1024, ..Limits::default() });
    });
    let mut shim = run.start();
    let init = run.running().init.unwrap();
    let inside = Run::with(
        "hostname; ls /proc | grep -c '^[0-9]'; cat /proc/self/cgroup; sleep 500 & exit 4",
        |launch| {
            let mut process = launch.spec.process.clone();
            process.directory = "/".into();
            launch.spec = Spec::inside(init, process, group.clone());
        },
    );
    let exit = inside.run();
    assert_eq!(exit.cause, Cause::Status(4), "{}", inside.output("stderr"));
    let out = inside.output("stdout");
    assert!(out.starts_with("joined\n"), "{out}");
    assert!(runs(run.running().task.pid), "the container ended with the process that joined it");
    if let Some(group) = &group {
        assert!(group.memory.exists());
    }
    run.kill(0);
    shim.wait().unwrap();
    // Where the container is gone nobody can join it.
    let late = Run::with("true", |launch| {
        launch.spec = Spec::inside(init, launch.spec.process.clone(), None);
    });
    let Cause::NotStarted(reason) = late.run().cause else { panic!("it started") };
    assert_eq!(reason, "the container to join is gone");
}

#[test]
fn when_the_shim_dies_so_does_everything_inside() {
    if !is_root() {
        return;
    }
    let run = isolated("setsid sleep 1000 & setsid sleep 1000 & sleep 1000", |_| {});
    let mut shim = run.start();
    let running = run.running();
    let (task, init) = (running.task.pid, running.init.unwrap().pid);
    shim.kill().unwrap();
    shim.wait().unwrap();
    eventually(|| if runs(task) || runs(init) { Err("they run on") } else { Ok(()) });
}

#[test]
fn what_the_machine_lacks_is_said() {
    if !is_root() {
        return;
    }
    let run = isolated("true", |launch| {
        launch.spec.mounts = vec![bind(Path::new("/no/such/folder"), "/mnt/a")];
    });
    let Cause::NotStarted(reason) = run.run().cause else { panic!("it started") };
    let expected = "cannot take /no/such/folder into slot ";
    assert!(reason.starts_with(expected) && reason.contains("No such file"), "{reason}");
}

/// Connects as an agent does.
fn attach(run: &Run, wants: u8) -> UnixStream {
    let folder = fs::File::open(run.dir.path()).unwrap();
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let mut stream = eventually(|| UnixStream::connect(&path));
    say(&mut stream, Kind::Hello, &[wants]);
    stream
}

fn say(stream: &mut UnixStream, kind: Kind, payload: &[u8]) {
    let mut bytes = VecDeque::new();
    frame::encode(kind, payload, &mut bytes);
    stream.write_all(bytes.make_contiguous()).unwrap();
}

/// What comes until `enough`, by kind.
fn hear(stream: &mut UnixStream, mut enough: impl FnMut(&str, Kind) -> bool) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut decoder, mut text) = (frame::Decoder::default(), String::new());
    let mut bytes = [0; 4096];
    loop {
        while let Some(frame) = decoder.next_frame().unwrap() {
            if matches!(frame.kind, Kind::Stdout | Kind::Stderr) {
                text.push_str(&String::from_utf8_lossy(&frame.payload));
            }
            if enough(&text, frame.kind) {
                return text;
            }
        }
        let length = stream.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(length > 0, "closed after {text}");
        decoder.push(&bytes[..length]);
    }
}

#[test]
fn a_session_in_a_container_has_a_terminal() {
    if !is_root() {
        return;
    }
    let mut group = None;
    let run = isolated("exec sleep 1000", |launch| {
        image(launch, |_| {});
        group = limited(launch, "terminal", Limits { cpu_shares: 1024, ..Limits::default() });
    });
    let mut shim = run.start();
    let init = run.running().init.unwrap();
    let command = "tty; stty size; read line; echo got $line; stty size; sleep 700 & exit 5";
    let session = Run::with(command, |launch| {
        let mut process = launch.spec.process.clone();
        process.directory = "/".into();
        process.terminal = Some(Size { rows: 30, columns: 100 });
        launch.spec = Spec::inside(init, process, group.clone());
        launch.attach = Some(Attach { session: true });
    });
    let mut inside = session.start();
    session.running();
    let mut stream = attach(&session, SENDS_INPUT | WANTS_OUTPUT);
    let text = hear(&mut stream, |text, _| text.contains("30 100"));
    assert!(text.contains("/dev/pts/0"), "{text}");
    say(&mut stream, Kind::Resize, &[0, 40, 0, 132]);
    say(&mut stream, Kind::Stdin, b"hello\n");
    let text = hear(&mut stream, |_, kind| kind == Kind::Ended);
    assert!(text.contains("got hello") && text.contains("40 132"), "{text}");
    drop(stream);
    inside.wait().unwrap();
    let exit: Exit = crate::shim::read(&session.dir.exit()).unwrap();
    assert_eq!(exit.cause, Cause::Status(5));
    // What it left behind is gone; the container is not.
    if let Some(group) = &group {
        let left: Vec<u32> = group.processes().into_iter().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
    run.kill(0);
    shim.wait().unwrap();
    assert!(group.is_none_or(|group| !group.cpu.exists()));
}

#[test]
fn a_session_that_nobody_sees_any_more_ends() {
    if !is_root() {
        return;
    }
    let session = isolated("cat; echo over >&2; sleep 1000", |launch| {
        launch.attach = Some(Attach { session: true });
    });
    let mut shim = session.start();
    session.running();
    let mut stream = attach(&session, SENDS_INPUT | WANTS_OUTPUT);
    say(&mut stream, Kind::Stdin, b"to and fro\n");
    say(&mut stream, Kind::Stdin, b"");
    let text = hear(&mut stream, |text, _| text.contains("over"));
    assert!(text.contains("to and fro\n"), "{text}");
    drop(stream);
    shim.wait().unwrap();
    let exit: Exit = crate::shim::read(&session.dir.exit()).unwrap();
    assert!(matches!(exit.cause, Cause::Signal(_)), "{exit:?}");
}

#[test]
fn a_task_with_a_terminal_is_recorded_and_can_be_attached_to() {
    if !is_root() {
        return;
    }
    let run = isolated("tty; read line; echo got $line; exit 3", |launch| {
        launch.spec.process.terminal = Some(Size::default());
    });
    let mut shim = run.start();
    run.running();
    let mut stream = attach(&run, SENDS_INPUT);
    say(&mut stream, Kind::Stdin, b"words\n");
    shim.wait().unwrap();
    let exit: Exit = crate::shim::read(&run.dir.exit()).unwrap();
    assert_eq!(exit.cause, Cause::Status(3));
    let out = run.output("stdout");
    assert!(out.contains("/dev/pts/0\r\n") && out.ends_with("got words\r\n"), "{out}");
}
