use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A sandbox with a file, a pipe and every kind of link out of it.
fn roots() -> (tempfile::TempDir, Roots, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().canonicalize().unwrap();
    let runs = work_dir.join("slaves/A/frameworks/F/executors/E/runs");
    let sandbox = runs.join("C");
    fs::create_dir_all(sandbox.join("sub")).unwrap();
    fs::write(sandbox.join("stdout"), "0123456789").unwrap();
    fs::write(work_dir.join("secret"), "secret").unwrap();
    symlink("C", runs.join("latest")).unwrap();
    symlink(work_dir.join("secret"), sandbox.join("absolute")).unwrap();
    symlink("../../../../../../../../secret", sandbox.join("relative")).unwrap();
    symlink("stdout", sandbox.join("inside")).unwrap();
    symlink("/", sandbox.join("sub/root")).unwrap();
    symlink("/proc/self/cwd", sandbox.join("magic")).unwrap();
    nix::unistd::mkfifo(&sandbox.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let roots = Roots { work_dir, agent_id: Some("A".into()), volumes: Vec::new() };
    (folder, roots, sandbox)
}

const LATEST: &str = "/frameworks/F/executors/E/runs/latest";

#[test]
fn a_sandbox_has_three_names() {
    let (_folder, roots, sandbox) = roots();
    let latest = sandbox.with_file_name("latest");
    for name in [
        sandbox.to_str().unwrap(),
        latest.to_str().unwrap(),
        LATEST,
        "/frameworks/F/executors/E/runs/C/",
    ] {
        let (bytes, size) = roots.read(&format!("{name}/stdout"), 2, 3).unwrap();
        assert_eq!((bytes.as_slice(), size), (b"234".as_slice(), 10), "{name}");
        assert_eq!(roots.browse(name).unwrap().len(), 7, "{name}");
    }
}

#[test]
fn nothing_outside_is_reached() {
    let (_folder, roots, sandbox) = roots();
    let sandbox = sandbox.to_str().unwrap();
    for (name, expected) in [
        ("/etc/passwd".to_owned(), "NotFound"),
        (format!("{LATEST}/absolute"), "Outside"),
        (format!("{LATEST}/relative"), "Outside"),
        (format!("{LATEST}/magic/secret"), "Outside"),
        (format!("{LATEST}/sub/root/etc/passwd"), "Outside"),
        (format!("{LATEST}/../../../../../../../../secret"), "Outside"),
        (format!("{sandbox}/../../../../../../../../secret"), "Outside"),
        ("/frameworks/F/executors/../runs/latest/stdout".into(), "Outside"),
        ("/frameworks/F".into(), "NotFound"),
        ("/../secret".into(), "Outside"),
        (format!("{LATEST}/pipe"), "NotAFile"),
        (format!("{LATEST}/sub"), "NotAFile"),
        (format!("{LATEST}/none"), "NotFound"),
        ("/slave/log".into(), "NotFound"),
        (String::new(), "NotFound"),
    ] {
        let error = roots.read(&name, 0, 10).unwrap_err();
        assert_eq!(format!("{error:?}"), expected, "{name}");
    }
    assert_eq!(roots.read(&format!("{LATEST}/inside"), 0, 10).unwrap().1, 10);
}

#[test]
fn reads_stop_at_the_end() {
    let (_folder, roots, _sandbox) = roots();
    let name = format!("{LATEST}/stdout");
    assert_eq!(roots.read(&name, 8, 1000).unwrap().0, b"89");
    assert_eq!(roots.read(&name, 100, 1000).unwrap(), (Vec::new(), 10));
    assert!(matches!(roots.browse(&name), Err(Error::NotAFolder)));
}

#[test]
fn modes_are_written_as_ls_does() {
    let text = |mode| {
        Info { path: String::new(), nlink: 1, size: 0, modified_s: 0, mode, uid: 0, gid: 0 }
            .mode_text()
    };
    assert_eq!(text(0o100_644), "-rw-r--r--");
    assert_eq!(text(0o040_750), "drwxr-x---");
    assert_eq!(text(0o120_777), "lrwxrwxrwx");
}
