use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

async fn start(router: Router, tasks: &Tasks) -> SocketAddr {
    let listener = bind("127.0.0.1:0".parse().unwrap(), "a test").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve("test", listener, router, tasks);
    address
}

/// The status line of the answer to a raw request.
async fn status(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn panics_answer_500_and_large_bodies_413() {
    async fn take(body: axum::body::Bytes) -> String {
        body.len().to_string()
    }
    let tasks = Tasks::new();
    let router = Router::new()
        .route("/panic", get(|| async { assert!(std::hint::black_box(false)) }))
        .route("/take", post(take));
    let address = start(router, &tasks).await;
    assert_eq!(
        status(address, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await,
        "HTTP/1.1 500 Internal Server Error"
    );
    // One client sends it all before it reads the answer, the other asks first.
    let head =
        format!("POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", BODY_BYTES_MAX + 1);
    let whole = format!("{head}\r\n{}", "x".repeat(BODY_BYTES_MAX + 1));
    assert_eq!(status(address, &whole).await, "HTTP/1.1 413 Payload Too Large");
    let asking = format!("{head}expect: 100-continue\r\n\r\n");
    assert_eq!(status(address, &asking).await, "HTTP/1.1 413 Payload Too Large");
    tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let first = bind("127.0.0.1:0".parse().unwrap(), "the master").await.unwrap();
    let error = bind(first.local_addr().unwrap(), "the master").await.unwrap_err().to_string();
    assert!(error.contains("for the master"), "{error}");
    assert!(error.contains("another process uses this port"), "{error}");
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let tasks = Tasks::new();
    let address = start(Router::new().route("/", get(|| async { "x" })), &tasks).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(status(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await, "HTTP/1.1 200 OK");
    tasks.shutdown(Duration::from_secs(10)).await.unwrap();
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap_or(0), 0);
}
