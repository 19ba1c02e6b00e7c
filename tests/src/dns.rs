//! Asks a name server over UDP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

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
    let exchange = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server).await?;
        socket.send(&bytes).await?;
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer).await?;
        answer.truncate(length);
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(LIMIT, exchange).await.map_err(|_| "no answer".to_owned())?;
    Message::from_vec(&answer.map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
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
