use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{MARK, mark, sleeper};
use crate::datacenter::{Datacenter, Ready, STOP, client, wait};
use crate::marathon::{Marathon, ids};
use crate::{binaries, ports, processes};

#[tokio::test]
async fn a_stop_is_graceful_and_leaves_tasks_of_a_kept_folder_alone() {
    let mut dc = Datacenter::start().await;
    let mark = mark();
    dc.marathon().create(&sleeper("/sleeper", 2, &mark)).await;
    let tasks = ids(&dc.marathon().settled("/sleeper", 2).await);
    let running = processes::of_tasks(MARK, &mark);

    assert_eq!(dc.stop().await.code(), Some(0), "{}", dc.log());
    let warnings: Vec<_> =
        dc.log().lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect();
    assert!(warnings.is_empty(), "a stop is nothing to warn about: {warnings:#?}");
    assert_eq!(processes::of_tasks(MARK, &mark), running);
    dc.start_again().await;
    assert_eq!(ids(&dc.marathon().settled("/sleeper", 2).await), tasks);
    assert_eq!(processes::of_tasks(MARK, &mark), running);

    dc.signal(Signal::SIGINT);
    assert_eq!(dc.ended().await.code(), Some(0), "{}", dc.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut dc = Datacenter::start().await;
    // An open event stream holds the first stop up for the drain time.
    let events = dc
        .http
        .get(format!("{}/v2/events", dc.ready.marathon))
        .header("accept", "text/event-stream");
    let events = events.send().await.unwrap();
    assert_eq!(events.status(), 200);
    dc.signal(Signal::SIGTERM);
    // The two signals must not be merged into one by the kernel.
    crate::eventually::eventually("the stop has begun", STOP, async || {
        if dc.log().contains("SIGTERM") { Ok(()) } else { Err(dc.log()) }
    })
    .await;
    dc.signal(Signal::SIGTERM);
    assert_eq!(dc.ended().await.code(), Some(130), "{}", dc.log());
    drop(events);
}

#[tokio::test]
async fn a_temporary_datacenter_leaves_nothing_behind() {
    let ports = ports::Block::take();
    let mut child = std::process::Command::new(binaries::path("karmand"))
        .args([
            "up",
            "--ephemeral",
            "--output",
            "json",
            "--resources",
            &format!("ports:{}", ports.ranges()),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let ready: Ready = serde_json::from_str(&line).unwrap();
    let http = client();
    let marathon = Marathon { base: &ready.marathon, http: &http };
    let mark = mark();
    let mut stubborn = sleeper("/stubborn", 2, &mark);
    stubborn["cmd"] = json!("trap '' TERM; while :; do sleep 1; done");
    marathon.create(&stubborn).await;
    marathon.settled("/stubborn", 2).await;
    assert_eq!(processes::of_tasks(MARK, &mark).len(), 2);

    kill(Pid::from_raw(ready.pid), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child, STOP).await.code(), Some(0));
    assert!(processes::of_tasks(MARK, &mark).is_empty());
    assert!(processes::of_folder(&ready.data_dir).is_empty());
    assert!(!ready.data_dir.exists());
    // Exactly one line was printed.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    assert_eq!(rest, "");
}
