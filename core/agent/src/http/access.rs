//! Who may start and enter containers. A door of the agent on its own machine asks
//! nobody who he is: whoever could call it would be everybody in every container.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use karman_rt::tls::Peer;

use super::Shared;
use super::codec::refuse;
use crate::driver::blocking;
use crate::process;
use crate::view::Snapshot;

/// Masters pass on what they have let in. On this machine it is the agent's own
/// user, or root, outside of all containers.
pub(super) async fn check(shared: &Shared, extensions: &Extensions) -> Result<(), Box<Response>> {
    let forbidden = |message: &str| Err(Box::new(refuse(StatusCode::FORBIDDEN, message)));
    match extensions.get::<Peer>() {
        Some(Peer::Master) => return Ok(()),
        Some(Peer::Agent) => return forbidden("Other agents cannot enter containers"),
        None => {}
    }
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>().copied() else {
        return forbidden("It is not known who calls");
    };
    let (port, snapshot) = (shared.settings.port, shared.snapshot());
    let found = blocking(move || Ok::<_, std::io::Error>(look(peer, port, &snapshot))).await;
    match found.unwrap_or(Caller::Unknown) {
        Caller::Trusted => Ok(()),
        Caller::Unknown => {
            forbidden("Containers are entered through the cluster's gateway, or from this machine")
        }
        Caller::Other(uid) => forbidden(&format!(
            "User {uid} cannot enter containers; call as the user of the agent, as root, or \
             through the cluster's gateway"
        )),
        Caller::Contained => forbidden("Containers cannot enter containers"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Trusted,
    Unknown,
    Other(u32),
    Contained,
}

fn look(peer: SocketAddr, port: u16, snapshot: &Snapshot) -> Caller {
    if !peer.ip().to_canonical().is_loopback() {
        return Caller::Unknown;
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let Some((uid, inode)) = texts.into_iter().find_map(|text| owner(&text, peer, port)) else {
        return Caller::Unknown;
    };
    let own = rustix::process::geteuid().as_raw();
    if uid != 0 && uid != own {
        return Caller::Other(uid);
    }
    if contained(snapshot, inode) { Caller::Contained } else { Caller::Trusted }
}

/// Whose the connection is, by the kernel's table of them: user and inode.
fn owner(table: &str, peer: SocketAddr, port: u16) -> Option<(u32, u64)> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
        let is_it = local.0.to_canonical() == peer.ip().to_canonical()
            && local.1 == peer.port()
            && remote.1 == port;
        is_it.then_some(())?;
        Some((fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?))
    })
}

/// `0100007F:1F90`: words in the machine's order.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .map(|word| word.map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    let bytes = words.concat();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

/// Whether a process of a container holds the connection.
fn contained(snapshot: &Snapshot, inode: u64) -> bool {
    let tasks = snapshot.containers.values().filter_map(|view| view.shim_pid);
    let executors = snapshot.executors.values().filter_map(|executor| executor.shim_pid);
    let shims: std::collections::BTreeSet<u32> = tasks.chain(executors).collect();
    let wanted = format!("socket:[{inode}]");
    shims.into_iter().flat_map(process::descendants).any(|pid| holds(pid, &wanted))
}

fn holds(pid: u32, wanted: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target == Path::new(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:13BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:D431 0100007F:13BB 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 0100007F:13BB 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 20 4 30 10 -1
";

    #[test]
    fn the_kernel_knows_whose_a_connection_is() {
        let peer = "127.0.0.1:54321".parse().unwrap();
        assert_eq!(owner(TABLE, peer, 5051), Some((1000, 222)));
        assert_eq!(owner(TABLE, peer, 5050), None);
        assert_eq!(owner(TABLE, "127.0.0.1:5".parse().unwrap(), 5051), None);
        let six = "00000000000000000000000001000000:13BB";
        assert_eq!(address(six), Some(("::1".parse().unwrap(), 5051)));
        assert_eq!(address("nonsense"), None);
    }

    #[tokio::test]
    async fn this_process_is_trusted_with_its_own_machine() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let peer = stream.local_addr().unwrap();
        assert_eq!(look(peer, port, &Snapshot::default()), Caller::Trusted);
        assert_eq!(look(peer, port + 1, &Snapshot::default()), Caller::Unknown);
        let elsewhere = "192.0.2.1:1".parse().unwrap();
        assert_eq!(look(elsewhere, port, &Snapshot::default()), Caller::Unknown);
    }
}
