use super::*;

#[test]
fn the_default_follows_the_user() {
    let path = |root, xdg: Option<&str>, home: Option<&str>| {
        default_path(root, |name| match name {
            "XDG_DATA_HOME" => xdg.map(PathBuf::from),
            "HOME" => home.map(PathBuf::from),
            _ => None,
        })
    };
    assert_eq!(path(true, Some("/x"), Some("/h")).unwrap(), Path::new("/var/lib/karman"));
    assert_eq!(path(false, Some("/x"), Some("/h")).unwrap(), Path::new("/x/karman"));
    assert_eq!(path(false, None, Some("/h")).unwrap(), Path::new("/h/.local/share/karman"));
    // The XDG specification tells to ignore relative paths.
    assert_eq!(path(false, Some("x"), Some("/h")).unwrap(), Path::new("/h/.local/share/karman"));
    assert!(path(false, None, None).is_err());
}

#[test]
fn a_folder_is_used_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let first = DataDir::open(&path).unwrap();
    let error = DataDir::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the data folder {} is in use by another karmand (pid {}); stop it or choose another with --data-dir",
            first.path().display(),
            std::process::id()
        )
    );
    drop(first);
    DataDir::open(&path).unwrap();
}

#[test]
fn the_cluster_id_stays() {
    let folder = tempfile::tempdir().unwrap();
    let id = DataDir::open(folder.path()).unwrap().cluster_id().unwrap();
    assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
    let again = DataDir::open(folder.path()).unwrap();
    assert_eq!(again.cluster_id().unwrap(), id);
    std::fs::write(folder.path().join("cluster-id"), "x").unwrap();
    assert!(matches!(again.cluster_id(), Err(Error::ClusterId { .. })));
}

#[test]
fn a_file_in_its_place_is_explained() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("data");
    let error = DataDir::open(&below).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot use the data folder {} (not a directory); move the file that is in its place away, or choose another with --data-dir",
            below.display()
        )
    );
}

#[test]
fn a_temporary_folder_is_removed() {
    let folder = DataDir::temporary().unwrap();
    let path = folder.path().to_owned();
    assert!(folder.is_temporary() && path.exists());
    drop(folder);
    assert!(!path.exists());
}
