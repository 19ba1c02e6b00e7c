use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
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

/// An answer that never ends, in large pieces, and counts them.
async fn endless(State(pieces): State<Arc<AtomicUsize>>) -> Body {
    let piece = move || {
        pieces.fetch_add(1, Ordering::Relaxed);
        Some((Ok::<_, io::Error>(vec![b'x'; 1 << 20]), ()))
    };
    Body::from_stream(futures::stream::unfold((), move |()| std::future::ready(piece())))
}

/// Asks, and waits for the reset without reading.
async fn until_reset(address: SocketAddr, request: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let reset = stream.ready(tokio::io::Interest::ERROR);
    tokio::time::timeout(Duration::from_secs(20), reset).await.expect("a reset in time").unwrap();
    assert!(stream.take_error().unwrap().is_some());
}

#[tokio::test]
async fn who_never_reads_is_cut_off() {
    let tasks = Tasks::new();
    let listener = bind("127.0.0.1:0".parse().unwrap(), "a test").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pieces = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route("/", get(endless)).with_state(Arc::clone(&pieces));
    serve_to_readers("test", listener, router, Duration::from_millis(50), &tasks);
    until_reset(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The kernel takes a few; nothing else keeps what nobody reads.
    let made = pieces.load(Ordering::Relaxed);
    assert!((1..64).contains(&made), "{made} MiB were made for a reader that never reads");
    tasks.shutdown(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_connection_is_closed_from_outside() {
    async fn close(axum::Extension(connection): axum::Extension<Connection>) -> Body {
        Body::from_stream(futures::stream::once(async move {
            connection.close();
            std::future::pending::<Result<Vec<u8>, io::Error>>().await
        }))
    }
    let tasks = Tasks::new();
    let address = start(Router::new().route("/", get(close)), &tasks).await;
    until_reset(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tasks.shutdown(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    async fn large() -> axum::body::Bytes {
        (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
    }
    let tasks = Tasks::new();
    let address = start(Router::new().route("/", get(large)), &tasks).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Two at once, as clients send that do not wait.
    let ask =
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    let text = String::from_utf8_lossy(&answers[..200]).to_lowercase();
    assert!(text.contains("content-length: 12000000"), "{text}");
    let expected: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    assert!(answers.ends_with(&expected));
    assert!((2 * expected.len()..2 * expected.len() + 1000).contains(&answers.len()));
    tasks.shutdown(Duration::from_secs(20)).await.unwrap();
}
