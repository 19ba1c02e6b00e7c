use super::*;
use crate::embedded::Embedded;

#[track_caller]
fn check(path: &Path, expected: &str) {
    let message = Embedded::open(path).unwrap_err().to_string();
    let folder = path.ancestors().nth(1).unwrap().display().to_string();
    assert_eq!(message.replace(&folder, "…"), expected);
}

#[test]
fn what_is_in_the_way_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);

    fs::write(path("file"), "text").unwrap();
    check(
        &path("file"),
        "the store '…/file' is damaged (Not a redb database: magic number mismatch); restore it from a backup, or move it away to start empty",
    );
    check(
        &path("file").join("state"),
        "the data folder '…' cannot be used; pass another --data-dir",
    );
    fs::create_dir(path("folder")).unwrap();
    check(&path("folder"), "the data folder '…/folder' cannot be used; pass another --data-dir");

    let store = Embedded::open(&path("state")).unwrap();
    check(
        &path("state"),
        "another karmand uses this data folder ('…/state.lock' is locked); stop it or pass another --data-dir",
    );
    drop(store);
    drop(Embedded::open(&path("state")).unwrap());
}

/// A file changed by something else is reported and does not panic.
#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    drop(Embedded::open(&path).unwrap());
    let intact = fs::read(&path).unwrap();
    for cut in [1, 20, 320, 4096, intact.len() / 2, intact.len() - 1] {
        fs::write(&path, &intact[..cut]).unwrap();
        let error = Embedded::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{cut}: {error}");
    }
    fs::write(&path, &intact).unwrap();
    drop(Embedded::open(&path).unwrap());
}

#[test]
fn errors_of_the_system_are_explained() {
    let explain = |kind: io::ErrorKind| {
        explain(Path::new("/d/s"), Failure::Engine(redb::Error::Io(kind.into()))).to_string()
    };
    assert_eq!(
        explain(io::ErrorKind::PermissionDenied),
        "no permission to read and write '/d/s'; run as its owner or pass another --data-dir"
    );
    assert_eq!(
        explain(io::ErrorKind::StorageFull),
        "the disk of '/d/s' is full; free some space and start again"
    );
    assert_eq!(
        explain(io::ErrorKind::TimedOut),
        "the store '/d/s' cannot be opened; check the disk under it"
    );
    let newer = super::explain(Path::new("/d/s"), Failure::Format { found: 9 });
    assert_eq!(
        newer.to_string(),
        "the store '/d/s' was written by a newer karmand (format 9); start that version instead"
    );
}

#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/state");
    drop(Embedded::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
