//! The real server on ports of its own, with a master that says what the test
//! tells it to.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use expect_test::expect;
use hickory_proto::op::{Message as Dns, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use karman_api::karman::discovery::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use super::*;
use crate::fixture::{agent, full, gone, task};

const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A master; each connection to its stream is announced, with where to write.
struct Master {
    url: String,
    streams: mpsc::Receiver<mpsc::Sender<String>>,
    tasks: Tasks,
}

impl Master {
    async fn start() -> Self {
        let listener = TcpListener::bind(LOCAL).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (announce, streams) = mpsc::channel(8);
        let stream = get(move || async move {
            let (lines, receiver) = mpsc::channel(8);
            announce.send(lines).await.unwrap();
            let lines = tokio_stream::wrappers::ReceiverStream::new(receiver);
            Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>))
        });
        let tasks = Tasks::new();
        karman_rt::http::serve(
            "master",
            listener,
            Router::new().route("/karman/v1/discovery", stream),
            &tasks,
        );
        Self { url, streams, tasks }
    }

    /// Waits for the next connection and sends it a first message.
    async fn connected(&mut self, message: &Message) -> mpsc::Sender<String> {
        let stream = self.streams.recv().await.unwrap();
        send(&stream, message).await;
        stream
    }
}

async fn send(stream: &mpsc::Sender<String>, message: &Message) {
    stream.send(format!("{}\n", serde_json::to_string(message).unwrap())).await.unwrap();
}

struct Server {
    udp: SocketAddr,
    tcp: SocketAddr,
    http: SocketAddr,
    tasks: Tasks,
}

impl Server {
    async fn start(
        master: String,
        snapshot_file: PathBuf,
        upstreams: Vec<SocketAddr>,
    ) -> Result<Self, StartError> {
        // The process that serves names installs this in its main function.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let udp = UdpSocket::bind(LOCAL).await.unwrap();
        let tcp = TcpListener::bind(LOCAL).await.unwrap();
        let http = TcpListener::bind(LOCAL).await.unwrap();
        let tasks = Tasks::new();
        let server = Self {
            udp: udp.local_addr().unwrap(),
            tcp: tcp.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            tasks: tasks.clone(),
        };
        let config = Config {
            udp: vec![udp],
            tcp: vec![tcp],
            http,
            masters: vec![master],
            master_ips: Vec::new(),
            reach: Reach::default(),
            credentials: None,
            snapshot_file,
            domain: "mesos".into(),
            upstreams,
            version: "1.2.3",
        };
        start(config, &tasks).await.map(|()| server)
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Dns {
        let socket = UdpSocket::bind(LOCAL).await.unwrap();
        socket.send_to(&query(name, kind), self.udp).await.unwrap();
        let mut buffer = [0; 4096];
        let bytes = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        Dns::from_vec(&buffer[..bytes]).unwrap()
    }

    /// The data of the answers, sorted.
    async fn answers(&self, name: &str, kind: RecordType) -> Vec<String> {
        let mut data: Vec<String> = self
            .ask(name, kind)
            .await
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect();
        data.sort();
        data
    }

    async fn get(&self, path: &str) -> String {
        let response = reqwest::get(format!("http://{}{path}", self.http)).await.unwrap();
        response.text().await.unwrap()
    }
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Dns::new(9, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Waits until a name has these addresses.
async fn eventually(server: &Server, name: &str, expected: &[&str]) {
    let wait = async {
        loop {
            let last = server.answers(name, RecordType::A).await;
            if last == expected {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), wait).await.is_err() {
        panic!("{name}: {:?}, not {expected:?}", server.answers(name, RecordType::A).await);
    }
}

#[tokio::test]
async fn changes_are_pushed_and_survive_the_master() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("discovery.json");
    let mut master = Master::start().await;
    let first = full(1, vec![task("web.1", "web", 1, &[31000])]);
    let starting = Server::start(master.url.clone(), file.clone(), vec![]);
    let (server, stream) = tokio::join!(starting, master.connected(&first));
    let server = server.unwrap();
    let name = "web.marathon.mesos.";
    assert_eq!(server.answers(name, RecordType::A).await, ["192.0.2.11"]);
    assert_eq!(server.answers("leader.mesos.", RecordType::A).await, ["192.0.2.1"]);
    assert_eq!(
        server.answers("web.marathon.autoip.dcos.thisdcos.directory.", RecordType::A).await,
        ["192.0.2.11"]
    );
    let services = server.answers("_web._tcp.marathon.mesos.", RecordType::SRV).await;
    assert!(services.len() == 1 && services[0].starts_with("0 1 31000 web-"), "{services:?}");

    let more = Message {
        generation: 2,
        tasks: vec![task("web.2", "web", 2, &[31000])],
        ..Message::default()
    };
    send(&stream, &more).await;
    eventually(&server, name, &["192.0.2.11", "192.0.2.12"]).await;

    // A gap: the stream is read again from its beginning.
    send(
        &stream,
        &Message { generation: 9, removed_tasks: vec![gone("f", "web.1")], ..Message::default() },
    )
    .await;
    let stream = master.connected(&full(9, vec![task("web.2", "web", 2, &[31000])])).await;
    eventually(&server, name, &["192.0.2.12"]).await;

    // Garbage ends the stream, and names stay.
    stream.send("nonsense\n".to_owned()).await.unwrap();
    let _stream = master.streams.recv().await.unwrap();
    assert_eq!(server.answers(name, RecordType::A).await, ["192.0.2.12"]);

    // What was saved serves the next start, without any master.
    let saved = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"generation\":9")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), saved).await.unwrap();
    server.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    master.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    let alone = Server::start(master.url, file, vec![]).await.unwrap();
    assert_eq!(alone.answers(name, RecordType::A).await, ["192.0.2.12"]);
}

