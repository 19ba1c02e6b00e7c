//! One task reads and answers; only forwarded queries get a task of their own.

use std::sync::Arc;
use std::time::Duration;

use karman_rt::Tasks;
use tokio::net::UdpSocket;
use tracing::debug;

use super::Served;
use crate::answer::{Action, Transport};

/// The largest query; those that are larger are cut and then malformed.
const QUERY_BYTES_MAX: usize = 4096;

pub(crate) fn spawn(socket: UdpSocket, served: Served, tasks: &Tasks) {
    let task = run(Arc::new(socket), served, tasks.clone());
    tasks.spawn("dns-udp", task);
}

async fn run(socket: Arc<UdpSocket>, served: Served, tasks: Tasks) {
    let mut buffer = vec![0; QUERY_BYTES_MAX];
    loop {
        let (query, peer) = match socket.recv_from(&mut buffer).await {
            Ok((bytes, peer)) => (buffer.get(..bytes).unwrap_or_default(), peer),
            Err(error) => {
                // An earlier reply was refused by its receiver, or memory is short.
                debug!(error = karman_rt::chain(&error), "receiving a query failed");
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        match served.decide(query, Transport::Udp) {
            Action::Reply(reply) => send(&socket, &reply, peer).await,
            Action::Drop => {}
            Action::Forward => {
                let (socket, served, query) = (Arc::clone(&socket), served.clone(), query.to_vec());
                tasks.spawn("dns-forward", async move {
                    if let Some(reply) = served.forward(&query, Transport::Udp).await {
                        send(&socket, &reply, peer).await;
                    }
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], peer: std::net::SocketAddr) {
    if let Err(error) = socket.send_to(reply, peer).await {
        debug!(peer = %peer, error = karman_rt::chain(&error), "a reply was not sent");
    }
}
