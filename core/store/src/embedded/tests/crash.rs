//! A child process commits as fast as it can and is killed; whatever it said
//! was stored must be there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;
use crate::Change;

const FOLDER: &str = "KARMAN_STORE_CRASH_FOLDER";
/// Acknowledgements after which the child is killed; the true point within a
/// commit is left to the scheduler.
const KILL_AFTER: &[usize] = &[0, 1, 3, 17, 40, 90, 150, 240];
const WRITERS: usize = 8;

/// The child. Without its variable it is an empty test.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let leader = store.campaign("test", "me").await.unwrap();
    let round = leader.fence.token;
    say(&format!("token {round}"));
    let writers = (0..WRITERS).map(|writer| {
        let (store, fence) = (&store, &leader.fence);
        async move {
            for n in 0.. {
                let value = format!("{round}-{writer}-{n}");
                let changes =
                    vec![put(&format!("/left/{value}"), ""), put(&format!("/right/{value}"), "")];
                let last = put(&format!("/last/{writer}"), &value);
                store.commit(fence, [changes, vec![last]].concat()).await.unwrap();
                say(&format!("stored {value}"));
            }
        }
    });
    futures::future::join_all(writers).await;
}

/// One line, at once: the parent kills after reading it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = Vec::new();
    let mut token = 0;
    for kill_after in KILL_AFTER {
        stored.extend(run_and_kill(folder.path(), *kill_after, &mut token));
        let store = open(folder.path());
        let keys: Vec<String> = list(&*store, "/").await.into_iter().map(|(key, _)| key).collect();
        let left: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix("/left/")).collect();
        let right: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix("/right/")).collect();
        assert_eq!(left, right, "half of a commit");
        for value in &stored {
            assert!(
                left.binary_search(&value.as_str()).is_ok(),
                "{value} was acknowledged and is gone"
            );
        }
        let leader = store.campaign("test", "me").await.unwrap();
        assert!(leader.fence.token > token);
        token = leader.fence.token;
    }
    assert!(stored.len() >= KILL_AFTER.iter().sum());
}

/// The values the child had acknowledged when it died.
fn run_and_kill(folder: &Path, kill_after: usize, token: &mut u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::tests::crash::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut stored = Vec::new();
    for line in lines.by_ref() {
        if let Some(new) = line.strip_prefix("token ") {
            let new = new.parse().unwrap();
            assert!(new > *token);
            *token = new;
        }
        stored.extend(line.strip_prefix("stored ").map(str::to_owned));
        if *token > 0 && stored.len() >= kill_after && line.starts_with(['t', 's']) {
            break;
        }
    }
    child.kill().unwrap();
    // What it said between the last line read and its death counts too.
    stored.extend(lines.filter_map(|line| line.strip_prefix("stored ").map(str::to_owned)));
    child.wait().unwrap();
    stored
}

/// Creation is interrupted after the file has its length and before redb marks
/// it as its own.
#[tokio::test]
async fn an_interrupted_creation_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.redb"), vec![0; 1024 * 1024]).unwrap();
    let store = open(folder.path());
    assert_eq!(list(&*store, "/").await, []);
}

/// Random commits against a map, with the store opened again now and then.
#[tokio::test]
async fn it_behaves_as_a_map() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = BTreeMap::new();
    let mut seed = 1_u64;
    let mut random = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for _ in 0..5 {
        let store = open(folder.path());
        let leader = store.campaign("test", "me").await.unwrap();
        for _ in 0..40 {
            let mut changes = Vec::new();
            for _ in 0..random(6) {
                let key = format!("/{}", random(20));
                if random(3) == 0 {
                    model.remove(&key);
                    changes.push(Change::Delete { key });
                } else {
                    let value = random(1000).to_string();
                    changes.push(put(&key, &value));
                    model.insert(key, value);
                }
            }
            store.commit(&leader.fence, changes).await.unwrap();
        }
        let expected: Vec<(String, String)> = model.clone().into_iter().collect();
        assert_eq!(list(&*store, "/").await, expected);
    }
}
