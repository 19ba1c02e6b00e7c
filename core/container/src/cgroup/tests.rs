use super::*;

#[test]
fn hierarchies_are_found_in_the_mount_table() {
    let hybrid = "\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
";
    assert_eq!(
        Hierarchy::detect(hybrid),
        Some(Hierarchy::V1 {
            cpu: "/sys/fs/cgroup/cpu,cpuacct".into(),
            cpuacct: "/sys/fs/cgroup/cpu,cpuacct".into(),
            memory: "/sys/fs/cgroup/memory".into(),
            pids: None,
            devices: None,
            cpuset: Some("/sys/fs/cgroup/cpuset".into()),
            blkio: None,
        })
    );
    let unified = Hierarchy::detect("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n").unwrap();
    assert_eq!(unified, Hierarchy::V2 { root: "/sys/fs/cgroup".into() });
    let group = unified.group("a", "c");
    assert_eq!(group.memory, PathBuf::from("/sys/fs/cgroup/karman/a/c"));
    assert_eq!(group.pids, Some(group.memory.clone()));
    assert_eq!(Hierarchy::detect("proc /proc proc rw 0 0\n"), None);
}

#[test]
fn fields_are_read_by_whole_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.oom_control");
    fs::write(&path, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
    assert_eq!(field(&path, "oom_kill"), Some(3));
    assert_eq!(field(&path, "oom"), None);
}

#[test]
fn groups_of_nobody_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchy = Hierarchy::V2 { root: folder.path().into() };
    let groups = folder.path().join("karman");
    for path in ["A/known", "A/unknown", "A/busy", "B/other"] {
        fs::create_dir_all(groups.join(path)).unwrap();
    }
    let mut orphan = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(groups.join("A/busy/cgroup.procs"), orphan.id().to_string()).unwrap();
    hierarchy.sweep("A", &BTreeSet::from(["known".to_owned()]));
    assert!(!orphan.wait().unwrap().success());
    assert!(!groups.join("A/unknown").exists());
    assert!(groups.join("A/known").exists() && groups.join("B/other").exists());
    hierarchy.sweep("C", &BTreeSet::new());
}
