use std::fmt::Write as _;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink as link};
use std::path::Path;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::layer::layer_of;
use super::*;
use crate::testing::{self, Member, device, file, folder, hard_link, is_root, symlink, tar};

fn limits() -> Limits {
    Limits { bytes_max: 10 << 20, entries_max: 1000, free_bytes_min: 0 }
}

/// What is in a folder, as text.
fn shown(root: &Path) -> String {
    let mut text = String::new();
    show(root, root, &mut text);
    text
}

fn show(root: &Path, folder: &Path, text: &mut String) {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let data = path.symlink_metadata().unwrap();
        let kind = match data.file_type() {
            kind if kind.is_dir() => "dir".to_owned(),
            kind if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            kind if kind.is_char_device() && data.rdev() == 0 => "whiteout".to_owned(),
            kind if kind.is_char_device() => "device".to_owned(),
            _ => format!("{:?}", String::from_utf8_lossy(&fs::read(&path).unwrap())),
        };
        let shown = path.strip_prefix(root).unwrap().display();
        let mode = if data.is_symlink() { 0o777 } else { data.mode() & 0o7777 };
        writeln!(text, "{shown} {mode:o} {}:{} {kind}", data.uid(), data.gid()).unwrap();
        if data.is_dir() {
            show(root, &path, text);
        }
    }
}

/// Unpacks layers on top of each other; the topmost is returned first.
fn stacked(layers: &[Vec<Member>]) -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let archives: Vec<Vec<u8>> = layers.iter().map(|members| tar(members)).collect();
    let lowers = stack(archives.iter().map(Vec::as_slice), root.path(), limits()).unwrap();
    (root, lowers)
}

