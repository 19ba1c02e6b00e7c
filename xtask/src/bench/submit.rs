//! From submitting an app to its task running, one app at a time.

use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::http::Client;
use crate::karmand::Karmand;

const RUNNING_LIMIT: Duration = Duration::from_secs(60);
const REMOVAL_LIMIT: Duration = Duration::from_secs(120);
const EVENTS_MAX: usize = 10_000;

/// Times of `number` submissions, each until Marathon's event stream says that
/// the task runs.
pub(crate) fn measure(datacenter: &Karmand, number: usize) -> Result<Vec<Duration>> {
    let marathon = datacenter.address("marathon")?;
    let client = Client::new();
    let running = events(&client, marathon)?;
    let mut took = Vec::with_capacity(number);
    for index in 0..number {
        let id = format!("/bench-{index}");
        let app = json!({
            "id": id, "cmd": "exec sleep 3600", "cpus": 0.001, "mem": 1, "instances": 1, "portDefinitions": [],
        });
        let started = Instant::now();
        client.post(&format!("{marathon}/v2/apps"), &[], &app)?;
        until_running(&running, &id)?;
        took.push(started.elapsed());
    }
    remove(&client, marathon, number)?;
    Ok(took)
}

/// Ids of apps whose task has just started to run.
fn events(client: &Client, marathon: &str) -> Result<Receiver<String>> {
    let stream = client.stream(
        &format!("{marathon}/v2/events?event_type=status_update_event"),
        "text/event-stream",
        None,
    )?;
    let (send, receive) = sync_channel(EVENTS_MAX);
    thread::spawn(move || {
        for line in stream.lines.lines().map_while(Result::ok) {
            let Some(data) = line.strip_prefix("data:") else { continue };
            let event: Value = serde_json::from_str(data.trim_start()).unwrap_or_default();
            if event["taskStatus"] == "TASK_RUNNING"
                && let Some(id) = event["appId"].as_str()
                && send.send(id.to_owned()).is_err()
            {
                return;
            }
        }
    });
    Ok(receive)
}

fn until_running(running: &Receiver<String>, wanted: &str) -> Result<()> {
    let deadline = Instant::now() + RUNNING_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match running.recv_timeout(left) {
            Ok(id) if id == wanted => return Ok(()),
            Ok(_) => {}
            Err(_) => bail!("{wanted} did not run within {} s", RUNNING_LIMIT.as_secs()),
        }
    }
}

fn remove(client: &Client, marathon: &str, number: usize) -> Result<()> {
    for index in 0..number {
        client.delete(&format!("{marathon}/v2/apps/bench-{index}?force=true"))?;
    }
    let deadline = Instant::now() + REMOVAL_LIMIT;
    loop {
        let tasks = client.get(&format!("{marathon}/v2/tasks"))?;
        let left = tasks["tasks"].as_array().context("tasks are a list")?.len();
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{left} tasks still run {} s after their removal", REMOVAL_LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A percentile in milliseconds: the smallest time that so many per cent of
/// the times do not exceed.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).map(|time| time.as_secs_f64() * 1000.0).unwrap_or_default()
}
