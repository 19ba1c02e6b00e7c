//! What is typed here, as records for a container.

use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use karman_api::codec::Codec;
use karman_api::mesos::v1::agent::call::attach_container_input;
use karman_api::mesos::v1::agent::call::{AttachContainerInput, Type};
use karman_api::mesos::v1::agent::process_io::{self, control, data};
use karman_api::mesos::v1::agent::{Call, ProcessIo};
use karman_api::mesos::v1::{ContainerId, TtyInfo};
use karman_api::recordio;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::terminal;

/// Who sends nothing for long may be cut off on the way.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Records that wait for the network.
const RECORDS_MAX: usize = 16;

const READ_BYTES: usize = 16 * 1024;

/// Typed one after the other they end the attachment, and not the task.
const DETACH: [u8; 2] = [0x10, 0x11];

#[derive(Debug)]
pub(super) struct Input {
    records: mpsc::Sender<Bytes>,
    body: Option<mpsc::Receiver<Bytes>>,
    has_terminal: bool,
    detachable: bool,
}

impl Input {
    pub(super) fn new(has_terminal: bool, detachable: bool) -> Self {
        let (records, body) = mpsc::channel(RECORDS_MAX);
        Self { records, body: Some(body), has_terminal, detachable }
    }

    /// What is sent: first for whom it is.
    pub(super) fn body(&mut self, container: &ContainerId) -> reqwest::Body {
        let first = record(AttachContainerInput {
            r#type: Some(attach_container_input::Type::ContainerId.into()),
            container_id: Some(container.clone()),
            process_io: None,
        });
        let rest = self.body.take();
        let records = futures::stream::unfold((Some(first), rest), |(first, mut rest)| async {
            let next = match first {
                Some(first) => first,
                None => rest.as_mut()?.recv().await?,
            };
            Some((Ok::<_, io::Error>(next), (None, rest)))
        });
        reqwest::Body::wrap_stream(records)
    }

    /// Reads until there is no more; true if the user wants to go.
    pub(super) async fn run(self) -> bool {
        let Self { records, body: _, has_terminal, detachable } = self;
        let mut keys = keys();
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resized = signal(SignalKind::window_change()).ok();
        let mut detach = Detach::default();
        loop {
            let message = tokio::select! {
                typed = keys.recv() => {
                    let bytes = typed.unwrap_or_default();
                    let over = bytes.is_empty();
                    if detachable && has_terminal && detach.typed(&bytes) {
                        return true;
                    }
                    if records.send(record(io_of(stdin(bytes)))).await.is_err() || over {
                        return false;
                    }
                    continue;
                }
                () = changed(&mut resized), if has_terminal => size_message(),
                _ = beat.tick() => Some(heartbeat()),
            };
            let Some(message) = message else { continue };
            if records.send(record(io_of(message))).await.is_err() {
                return false;
            }
        }
    }
}

async fn changed(resized: &mut Option<tokio::signal::unix::Signal>) {
    match resized {
        Some(resized) => drop(resized.recv().await),
        None => std::future::pending().await,
    }
}

/// The keys that end an attachment, also where they come one by one.
#[derive(Debug, Default)]
struct Detach {
    last: u8,
}

impl Detach {
    fn typed(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if [self.last, *byte] == DETACH {
                return true;
            }
            self.last = *byte;
        }
        false
    }
}

/// What is typed; empty at the end. Reading cannot be given up, so it has a thread of
/// its own, which ends with the process.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (typed, keys) = mpsc::channel(RECORDS_MAX);
    thread::spawn(move || {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = match io::stdin().lock().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.unwrap_or(0),
            };
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if typed.blocking_send(bytes).is_err() || length == 0 {
                return;
            }
        }
    });
    keys
}

fn io_of(process_io: ProcessIo) -> AttachContainerInput {
    AttachContainerInput {
        r#type: Some(attach_container_input::Type::ProcessIo.into()),
        container_id: None,
        process_io: Some(process_io),
    }
}

fn stdin(bytes: Vec<u8>) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(process_io::Data {
            r#type: Some(data::Type::Stdin.into()),
            data: Some(bytes.into()),
        }),
        control: None,
    }
}

fn control(control: process_io::Control) -> ProcessIo {
    ProcessIo { r#type: Some(process_io::Type::Control.into()), data: None, control: Some(control) }
}

fn heartbeat() -> ProcessIo {
    control(process_io::Control {
        r#type: Some(control::Type::Heartbeat.into()),
        ..process_io::Control::default()
    })
}

fn size_message() -> Option<ProcessIo> {
    let window_size = terminal::size();
    window_size.as_ref()?;
    Some(control(process_io::Control {
        r#type: Some(control::Type::TtyInfo.into()),
        tty_info: Some(TtyInfo { window_size }),
        heartbeat: None,
    }))
}

fn record(input: AttachContainerInput) -> Bytes {
    let call = Call {
        r#type: Some(Type::AttachContainerInput.into()),
        attach_container_input: Some(input),
        ..Call::default()
    };
    recordio::encode(&Codec::Json.encode(&call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_end_an_attachment() {
        assert!(Detach::default().typed(b"ls\x10\x11"));
        assert!(!Detach::default().typed(b"\x11\x10"));
        let mut slow = Detach::default();
        assert!(!slow.typed(b"\x10") && slow.typed(b"\x11"));
    }
}
