use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn one_who_was_met_and_refuses_has_ended() {
    let (listener, address) = listener().await;
    let watched = tokio::spawn(async move { ended(&address).await });
    // Lines that are closed while the door is open say nothing.
    for _ in 0..2 {
        drop(listener.accept().await.unwrap());
    }
    let (line, _) = listener.accept().await.unwrap();
    assert!(!watched.is_finished());
    drop(listener);
    drop(line);
    watched.await.unwrap();
}

#[tokio::test]
async fn one_who_was_never_met_is_not_judged() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let refused = TcpStream::connect(&address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let watched = tokio::spawn(async move { ended(&address).await });
    tokio::task::yield_now().await;
    let listener = socket.listen(1).unwrap();
    drop(listener.accept().await.unwrap());
    assert!(!watched.is_finished());
    drop(listener);
    watched.await.unwrap();
}
