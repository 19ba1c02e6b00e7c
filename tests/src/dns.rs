//! Asks a name server over UDP, and again over TCP where the answer was cut.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

const LIMIT: Duration = Duration::from_secs(2);

/// The whole answer.
///
/// # Errors
/// What went wrong, as text.
pub async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Result<Message, String> {
    let mut query = Message::query();
    let name = Name::from_ascii(name).map_err(|error| error.to_string())?;
    query.add_query(Query::query(name, kind));
    query.metadata.recursion_desired = true;
    let bytes = query.to_vec().map_err(|error| error.to_string())?;
    let answer = exchange(over_udp(server, &bytes)).await?;
    if answer.metadata.truncation { exchange(over_tcp(server, &bytes)).await } else { Ok(answer) }
}

async fn exchange(answer: impl Future<Output = io::Result<Vec<u8>>>) -> Result<Message, String> {
    let answer = tokio::time::timeout(LIMIT, answer).await.map_err(|_| "no answer".to_owned())?;
    Message::from_vec(&answer.map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_u16(u16::try_from(query.len()).map_err(io::Error::other)?).await?;
    stream.write_all(query).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The addresses of a name.
///
/// # Errors
/// What went wrong, as text.
pub async fn addresses(server: SocketAddr, name: &str) -> Result<BTreeSet<IpAddr>, String> {
    let answer = ask(server, name, RecordType::A).await?;
    Ok(answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            _ => None,
        })
        .collect())
}

/// The ports of a service name.
///
/// # Errors
/// What went wrong, as text.
pub async fn ports(server: SocketAddr, name: &str) -> Result<BTreeSet<u16>, String> {
    let answer = ask(server, name, RecordType::SRV).await?;
    Ok(answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.port),
            _ => None,
        })
        .collect())
}
