//! Whether other machines can be reached from this one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Machines of one cluster are close to each other.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Those of the addresses that cannot be reached, and why. Nobody need listen:
/// a machine that refuses was reached.
pub(super) fn unreachable(targets: &[SocketAddr]) -> BTreeMap<SocketAddr, String> {
    let attempts: Vec<_> = targets
        .iter()
        .map(|target| {
            let target = *target;
            (target, std::thread::spawn(move || TcpStream::connect_timeout(&target, CONNECT_LIMIT)))
        })
        .collect();
    let mut unreachable = BTreeMap::new();
    for (target, attempt) in attempts {
        match attempt.join() {
            Ok(Err(error)) if error.kind() != ErrorKind::ConnectionRefused => {
                unreachable.insert(target, error.to_string());
            }
            Ok(_) => {}
            Err(_panicked) => drop(unreachable.insert(target, "the attempt broke off".to_owned())),
        }
    }
    unreachable
}