/// The names of agents that a new master does not know yet stay for a while.
#[tokio::test]
async fn a_master_that_starts_may_wait_for_its_agents() {
    let folder = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let tasks = vec![task("web.1", "web", 1, &[]), task("web.2", "web", 2, &[])];
    let first = full(5, tasks);
    let starting = Server::start(master.url.clone(), folder.path().join("s"), vec![]);
    let (server, stream) = tokio::join!(starting, master.connected(&first));
    let server = server.unwrap();
    drop(stream);
    let none = Message { agents: vec![], frameworks: vec![], ..full(1, vec![]) };
    let stream = master.connected(&none).await;
    // The first agent comes back without its task.
    let back = Message { generation: 2, agents: vec![agent(1)], ..Message::default() };
    send(&stream, &back).await;
    eventually(&server, "web.marathon.mesos.", &["192.0.2.12"]).await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("discovery.json");
    std::fs::write(&file, "{\"gener").unwrap();
    let mut master = Master::start().await;
    let message = full(1, vec![]);
    let starting = Server::start(master.url.clone(), file, vec![]);
    let (server, _stream) = tokio::join!(starting, master.connected(&message));
    assert_eq!(server.unwrap().answers("slave.mesos.", RecordType::A).await.len(), 3);
}

#[tokio::test]
async fn many_queries_share_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let tasks = (0..128).map(|n| task(&format!("web.{n}"), "web", 1, &[31000 + n])).collect();
    let message = full(1, tasks);
    let starting = Server::start(master.url.clone(), folder.path().join("s"), vec![]);
    let (server, _stream) = tokio::join!(starting, master.connected(&message));
    let server = server.unwrap();
    let name = "_web._tcp.marathon.mesos.";
    let cut = server.ask(name, RecordType::SRV).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 128);

    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    let query = query(name, RecordType::SRV);
    let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes(), query.as_slice()].concat();
    // Three at once, in odd pieces.
    let all = framed.repeat(3);
    for piece in all.chunks(7) {
        stream.write_all(piece).await.unwrap();
    }
    for _ in 0..3 {
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Dns::from_vec(&reply).unwrap().answers.len(), 128);
    }
    // What is no query ends the connection.
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn other_names_come_from_the_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = UdpSocket::bind(LOCAL).await.unwrap();
    let silent = UdpSocket::bind(LOCAL).await.unwrap();
    let upstreams = vec![silent.local_addr().unwrap(), upstream.local_addr().unwrap()];
    let mut master = Master::start().await;
    let message = full(1, vec![]);
    let starting = Server::start(master.url.clone(), folder.path().join("s"), upstreams);
    let (server, _stream) = tokio::join!(starting, master.connected(&message));
    let server = server.unwrap();
    let answering = async {
        let mut buffer = [0; 512];
        let (bytes, peer) = upstream.recv_from(&mut buffer).await.unwrap();
        let mut reply = Dns::from_vec(&buffer[..bytes]).unwrap();
        reply.metadata.message_type = MessageType::Response;
        reply.metadata.response_code = ResponseCode::NXDomain;
        // A reply with another id is not for us.
        let mut forged = reply.clone();
        forged.metadata.id ^= 1;
        upstream.send_to(&forged.to_vec().unwrap(), peer).await.unwrap();
        upstream.send_to(&reply.to_vec().unwrap(), peer).await.unwrap();
    };
    let (reply, ()) = tokio::join!(server.ask("example.com.", RecordType::A), answering);
    assert_eq!((reply.metadata.id, reply.metadata.response_code), (9, ResponseCode::NXDomain));
    assert_eq!(server.answers("leader.mesos.", RecordType::A).await, ["192.0.2.1"]);
}

