//! Commands inside of tasks, with the real `karman` through the gateway.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use rustix::termios::tcsetwinsize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{MARK, mark, sleeper};
use crate::binaries;
use crate::datacenter::Datacenter;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// More than the body of a request may have.
const INPUT_BYTES: usize = 12 * 1024 * 1024;

fn karman(dc: &Datacenter, args: &[&str]) -> Command {
    let mut command = Command::new(binaries::path("karman"));
    command.env_clear().env("KARMAN_DIR", dc.file("karman-settings")).args(args);
    command.kill_on_drop(true);
    command
}

/// A datacenter with one task, known to `karman`.
async fn with_task(mark: &str) -> Datacenter {
    let dc = Datacenter::start().await;
    let setup = karman(&dc, &["cluster", "setup", &dc.ready.gateway]).output().await.unwrap();
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    dc.marathon().create(&sleeper("/inner", 1, mark)).await;
    dc.marathon().settled("/inner", 1).await;
    dc
}

#[tokio::test]
async fn a_command_runs_inside_of_a_task_and_ends_karman_as_it_ends() {
    let mark = mark();
    let dc = with_task(&mark).await;
    let script = format!("echo ${MARK}; echo aside >&2; exit 3");
    let args = ["task", "exec", "inner", "--", "sh", "-c", &script];
    let output = karman(&dc, &args).output().await.unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{stdout} {stderr}");
    assert_eq!((stdout.trim(), stderr.trim()), (mark.as_str(), "aside"));

    let missing = karman(&dc, &["task", "exec", "inner", "/no/such"]).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/no/such"), "{stderr}");

    // Nothing to attach to: it says what to do.
    let plain = karman(&dc, &["task", "attach", "inner"]).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&plain.stderr);
    assert!(stderr.contains("task log --follow"), "{stderr}");

    let mut counting = karman(&dc, &["task", "exec", "-i", "inner", "wc", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = counting.stdin.take().unwrap();
    let feed = async move {
        stdin.write_all(&vec![b'x'; INPUT_BYTES]).await.unwrap();
    };
    let ((), counted) = tokio::join!(feed, counting.wait_with_output());
    let counted = counted.unwrap();
    assert_eq!(String::from_utf8_lossy(&counted.stdout).trim(), INPUT_BYTES.to_string());
    assert_eq!(counted.status.code(), Some(0));
}

/// Somebody at a terminal.
struct Person {
    terminal: File,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Person {
    fn at(terminal: OwnedFd) -> Self {
        let terminal = File::from(terminal);
        let mut screen = terminal.try_clone().unwrap();
        let (show, shown) = sync_channel(1000);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that nobody has open fails to be read.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                if show.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { terminal, shown, seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it is shown after what was seen before.
    fn sees(&mut self, text: &str) {
        let give_up = Instant::now() + LIMIT;
        while !self.seen.contains(text) {
            let left = give_up.saturating_duration_since(Instant::now());
            let shown = self.shown.recv_timeout(left);
            let shown = shown.unwrap_or_else(|_| panic!("no '{text}' in {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&shown));
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_in_a_task_has_the_terminal_of_its_user() {
    let mark = mark();
    let dc = with_task(&mark).await;
    let pty = openpty(Some(&window(40, 100)), None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    // The terminal tells of its size only whom it controls.
    let mut shell = Command::new("setsid")
        .arg("--ctty")
        .arg(binaries::path("karman"))
        .args(["task", "exec", "-it", "inner", "sh"])
        .env("KARMAN_DIR", dc.file("karman-settings"))
        .env("TERM", "vt100")
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(pty.slave);
    let mut person = Person::at(pty.master);
    person.types("stty size; echo $TERM; echo to-$((40 + 2))\n");
    person.sees("40 100");
    person.sees("vt100");
    person.sees("to-42");
    let size = rustix::termios::Winsize { ws_row: 25, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&person.terminal, size).unwrap();
    person
        .types("while [ \"$(stty size)\" != '25 90' ]; do sleep 0.02; done; echo now-$((1 + 1))\n");
    person.sees("now-2");
    // Keys are not for this machine but for the command.
    person.types("sleep 1000\n");
    person.types("\x03");
    // What is typed before the shell has woken up goes with what it interrupts.
    person.sees("^C");
    person.sees("# ");
    person.types("echo woken-$((2 + 2)); exit 5\n");
    person.sees("woken-4");
    let ended = tokio::time::timeout(LIMIT, shell.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(5));
}
