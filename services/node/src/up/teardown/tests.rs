use super::*;

#[test]
fn descendants_of_shims_and_workers_in_sandboxes_are_selected() {
    let process = |parent, is_shim, works_inside| Process { parent, is_shim, works_inside };
    let all = BTreeMap::from([
        (1, process(0, false, false)),
        (10, process(1, true, false)),
        (11, process(10, false, true)),
        (12, process(11, false, false)),
        (20, process(1, false, true)),
        (30, process(1, false, false)),
        (31, process(30, false, false)),
    ]);
    let expected = [(10, Kind::Shim), (11, Kind::Task), (12, Kind::Task), (20, Kind::Task)];
    assert_eq!(select(&all), BTreeMap::from(expected));
}

#[tokio::test]
async fn nothing_runs_on_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut polite =
        std::process::Command::new("sleep").arg("600").current_dir(folder.path()).spawn().unwrap();
    let mut stubborn = std::process::Command::new("sh")
        .args(["-c", "trap '' TERM; touch ready; while :; do sleep 1; done"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let ready = folder.path().join("ready");
    assert!(wait_until(Duration::from_secs(5), || ready.exists()).await);
    assert_eq!(left(folder.path()).get(&polite.id().try_into().unwrap()), Some(&Kind::Task));
    processes(folder.path()).await;
    assert!(left(folder.path()).is_empty());
    polite.wait().unwrap();
    stubborn.wait().unwrap();
}
