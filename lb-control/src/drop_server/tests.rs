use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream as Std,
    time::Instant,
};

use super::*;

/// A sink of one listener, and its counts.
async fn sink(mode: Mode) -> (SocketAddr, Arc<Tally>, CancellationToken) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), mode).unwrap();
    let address = listener.local_addr().unwrap();
    let tally = Arc::<Tally>::default();
    let most = match mode {
        Mode::Reset => 0,
        Mode::Hold { most, .. } => most,
    };
    let room = Arc::new(Semaphore::new(most));
    let stop = CancellationToken::new();
    let sink = Sink { mode, room, tally: Arc::clone(&tally) };
    tokio::spawn(sink.take(listener, stop.clone()));
    (address, tally, stop)
}

/// What a client's read ends with, and after how long.
fn read_to_the_end(mut client: Std) -> (ErrorKind, Duration) {
    let begun = Instant::now();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let error = client.read(&mut [0; 16]).expect_err("an end by RST");
    (error.kind(), begun.elapsed())
}

async fn block<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_ends_each_connection_at_once() {
    let (address, tally, _stop) = sink(Mode::Reset).await;
    for _ in 0..20 {
        let client = block(move || Std::connect(address).unwrap()).await;
        let (kind, _) = block(move || read_to_the_end(client)).await;
        assert_eq!(kind, ErrorKind::ConnectionReset);
    }
    assert_eq!(tally.accepted.load(Ordering::Relaxed), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_reads_nothing_and_resets_in_time_and_beyond_its_room_at_once() {
    let time = Duration::from_millis(700);
    let (address, tally, stop) = sink(Mode::Hold { time, most: 2 }).await;
    let connect = move || Std::connect(address).unwrap();
    let (mut one, two) = (block(connect).await, block(connect).await);
    while tally.held.load(Ordering::Relaxed) < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    let third = block(connect).await;
    let (kind, after) = block(move || read_to_the_end(third)).await;
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(after < time / 2, "{after:?}");
    assert_eq!(tally.beyond.load(Ordering::Relaxed), 1);
    // The window closes: a client cannot send on and on.
    let sent = block(move || {
        one.set_nonblocking(true).unwrap();
        let mut sent = 0;
        loop {
            match one.write(&[0; 65_536]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            assert!(sent < 64 << 20, "it is read from");
        }
        one.set_nonblocking(false).unwrap();
        (sent, read_to_the_end(one).0)
    })
    .await;
    assert_eq!(sent.1, ErrorKind::ConnectionReset);
    assert_eq!(block(move || read_to_the_end(two)).await.0, ErrorKind::ConnectionReset);
    // There is room again; what is held at the stop is reset.
    let fourth = block(connect).await;
    while tally.held.load(Ordering::Relaxed) < 1 {
        sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    let (kind, after) = block(move || read_to_the_end(fourth)).await;
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(after < time, "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_leaves_its_place() {
    let time = Duration::from_secs(60);
    let (address, tally, _stop) = sink(Mode::Hold { time, most: 1 }).await;
    let client = TcpStream::connect(address).await.unwrap();
    while tally.held.load(Ordering::Relaxed) < 1 {
        sleep(Duration::from_millis(5)).await;
    }
    client.set_zero_linger().unwrap();
    drop(client);
    while tally.held.load(Ordering::Relaxed) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(tally.given_up.load(Ordering::Relaxed), 1);
}
