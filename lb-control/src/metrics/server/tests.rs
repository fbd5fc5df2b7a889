use std::time::Instant;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::*;

/// Short, so that the test is.
const SHORT: Duration = Duration::from_millis(500);

/// A server that says what it was asked, and its address.
async fn start() -> (std::net::SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let limits = Brief { patience: SHORT, ..MONITORS };
    let echo = |path: String| async move { Answer::text(StatusCode::OK, format!("<{path}>")) };
    let until = stop.clone();
    tokio::spawn(async move {
        limits.serve(listener, |stream| converse(stream, echo), until).await;
    });
    (address, stop)
}

async fn ask(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes on a client that still sends resets the connection.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn each_request_has_its_answer() {
    let (address, stop) = start().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(2 * HEAD));
    let table: [(&[u8], &str, &str); 6] = [
        (b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "</metrics>"),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\n"),
        (b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", "</>"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", "HEAD\n"),
        (b"\0\xff\r\n\r\n", "HTTP/1.1 400 ", "\r\n\r\n"),
        (long.as_bytes(), "HTTP/1.1 4", ""),
    ];
    for (request, begins, ends) in table {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(begins) && answer.ends_with(ends), "{request:?}: {answer}");
    }
    stop.cancel();
}

#[tokio::test]
async fn those_who_say_nothing_hold_others_up_for_so_long_and_no_longer() {
    let (address, stop) = start().await;
    let mut silent = Vec::new();
    for _ in 0..MONITORS.most {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let begun = Instant::now();
    let answer = ask(address, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("</x>"), "{answer}");
    let waited = begun.elapsed();
    assert!((SHORT / 2..SHORT * 20).contains(&waited), "{waited:?}");
    // A stop ends those that are open, too.
    let mut open = TcpStream::connect(address).await.unwrap();
    stop.cancel();
    let ended = timeout(SHORT / 2, open.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
}
