//! Connections: in order inside, lost with everything in flight when they break,
//! half open when nobody says so.

use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler;
use karman_api::session::{agent_message, master_message};

use super::world::{What, World};

/// A connection; also its number as a session or stream of the master.
pub(super) type Conn = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    Agent(usize),
    Framework(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Master,
}

#[derive(Clone, Debug)]
pub(super) enum Packet {
    FromAgent(Box<agent_message::Body>),
    ToAgent(Box<master_message::Body>),
    Subscribe { info: Box<v1::FrameworkInfo>, suppressed: Vec<String> },
    Events(Vec<scheduler::Event>),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) master: u64,
    /// When the last packet arrives, by the end that it goes to.
    last: [u64; 2],
    /// Which ends know it as open.
    open: [bool; 2],
    /// Nothing arrives any longer at these ends.
    cut: [bool; 2],
    /// The client does not read: what waits for it.
    pub(super) backlog: Option<Vec<Packet>>,
}

/// Packets that wait for a client which does not read, before it is cut off; the
/// real limits are larger, but so is a real cluster.
pub(super) const BACKLOG_MAX: usize = 40;

impl Link {
    pub(super) const fn is_open(&self, end: End) -> bool {
        self.open[end as usize]
    }
}

impl World {
    pub(super) fn connect(&mut self, client: Client, master: u64) -> Conn {
        self.conns_made += 1;
        let link = Link {
            client,
            master,
            last: [self.now; 2],
            open: [true; 2],
            cut: [false; 2],
            backlog: None,
        };
        self.links.insert(self.conns_made, link);
        self.conns_made
    }

    pub(super) fn latency(&mut self) -> u64 {
        match self.rng.below(100) {
            0..90 => self.rng.between(1, 8),
            90..99 => self.rng.between(8, 200),
            _ if self.calm => 50,
            _ => self.rng.between(200, 3000),
        }
    }

    pub(super) fn send(&mut self, conn: Conn, to: End, packet: Packet) {
        let delay = self.latency();
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.cut[to as usize] {
            return;
        }
        let at = (self.now + delay).max(link.last[to as usize]);
        link.last[to as usize] = at;
        self.at(at, What::Packet { conn, to, packet });
    }

    /// Whether the packet arrives.
    pub(super) fn arrives(&self, conn: Conn, to: End) -> bool {
        self.links.get(&conn).is_some_and(|link| link.open[to as usize] && !link.cut[to as usize])
    }

    /// One end closes; the other learns of it after what was sent before.
    pub(super) fn hang_up(&mut self, conn: Conn, by: End) {
        let delay = self.latency();
        let Some(link) = self.links.get_mut(&conn) else { return };
        if !std::mem::replace(&mut link.open[by as usize], false) {
            return;
        }
        let other = match by {
            End::Client => End::Master,
            End::Master => End::Client,
        };
        if link.open[other as usize] && !link.cut[other as usize] {
            let at = (self.now + delay).max(link.last[other as usize]);
            self.at(at, What::Hangup { conn, at: other });
        }
        self.forget(conn);
    }

    /// An end has learned that it is over; false if it had known.
    pub(super) fn closed(&mut self, conn: Conn, at: End) -> bool {
        let Some(link) = self.links.get_mut(&conn) else { return false };
        let news = std::mem::replace(&mut link.open[at as usize], false);
        self.forget(conn);
        news
    }

    fn forget(&mut self, conn: Conn) {
        if self.links.get(&conn).is_some_and(|link| link.open == [false; 2]) {
            self.links.remove(&conn);
        }
    }

    /// Nothing gets through any longer; each end notices when it does.
    pub(super) fn cut(&mut self, conn: Conn, silently: bool) {
        let (client_ms, master_ms) = if silently {
            // Heartbeats, or a keepalive of the machine.
            (self.rng.between(60_000, 90_000), self.rng.between(15_000, 150_000))
        } else {
            (self.rng.below(2000), self.rng.below(5000))
        };
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.cut = [true; 2];
        let client = link.client;
        self.note(&[1, conn], || format!("connection {conn} of {client:?} breaks"));
        self.after(client_ms, What::Hangup { conn, at: End::Client });
        self.after(master_ms, What::Hangup { conn, at: End::Master });
        if let Client::Framework(framework) = client {
            self.lost_touch(framework, conn);
        }
    }

    pub(super) fn conns_of(&self, client: Client) -> Vec<Conn> {
        let here = self.links.iter().filter(|(_, link)| link.client == client);
        here.map(|(conn, _)| *conn).collect()
    }
}
