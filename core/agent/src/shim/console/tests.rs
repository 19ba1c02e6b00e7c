use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use super::*;
use crate::attach::frame::{Decoder, Frame, SENDS_INPUT, WANTS_OUTPUT, encode};

/// A console and the ends that a process would have.
struct World {
    console: Console,
    _folder: tempfile::TempDir,
    socket: PathBuf,
    stdin: OwnedFd,
    stdout: Option<OwnedFd>,
}

fn world(session: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    // Tests share the folder that a process is in.
    let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut console = Console {
        listener,
        session,
        streams: Streams::default(),
        connected: false,
        clients: Vec::new(),
        input: Vec::new(),
        input_over: false,
        was_seen: false,
        told_end: false,
        killed: false,
    };
    let (stdin, ours_in) = pipe();
    let (ours_out, stdout) = pipe();
    console.connect(Streams { stdin: Some(ours_in), stdout: Some(ours_out), ..Streams::default() });
    let socket = folder.path().join(SOCKET);
    World { console, _folder: folder, socket, stdin, stdout: Some(stdout) }
}

/// Both ends do not wait.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = io::pipe().unwrap();
    let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
    for end in [&reader, &writer] {
        fcntl_setfl(end, OFlags::NONBLOCK).unwrap();
    }
    (reader, writer)
}

impl World {
    fn client(&mut self, wants: u8) -> Someone {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut someone = Someone { stream, decoder: Decoder::default() };
        someone.say(Kind::Hello, &[wants]);
        // Once to come in, once to be heard.
        self.turn();
        self.turn();
        someone
    }

    fn turn(&mut self) {
        let moment = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let _ready = poll(&mut self.console.files(), Some(&moment));
        self.console.turn();
    }

    fn writes(&self, text: &[u8]) {
        write(self.stdout.as_ref().unwrap(), text).unwrap();
    }

    fn reads(&self) -> Vec<u8> {
        let mut bytes = [0; 100];
        let length = read(&self.stdin, &mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    fn drained(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(5);
        while !self.console.drain() {
            assert!(Instant::now() < give_up, "not drained");
            self.turn();
        }
    }
}

struct Someone {
    stream: UnixStream,
    decoder: Decoder,
}

impl Someone {
    fn say(&mut self, kind: Kind, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode(kind, payload, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    fn hear(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            let mut bytes = [0; 1024];
            let length = self.stream.read(&mut bytes).unwrap();
            assert!(length > 0, "the console has hung up");
            self.decoder.push(&bytes[..length]);
        }
    }
}

fn frame(kind: Kind, payload: &[u8]) -> Frame {
    Frame { kind, payload: payload.to_vec() }
}

#[test]
fn everybody_sees_what_one_says_and_the_end() {
    let mut world = world(false);
    let mut first = world.client(SENDS_INPUT | WANTS_OUTPUT);
    let mut second = world.client(WANTS_OUTPUT);
    first.say(Kind::Stdin, b"question");
    world.turn();
    assert_eq!(world.reads(), b"question");
    world.writes(b"answer");
    world.turn();
    for someone in [&mut first, &mut second] {
        assert_eq!(someone.hear(), frame(Kind::Welcome, b""));
        assert_eq!(someone.hear(), frame(Kind::Stdout, b"answer"));
    }
    first.say(Kind::Stdin, b"");
    world.turn();
    assert_eq!(world.reads(), b"", "the end of input");
    world.stdout = None;
    world.drained();
    for someone in [&mut first, &mut second] {
        assert_eq!(someone.hear(), frame(Kind::Ended, b""));
    }
}

#[test]
fn only_one_sends_input() {
    let mut world = world(false);
    let first = world.client(SENDS_INPUT);
    let mut second = world.client(SENDS_INPUT);
    world.turn();
    assert_eq!(second.hear().kind, Kind::Refused);
    drop((first, second));
    world.turn();
    let mut third = world.client(SENDS_INPUT);
    assert_eq!(third.hear().kind, Kind::Welcome);
}

#[test]
fn a_session_waits_for_its_audience_and_ends_with_it() {
    let mut world = world(true);
    world.writes(b"early");
    world.turn();
    let mut someone = world.client(WANTS_OUTPUT);
    world.turn();
    assert_eq!(someone.hear(), frame(Kind::Welcome, b""));
    assert_eq!(someone.hear(), frame(Kind::Stdout, b"early"));
    assert!(!world.console.killed());
    drop(someone);
    world.turn();
    assert!(world.console.killed());
}

#[test]
fn a_session_that_has_ended_is_seen_to_its_end() {
    let mut world = world(true);
    world.writes(b"last words");
    world.stdout = None;
    assert!(!world.console.drain(), "nobody has seen it");
    let mut someone = world.client(WANTS_OUTPUT);
    world.drained();
    assert_eq!(someone.hear(), frame(Kind::Welcome, b""));
    assert_eq!(someone.hear(), frame(Kind::Stdout, b"last words"));
    assert_eq!(someone.hear(), frame(Kind::Ended, b""));
    drop(someone);
    world.turn();
    assert!(!world.console.killed(), "it was over");
}

#[test]
fn who_does_not_read_is_left_behind_outside_of_a_session() {
    let mut world = world(false);
    let _mute = world.client(WANTS_OUTPUT);
    let chunk = vec![b'x'; 32 * 1024];
    let give_up = Instant::now() + Duration::from_secs(20);
    while !world.console.clients.is_empty() {
        assert!(Instant::now() < give_up, "still there");
        // A pipe that is full takes less, or nothing.
        let _full = write(world.stdout.as_ref().unwrap(), &chunk);
        world.turn();
    }
}