#[tokio::test]
async fn the_http_api_speaks_mesos_dns() {
    let folder = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let message = full(3, vec![task("web.1", "web", 1, &[31000])]);
    let starting = Server::start(master.url.clone(), folder.path().join("s"), vec![]);
    let (server, _stream) = tokio::join!(starting, master.connected(&message));
    let server = server.unwrap();
    expect![[r#"{"Service":"Mesos-DNS","Version":"1.2.3","URL":"https://github.com/mesosphere/mesos-dns"}"#]].assert_eq(&server.get("/v1/version").await);
    expect![[r#"[{"host":"web.marathon.mesos.","ip":"192.0.2.11"}]"#]]
        .assert_eq(&server.get("/v1/hosts/Web.marathon.mesos").await);
    expect![[r#"[{"host":"","ip":""}]"#]].assert_eq(&server.get("/v1/hosts/none.mesos").await);
    expect![[r#"[{"service":"_web._tcp.marathon.mesos.","host":"web-e844k-s1.marathon.slave.mesos.","ip":"192.0.2.11","port":"31000"}]"#]].assert_eq(&server.get("/v1/services/_web._tcp.marathon.mesos.").await);
    expect![[r#"[{"service":"","host":"","ip":"","port":""}]"#]]
        .assert_eq(&server.get("/v1/services/_none._tcp.marathon.mesos").await);
    expect![[r#"{"frameworks":[{"name":"marathon","tasks":[{"name":"web","id":"web.1","records":[{"name":"web.marathon.mesos.","host":"192.0.2.11","rtype":"A"},{"name":"web-e844k-s1.marathon.mesos.","host":"192.0.2.11","rtype":"A"},{"name":"web.marathon.slave.mesos.","host":"192.0.2.11","rtype":"A"},{"name":"web-e844k-s1.marathon.slave.mesos.","host":"192.0.2.11","rtype":"A"},{"name":"_web._tcp.marathon.slave.mesos.","host":"web-e844k-s1.marathon.slave.mesos.:31000","rtype":"SRV"},{"name":"_web._tcp.marathon.mesos.","host":"web-e844k-s1.marathon.slave.mesos.:31000","rtype":"SRV"},{"name":"_web._udp.marathon.slave.mesos.","host":"web-e844k-s1.marathon.slave.mesos.:31000","rtype":"SRV"},{"name":"_web._udp.marathon.mesos.","host":"web-e844k-s1.marathon.slave.mesos.:31000","rtype":"SRV"}]}]}]}"#]].assert_eq(&server.get("/v1/enumerate").await);
    expect![[r#"{"TTL":5,"Serial":3,"RefreshSeconds":0,"Mname":"ns1.mesos.","Rname":"root.ns1.mesos.","Domain":"mesos","Records":{"As":{"leader.mesos.":["192.0.2.1"],"master.mesos.":["192.0.2.1"],"master0.mesos.":["192.0.2.1"],"ns1.mesos.":["127.0.0.1"],"slave.mesos.":["192.0.2.11","192.0.2.12","192.0.2.13"],"web-e844k-s1.marathon.mesos.":["192.0.2.11"],"web-e844k-s1.marathon.slave.mesos.":["192.0.2.11"],"web.marathon.mesos.":["192.0.2.11"],"web.marathon.slave.mesos.":["192.0.2.11"]},"AAAAs":{},"SRVs":{"_leader._tcp.mesos.":["leader.mesos.:5050"],"_leader._udp.mesos.":["leader.mesos.:5050"],"_master._tcp.mesos.":["master.mesos.:5050"],"_slave._tcp.mesos.":["slave.mesos.:5051"],"_web._tcp.marathon.mesos.":["web-e844k-s1.marathon.slave.mesos.:31000"],"_web._tcp.marathon.slave.mesos.":["web-e844k-s1.marathon.slave.mesos.:31000"],"_web._udp.marathon.mesos.":["web-e844k-s1.marathon.slave.mesos.:31000"],"_web._udp.marathon.slave.mesos.":["web-e844k-s1.marathon.slave.mesos.:31000"]}}}"#]].assert_eq(&server.get("/v1/axfr").await);
    let config: serde_json::Value = serde_json::from_str(&server.get("/v1/config").await).unwrap();
    assert_eq!((&config["Domain"], &config["Port"]), (&"mesos".into(), &server.udp.port().into()));
    let ports = reqwest::get(format!("http://{}/v1/hosts/web.marathon.mesos/ports", server.http))
        .await
        .unwrap();
    assert_eq!(ports.status(), 501);
}
