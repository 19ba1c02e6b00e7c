use std::collections::BTreeMap;
use std::fs;

use super::*;

/// A folder with the programs of a release and something to pack them into.
pub(crate) fn programs(folder: &Path) -> PathBuf {
    for name in OWN_PROGRAMS.iter().chain(ETCD_PROGRAMS) {
        fs::write(folder.join(name), format!("#!/bin/sh\n# {name}\n").repeat(100)).unwrap();
    }
    let bare = folder.join("bare");
    fs::write(&bare, b"\x7fELF the bare installer").unwrap();
    bare
}

fn packed(folder: &Path) -> PathBuf {
    let bare = programs(folder);
    let output = folder.join("packed");
    pack(&bare, folder, folder, &output).unwrap();
    output
}

#[test]
fn what_is_packed_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let payload = Payload::open(&packed(folder.path())).unwrap();
    let paths: Vec<&str> = payload.items.iter().map(|item| item.path.as_str()).collect();
    let expected = [
        "bin/etcd",
        "bin/etcdctl",
        "bin/karman",
        "bin/karman-installer",
        "bin/karman-shim",
        "bin/karmand",
    ];
    assert_eq!(paths, expected);
    let to = folder.path().join("to");
    fs::create_dir(&to).unwrap();
    let wanted: BTreeMap<String, PathBuf> = paths
        .iter()
        .map(|path| ((*path).to_owned(), to.join(path.trim_start_matches("bin/"))))
        .collect();
    payload.unpack(&wanted).unwrap();
    for item in &payload.items {
        assert_eq!(file_sha256(&wanted[&item.path]).unwrap(), item.sha256);
    }
    assert_eq!(fs::read(to.join("karman-installer")).unwrap(), b"\x7fELF the bare installer");
}

#[test]
fn packing_again_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let first = packed(folder.path());
    let second = folder.path().join("second");
    pack(&first, folder.path(), folder.path(), &second).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

#[test]
fn a_bare_installer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Payload::open(&programs(folder.path())).unwrap_err();
    assert!(error.to_string().contains("carries no programs"), "{error}");
    let error = pack(
        &folder.path().join("bare"),
        &folder.path().join("none"),
        folder.path(),
        folder.path(),
    );
    assert!(matches!(error, Err(PackError::Program { .. })));
}

#[test]
fn every_damage_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = packed(folder.path());
    let whole = fs::read(&file).unwrap();
    let bare = b"\x7fELF the bare installer".len();
    for place in (bare..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(Payload::open(&file).is_err(), "bit at {place}");
    }
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(Payload::open(&file).is_err());
}
