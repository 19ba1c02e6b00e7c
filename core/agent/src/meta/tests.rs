use super::*;

fn record() -> Record {
    Record {
        agent_id: "A".into(),
        framework_id: "F".into(),
        container_id: "C".into(),
        sandbox: "/w".into(),
        launched_ms: 1,
        member: None,
        task: TaskInfo::default(),
    }
}

fn status(message: &str) -> TaskStatus {
    TaskStatus {
        message: Some(message.into()),
        uuid: Some(vec![1; 16].into()),
        ..TaskStatus::default()
    }
}

fn line(message: &str) -> Write {
    Write::Line(Line::Status(Box::new(status(message))))
}

fn messages(found: &Found) -> Vec<(&str, bool)> {
    found.updates.iter().map(|(status, acknowledged)| (status.message(), *acknowledged)).collect()
}

#[test]
fn what_is_written_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("runs/C"));
    for change in
        [Write::Create(Box::new(record())), line("a"), line("b"), Write::Line(Line::Acknowledged)]
    {
        write(&run, &change).unwrap();
    }
    let found = load_runs(folder.path()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].record, record());
    assert_eq!(messages(&found[0]), [("a", true), ("b", false)]);
    write(&run, &Write::Forget).unwrap();
    assert!(load_runs(folder.path()).unwrap().is_empty());
}

#[test]
fn a_task_that_is_half_removed_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("runs/C"));
    write(&run, &Write::Create(Box::new(record()))).unwrap();
    write(&run, &line("a")).unwrap();
    // The process ends after the first step of the removal and before the last.
    let aside = folder.path().join("runs/C.forgotten");
    fs::rename(run.path(), &aside).unwrap();
    fs::remove_file(aside.join("updates.jsonl")).unwrap();
    assert!(load_runs(folder.path()).unwrap().is_empty());
    assert!(!aside.exists());
    write(&run, &Write::Create(Box::new(record()))).unwrap();
    write(&run, &Write::Forget).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("runs")).unwrap().count(), 0);
}

#[test]
fn a_task_that_was_never_put_on_record_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    fs::create_dir_all(runs.join("C")).unwrap();
    fs::create_dir_all(runs.join("D")).unwrap();
    fs::write(runs.join("D/task.json.tmp"), "{").unwrap();
    assert!(load_runs(folder.path()).unwrap().is_empty());
    assert_eq!(fs::read_dir(runs).unwrap().count(), 0);
}

#[test]
fn a_torn_update_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("runs/C"));
    write(&run, &Write::Create(Box::new(record()))).unwrap();
    write(&run, &line("a")).unwrap();
    let path = updates_file(&run);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(br#"{"version":"V1","status":{"#);
    fs::write(&path, bytes).unwrap();
    assert_eq!(messages(&load_runs(folder.path()).unwrap()[0]), [("a", false)]);
    write(&run, &line("b")).unwrap();
    assert_eq!(messages(&load_runs(folder.path()).unwrap()[0]), [("a", false), ("b", false)]);
}

#[test]
fn a_damaged_task_is_set_aside_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    for container in ["C", "D"] {
        let run = RunDir::new(folder.path().join("runs").join(container));
        write(&run, &Write::Create(Box::new(record()))).unwrap();
    }
    fs::write(folder.path().join("runs/C/task.json"), "{").unwrap();
    assert_eq!(load_runs(folder.path()).unwrap().len(), 1);
    assert!(folder.path().join("runs/C.corrupt").exists());
    assert_eq!(load_runs(folder.path()).unwrap().len(), 1);
}

#[test]
fn many_settled_updates_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("runs/C"));
    write(&run, &Write::Create(Box::new(record()))).unwrap();
    let long = "x".repeat(1000);
    for _ in 0..100 {
        write(&run, &line(&long)).unwrap();
        write(&run, &Write::Line(Line::Acknowledged)).unwrap();
    }
    write(&run, &Write::Compact(vec![(status("a"), true), (status("b"), false)])).unwrap();
    assert_eq!(messages(&load_runs(folder.path()).unwrap()[0]), [("a", true), ("b", false)]);
}

#[test]
fn the_newest_agent_id_is_found() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(load_agent_id(folder.path()), None);
    for id in ["A", "B"] {
        save_agent_id(folder.path(), id).unwrap();
        assert_eq!(load_agent_id(folder.path()).as_deref(), Some(id));
    }
}
