use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A web server that answers every request with the status it holds.
pub(in crate::agent) async fn web_server(status: Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap_or(0);
            if !request[..read].starts_with(b"GET /health HTTP/1.1\r\n") {
                continue;
            }
            let status = status.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn check(http: Option<&str>) -> AgentCheck {
    AgentCheck {
        http: http.map(str::to_owned),
        timeout: Duration::from_millis(300),
        ..AgentCheck::default()
    }
}

#[test]
fn rise_and_fall() {
    let mut judge = Judge::new(&AgentCheck { rise: 2, fall: 3, ..AgentCheck::default() });
    let fail = || Err("why".to_owned());
    let steps = [
        (fail(), false),
        (Ok(()), false),
        (fail(), false),
        (Ok(()), false),
        (Ok(()), true),
        (fail(), true),
        (fail(), true),
        (Ok(()), true),
        (fail(), true),
        (fail(), true),
        (fail(), false),
    ];
    for (number, (result, healthy)) in steps.into_iter().enumerate() {
        judge.take(result);
        assert_eq!(judge.health.healthy, healthy, "step {number}");
    }
    assert_eq!(judge.health.cause, "why");
}

#[tokio::test]
async fn http_statuses() {
    let status = Arc::new(AtomicU16::new(200));
    let address = web_server(status.clone()).await;
    let check = check(Some("/health"));
    for (code, healthy) in [(200, true), (302, true), (404, false), (503, false)] {
        status.store(code, Ordering::Relaxed);
        assert_eq!(once(address, &check).await.is_ok(), healthy, "{code}");
    }
    let cause = once(address, &check).await.unwrap_err();
    assert_eq!(cause, format!("GET /health of {address}: status 503 Service Unavailable"));
}

#[tokio::test]
async fn silence_and_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The kernel takes the connection, nobody answers the request.
    assert_eq!(once(address, &check(None)).await, Ok(()));
    assert_eq!(
        once(address, &check(Some("/"))).await.unwrap_err(),
        format!("no answer from {address} within 300ms")
    );
    drop(listener);
    assert_eq!(
        once(address, &check(None)).await.unwrap_err(),
        format!("cannot connect to {address}: Connection refused (os error 111)")
    );
}

#[test]
fn fuzzed_http_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = SocketAddr::from(([192, 0, 2, 1], 80));
    crate::testing::Fuzz::new("http-answer")
        .words(&[
            "HTTP/1.1 ",
            "HTTP/1.0 ",
            "200",
            "\r\n",
            "\r\n\r\n",
            "content-length: ",
            "transfer-encoding: chunked\r\n",
            "100 continue\r\n\r\n",
            "location: ",
        ])
        .run(|bytes| {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let limit = Duration::from_secs(5);
            runtime.block_on(async {
                let answer = async {
                    // It may have heard enough before all is said.
                    drop(theirs.write_all(bytes).await);
                    drop(theirs.shutdown().await);
                    theirs
                };
                let (result, _theirs) = tokio::join!(converse(ours, address, "/", limit), answer);
                if let Err(error) = result {
                    assert!(error.starts_with("GET / of 192.0.2.1:80: "), "{error}");
                    assert!(error.len() < 1000, "{error}");
                }
            });
        });
}