/// Unpacks one layer beside something that must not be touched.
#[track_caller]
fn refused(members: &[Member], expected: &Expect) {
    let root = tempfile::tempdir().unwrap();
    let (layer, secret) = (root.path().join("layer"), root.path().join("secret"));
    fs::create_dir(&layer).unwrap();
    fs::write(&secret, "secret").unwrap();
    let error = layer_of(&*tar(members), &layer, limits()).unwrap_err();
    expected.assert_eq(&error.to_string());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn a_layer_becomes_what_overlayfs_stacks() {
    if !is_root() {
        return;
    }
    let members = [
        folder("./", 0o755),
        folder("bin/", 0o755),
        file("bin/su", "x").mode(0o4755).owned(0, 5),
        hard_link("bin/sudo", "bin/su"),
        symlink("sbin", "bin"),
        file("etc/.wh.gone", ""),
        folder("var/cache", 0o1777).owned(7, 8),
        file("var/cache/.wh..wh..opq", ""),
        file("var/cache/.wh..wh.plnk", ""),
        device("dev/null", 1, 3),
        device("dev/sda", 8, 0),
        device("dev/whiteout", 0, 0),
        file(&"long/".repeat(20), "").with("path", "l/".repeat(60).as_bytes()).mode(0o600),
        file("sbin/through", "in bin"),
    ];
    let (root, layers) = stacked(&[members[..12].to_vec()]);
    expect![[r#"
        bin 755 0:0 dir
        bin/su 4755 0:5 "x"
        bin/sudo 4755 0:5 "x"
        dev 755 0:0 dir
        dev/null 666 0:0 device
        etc 755 0:0 dir
        etc/gone 0 0:0 whiteout
        sbin 777 0:0 -> bin
        var 755 0:0 dir
        var/cache 1777 7:8 dir
    "#]]
    .assert_eq(&shown(&layers[0]));
    let cache = fs::File::open(layers[0].join("var/cache")).unwrap().into();
    assert!(layer::hides_below(&cache));
    assert_eq!(fs::metadata(layers[0].join("var/cache")).unwrap().mtime(), 1_700_000_000);
    drop(root);
    let (_root, layers) = stacked(&[members.to_vec()]);
    assert_eq!(fs::read_to_string(layers[0].join("bin/through")).unwrap(), "in bin");
    assert!(layers[0].join("l/l/l/l").is_dir());
}

#[test]
fn folders_that_are_only_implied_look_like_those_below() {
    if !is_root() {
        return;
    }
    let base = vec![
        folder("./", 0o750).owned(1, 2),
        folder("tmp", 0o1777),
        folder("home/user", 0o700).owned(1000, 1000).with("SCHILY.xattr.user.note", b"kept\n"),
        folder("srv/a", 0o711),
    ];
    let (_root, layers) = stacked(&[
        base,
        vec![file("other", "")],
        vec![
            file("tmp/x", "1"),
            file("home/user/y", "2"),
            file("srv/.wh..wh..opq", ""),
            file("srv/a/z", "3"),
        ],
    ]);
    expect![[r#"
        home 755 0:0 dir
        home/user 700 1000:1000 dir
        home/user/y 644 0:0 "2"
        srv 755 0:0 dir
        srv/a 755 0:0 dir
        srv/a/z 644 0:0 "3"
        tmp 1777 0:0 dir
        tmp/x 644 0:0 "1"
    "#]]
    .assert_eq(&shown(&layers[0]));
    for layer in &layers {
        let root = fs::metadata(layer).unwrap();
        assert_eq!((root.mode() & 0o7777, root.uid(), root.gid()), (0o750, 1, 2));
    }
    let mut note = [0; 8];
    let home = fs::File::open(layers[0].join("home/user")).unwrap();
    let length = rustix::fs::fgetxattr(&home, "user.note", &mut note[..]).unwrap();
    assert_eq!(&note[..length], b"kept\n");
}

#[test]
fn links_to_files_of_lower_layers_are_copies() {
    let (_root, layers) = stacked(&[
        vec![file("lib/a", "data").mode(0o755), file("lib/b", "gone")],
        vec![file("lib/.wh.b", "")],
        vec![hard_link("x", "lib/a"), hard_link("y", "/lib/a"), hard_link("z", "x")],
    ]);
    let inode = |name: &str| fs::metadata(layers[0].join(name)).unwrap().ino();
    assert_eq!(fs::read_to_string(layers[0].join("z")).unwrap(), "data");
    assert_eq!(fs::metadata(layers[0].join("x")).unwrap().mode() & 0o777, 0o755);
    assert_eq!((inode("x"), inode("y")), (inode("y"), inode("z")));
    let top = tempfile::tempdir().unwrap();
    let unpacked = layer_of(&*tar(&[hard_link("c", "lib/b")]), top.path(), limits()).unwrap();
    let error = settle(top.path(), &unpacked, &layers, limits()).unwrap_err();
    expect!["'c' is a link to 'lib/b', which is not there"].assert_eq(&error.to_string());
    let unpacked = layer_of(&*tar(&[hard_link("c", "lib/a")]), top.path(), limits()).unwrap();
    let tight = Limits { bytes_max: 3, ..limits() };
    let error = settle(top.path(), &unpacked, &layers, tight).unwrap_err();
    assert!(matches!(error, Error::TooLarge { bytes_max: 3 }), "{error}");
}

#[test]
fn what_a_layer_replaces_within_itself_is_replaced() {
    let (_root, layers) = stacked(&[vec![
        folder("a", 0o755),
        file("a/b", "1"),
        file("a", "now a file"),
        symlink("s", "nowhere"),
        folder("s", 0o755),
        file("s/t", "2"),
        file(".wh.d", ""),
        folder("d", 0o755),
        file("e/f", "3"),
        file(".wh.e", ""),
        hard_link("s/t", "s/t"),
    ]]);
    assert_eq!(fs::read_to_string(layers[0].join("a")).unwrap(), "now a file");
    assert_eq!(fs::read_to_string(layers[0].join("s/t")).unwrap(), "2");
    for hides in ["d", "e"] {
        let folder = fs::File::open(layers[0].join(hides)).unwrap().into();
        assert!(layer::hides_below(&folder), "{hides}");
    }
}

#[test]
fn nothing_leaves_the_folder() {
    refused(
        &[file("../secret", "x")],
        &expect!["'../secret' leads out of the folder that is unpacked into"],
    );
    refused(
        &[file("a/../../secret", "x")],
        &expect!["'a/../../secret' leads out of the folder that is unpacked into"],
    );
    refused(
        &[hard_link("a", "../secret")],
        &expect!["'../secret' leads out of the folder that is unpacked into"],
    );
    refused(
        &[file(".wh...", "x")],
        &expect!["'.wh...' leads out of the folder that is unpacked into"],
    );
    refused(
        &[symlink("up", "../.."), symlink("loop", "loop"), file("loop/x", "")],
        &expect!["'loop' leads out of the folder that is unpacked into"],
    );
    refused(
        &[file(".wh.d/x", "x")],
        &expect![
            "'.wh.d/x' is no usable path: a folder in it has the name of something that is removed"
        ],
    );
    refused(&[file("f", ""), file("f/x", "")], &expect!["cannot write 'f'"]);
    refused(
        &[symlink("dangling", "/none"), file("dangling/x", "")],
        &expect!["cannot write 'dangling'"],
    );
}

#[test]
fn links_end_at_the_root_of_the_layer() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let layer = root.path().join("layer");
    fs::create_dir(&layer).unwrap();
    let outside_text = outside.to_str().unwrap();
    let members = [
        symlink("up", "../outside"),
        folder("outside", 0o755),
        file("up/x", "1"),
        symlink("abs", "/outside"),
        file("abs/y", "2"),
        folder(outside_text.trim_start_matches('/'), 0o755),
        symlink("far", outside_text),
        file("far/z", "3"),
    ];
    layer_of(&*tar(&members), &layer, limits()).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(layer.join("outside/x")).unwrap(), "1");
    assert_eq!(fs::read_to_string(layer.join("outside/y")).unwrap(), "2");
}

#[test]
fn what_means_something_to_the_host_is_left_out() {
    let trick = file("x", "1")
        .with("SCHILY.xattr.trusted.overlay.redirect", b"/etc")
        .with("SCHILY.xattr.user.overlay.opaque", b"y")
        .with("SCHILY.xattr.security.selinux", b"x")
        .with("SCHILY.xattr.user.mine", b"1");
    let (_root, layers) = stacked(&[vec![trick]]);
    let mut names = [0; 256];
    let opened = fs::File::open(layers[0].join("x")).unwrap();
    let length = rustix::fs::flistxattr(&opened, &mut names[..]).unwrap();
    assert_eq!(&names[..length], b"user.mine\0");
}

#[test]
fn limits_hold() {
    let unpack = |members: &[Member], limits: Limits| {
        let folder = tempfile::tempdir().unwrap();
        layer_of(&*testing::gzip(&tar(members)), folder.path(), limits).map_err(|e| e.to_string())
    };
    let many: Vec<Member> = (0..20).map(|number| file(&number.to_string(), "")).collect();
    let few = Limits { entries_max: 10, ..limits() };
    expect!["the archive has more than 10 entries, which is the limit"]
        .assert_eq(&unpack(&many, few).unwrap_err());
    let zeros = Member { data: vec![0; 4 << 20], ..file("zeros", "") };
    let small = Limits { bytes_max: 1 << 20, ..limits() };
    expect!["the archive becomes larger than 1 MiB, which is the limit"]
        .assert_eq(&unpack(std::slice::from_ref(&zeros), small).unwrap_err());
    let full = Limits { free_bytes_min: u64::MAX / 2, bytes_max: u64::MAX, ..limits() };
    let larger = Member { data: vec![0; 65 << 20], ..zeros };
    expect!["the disk would be left with less than 8796093022207 MiB"]
        .assert_eq(&unpack(&[larger], full).unwrap_err());
}

#[test]
fn archives_of_every_kind_are_extracted() {
    let plain = tar(&[file("a/b", "data").mode(0o4711), symlink("l", "/etc/passwd")]);
    let packed = [
        plain.clone(),
        testing::gzip(&plain),
        testing::bzip2(&plain),
        testing::xz(&plain),
        testing::zstd(&plain),
    ];
    for bytes in packed {
        let (folder, done) = extracted("x.tar", &bytes);
        assert_eq!(done.unwrap(), Extracted { bytes: 4, entries: 2 });
        let path = folder.path().join("a/b");
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o711);
    }
    let (folder, done) = extracted("note.txt.gz", &testing::gzip(b"text"));
    assert_eq!(done.unwrap().entries, 1);
    assert_eq!(fs::read_to_string(folder.path().join("note.txt")).unwrap(), "text");
}

fn extracted(name: &str, bytes: &[u8]) -> (TempDir, Result<Extracted, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let done = extract_into(folder.path(), name, bytes, None);
    (folder, done)
}

fn extract_into(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    owner: Option<Owner>,
) -> Result<Extracted, Error> {
    let mut archive = tempfile::tempfile().unwrap();
    archive.write_all(bytes).unwrap();
    archive.rewind().unwrap();
    let form = Form::of(name).unwrap();
    extract(Job { archive, form: &form, folder, owner, reserved: &["stdout"], limits: limits() })
}

#[test]
fn an_extraction_gives_no_rights_and_follows_no_link_out() {
    let outside = tempfile::tempdir().unwrap();
    let (folder, done) = extracted("x.tar", &tar(&[device("null", 1, 3)]));
    expect!["'null' is a device, which is not unpacked here"]
        .assert_eq(&done.unwrap_err().to_string());
    link(outside.path(), folder.path().join("out")).unwrap();
    let into = |members: &[Member]| {
        extract_into(folder.path(), "x.tar", &tar(members), None).map_err(|error| error.to_string())
    };
    expect!["'out' leads out of the folder that is unpacked into"]
        .assert_eq(&into(&[file("out/x", "")]).unwrap_err());
    expect!["'stdout' is a name that the sandbox keeps for itself, which is not unpacked here"]
        .assert_eq(&into(&[symlink("stdout", "/etc/passwd")]).unwrap_err());
    expect!["'a' is a link to 'b', which is not there"]
        .assert_eq(&into(&[hard_link("a", "b")]).unwrap_err());
    // A link is replaced, not followed.
    into(&[file("out", "mine")]).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "mine");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    if is_root() {
        let all = tar(&[file("p/q", "1").owned(9, 9), symlink("p/s", "q")]);
        extract_into(folder.path(), "x.tar", &all, Some(Owner { uid: 1, gid: 2 })).unwrap();
        for name in ["p", "p/q", "p/s"] {
            let data = folder.path().join(name).symlink_metadata().unwrap();
            assert_eq!((data.uid(), data.gid()), (1, 2), "{name}");
        }
    }
}

#[test]
fn names_say_what_is_an_archive() {
    let forms = ["a.tgz", "A.TAR.XZ", "a.zip", "a.txt", "a.gz", ".gz", "a.tar.zst", "d/.gz", "a"];
    let of = |name: &&str| format!("{name}: {:?}\n", Form::of(name));
    expect![[r#"
        a.tgz: Some(Tar)
        A.TAR.XZ: Some(Tar)
        a.zip: Some(Zip)
        a.txt: None
        a.gz: Some(Single("a"))
        .gz: None
        a.tar.zst: Some(Tar)
        d/.gz: None
        a: None
    "#]]
    .assert_eq(&forms.iter().map(of).collect::<String>());
}

mod zip;
