//! Readers that never read.

use std::time::Duration;

use karman_api::codec::Codec;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};

use super::fakes::{Master, Scheduler, client, store};

/// More than fits into the buffers of the kernel, as events.
const TASKS: usize = 30_000;

/// A call on a connection of its own, whose answer is read by hand.
async fn open(master: &Master, path: &str, call: &Value) -> TcpStream {
    let address = master.url.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let body = call.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

/// Reads until that much of the answer has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

fn after<'a>(text: &'a str, start: &str, end: char) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split(end).next().unwrap()
}

#[tokio::test]
async fn a_framework_that_never_reads_loses_its_connection() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let info = json!({"user": "u", "name": "n", "failover_timeout": 3600});
    let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
    let mut silent = open(&master, "/api/v1/scheduler", &call).await;
    let begun =
        read_until(&mut silent, "\"framework_id\"").await + &read_until(&mut silent, "}").await;
    let stream = after(&begun, "mesos-stream-id: ", '\r');
    let id = after(after(&begun, "\"framework_id\":{", '}'), "\"value\":\"", '"');
    // From here on it does not read.
    let tasks: Vec<Value> =
        (0..TASKS).map(|at| json!({"task_id": {"value": format!("t{at}")}})).collect();
    let call = json!({"type": "RECONCILE", "framework_id": {"value": id},
        "reconcile": {"tasks": tasks}});
    let request = client().post(format!("{}/api/v1/scheduler", master.url));
    let request = request.header("Mesos-Stream-Id", stream).json(&call);
    assert_eq!(request.send().await.unwrap().status(), 202);
    let info = json!({"id": {"value": id}, "failover_timeout": 3600});
    let again = Scheduler::subscribe(&master, Codec::Json, info).await;
    assert_eq!(again.id, id);
    // The old stream was closed; its connection is, too, though nobody read.
    let reset = silent.ready(Interest::ERROR);
    tokio::time::timeout(Duration::from_secs(50), reset).await.expect("a reset").unwrap();
    assert!(silent.take_error().unwrap().is_some());
    master.stop().await;
}
