//! DNS over TCP: each message after its length, many on one connection,
//! answered in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use karman_rt::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::Served;
use crate::answer::{Action, Transport};

/// Open connections; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// A connection without a query for this long is closed, as is one that does
/// not take its reply.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn spawn(listener: TcpListener, served: Served, tasks: &Tasks) {
    let task = run(listener, served, tasks.clone());
    tasks.spawn("dns-tcp", task);
}

async fn run(listener: TcpListener, served: Served, tasks: Tasks) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let served = served.clone();
                tasks.spawn("dns-connection", async move {
                    if let Err(error) = serve(stream, &served).await {
                        debug!(peer = %peer, error = karman_rt::chain(&error), "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                debug!(error = karman_rt::chain(&error), "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, served: &Served) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(query) = timeout(IDLE, read(&mut stream)).await?? else { return Ok(()) };
        let reply = match served.decide(&query, Transport::Tcp) {
            Action::Reply(reply) => Some(reply),
            Action::Forward => served.forward(&query, Transport::Tcp).await,
            Action::Drop => None,
        };
        // What is no query gets no answer, and what follows it no trust.
        let Some(reply) = reply else { return Ok(()) };
        timeout(IDLE, stream.get_mut().write_all(&frame(&reply)?)).await??;
    }
}

/// The next message; none at the end of the stream.
pub(super) async fn read(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let bytes = match stream.read_u16().await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(bytes)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// A message with its length before it.
pub(super) fn frame(message: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = u16::try_from(message.len()).map_err(|_too_long| io::ErrorKind::InvalidData)?;
    Ok([&bytes.to_be_bytes(), message].concat())
}
