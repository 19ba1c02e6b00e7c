//! A process that is killed at any moment leaves no half layer in use.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::testing::write_layout;

/// Names the folder for the process that will be killed.
const CHILD: &str = "KARMAN_IMAGE_TEST_KILLED";

/// Not a test of its own: what the other one kills.
#[test]
fn loads_until_it_is_killed() {
    let Some(root) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(&root.join("store"));
        println!("begun");
        loop {
            store.load(&root.join("layout")).await.unwrap();
            let digest = store.images()[0].digest.to_string();
            store.remove(&digest).await.unwrap();
        }
    });
}

fn layers() -> Vec<Vec<Member>> {
    let layer = |number: usize| {
        let mut members = vec![folder("./", 0o755)];
        members.extend((0..40).map(|file_number| {
            let text = format!("{number} {file_number}").repeat(200);
            file(&format!("d{number}/{file_number}"), &text)
        }));
        members
    };
    (0..6).map(layer).collect()
}

fn files(folder: &Path) -> usize {
    let inside = |entry: fs::DirEntry| {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) { files(&entry.path()) } else { 1 }
    };
    fs::read_dir(folder).map_or(0, |entries| entries.flatten().map(inside).sum())
}

#[test]
fn a_killed_process_leaves_no_half_layer() {
    let root = tempfile::tempdir().unwrap();
    write_layout(&root.path().join("layout"), &image(&layers()), "app:1");
    let mut whole_images = 0;
    for round in 0..12_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed::loads_until_it_is_killed", "--nocapture"])
            .env(CHILD, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("begun")));
        // Each time at another moment of its work.
        let work = root.path().join("store");
        let enough = round * 37 % 250;
        for _ in 0..10_000 {
            if files(&work) >= enough {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(&work);
        for image in store.images() {
            whole_images += 1;
            check(&store.image(&image.digest).unwrap());
        }
        for layer in fs::read_dir(work.join("layers")).unwrap().map(|entry| entry.unwrap().path()) {
            assert!(layer.is_file() || files(&layer) == 40, "{}", layer.display());
        }
    }
    let store = open(&root.path().join("store"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let images = runtime.block_on(store.load(&root.path().join("layout"))).unwrap();
    check(&images[0]);
    println!("{whole_images} images were whole");
}

#[track_caller]
fn check(image: &Image) {
    assert_eq!(image.layers.len(), 6);
    for (number, layer) in image.layers.iter().rev().enumerate() {
        for file_number in 0..40 {
            let text = format!("{number} {file_number}").repeat(200);
            let path = layer.join(format!("d{number}/{file_number}"));
            assert_eq!(fs::read_to_string(path).unwrap(), text);
        }
    }
}
