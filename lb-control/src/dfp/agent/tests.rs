use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;

use super::*;
use crate::dfp::{DfpError, Load, Message, Messages, Preference};

const SECOND: Duration = Duration::from_secs(1);

fn server(n: u8) -> DfpServer {
    DfpServer { port: 80, protocol: 6, address: Ipv4Addr::new(10, 0, 0, n) }
}

fn weights(weights: &[(u8, u16)]) -> Weights {
    weights.iter().map(|&(n, weight)| (server(n), weight)).collect()
}

/// A manager at the other end of a pipe.
struct Manager {
    messages: FramedRead<tokio::io::ReadHalf<DuplexStream>, Messages>,
    write: tokio::io::WriteHalf<DuplexStream>,
    table: watch::Sender<Table>,
    ended: tokio::task::JoinHandle<Result<(), DfpError>>,
}

impl Manager {
    fn connect(told: &[(u8, u16)]) -> Self {
        let (ours, theirs) = duplex(1 << 16);
        let (table, hears) = watch::channel(Table::default());
        table.send_modify(|table| table.put(weights(told), Instant::now()));
        let ended = tokio::spawn(session::session(ours, hears, drop));
        let (read, write) = tokio::io::split(theirs);
        Self { messages: FramedRead::new(read, Messages), write, table, ended }
    }

    async fn send(&mut self, message: &Message) {
        self.write.write_all(&message.encode()).await.unwrap();
    }

    fn tell(&self, told: &[(u8, u16)]) {
        self.table.send_modify(|table| table.put(weights(told), Instant::now()));
    }

    /// The next message, and after how many milliseconds it came.
    async fn next(&mut self) -> (Message, u128) {
        let begun = Instant::now();
        let message = tokio::time::timeout(3600 * SECOND, self.messages.next()).await;
        (message.expect("nothing came").unwrap().unwrap(), begun.elapsed().as_millis())
    }

    async fn next_weights(&mut self) -> (Vec<(u8, u16)>, u128) {
        let (message, after) = self.next().await;
        let Message::PreferenceInformation(loads) = message else { panic!("{message:?}") };
        let (heard, others) = crate::dfp::weights::hear(&loads);
        assert_eq!(others, 0);
        (
            heard.iter().map(|(server, weight)| (server.address.octets()[3], *weight)).collect(),
            after,
        )
    }

    /// What ended the session.
    async fn ended(self) -> String {
        match self.ended.await.unwrap() {
            Ok(()) => "closed".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_told_at_once_on_change_and_in_time() {
    let mut manager = Manager::connect(&[(1, 100), (2, 7)]);
    assert_eq!(manager.next_weights().await, (vec![(1, 100), (2, 7)], 0));
    manager.send(&Message::Parameters { keepalive: Some(8) }).await;
    assert_eq!(manager.next_weights().await, (vec![(1, 100), (2, 7)], 0));
    for _ in 0..3 {
        assert_eq!(manager.next_weights().await, (vec![(1, 100), (2, 7)], 6000));
    }
    manager.tell(&[(1, 100), (2, 8)]);
    assert_eq!(manager.next_weights().await, (vec![(2, 8)], 0), "what has changed");
    manager.tell(&[(1, 100), (2, 8)]);
    assert_eq!(manager.next_weights().await, (vec![(1, 100), (2, 8)], 6000), "nothing has");
    manager.send(&Message::Parameters { keepalive: Some(0) }).await;
    assert_eq!(manager.next_weights().await.1, 0);
    let begun = Instant::now();
    let silent = tokio::time::timeout(1000 * SECOND, manager.messages.next()).await;
    assert!(silent.is_err(), "without a keepalive nothing is repeated: {silent:?}");
    assert_eq!(begun.elapsed(), 1000 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_servers_keeps_its_connection() {
    let mut manager = Manager::connect(&[]);
    assert_eq!(manager.next_weights().await, (vec![], 0));
    manager.send(&Message::Parameters { keepalive: Some(4) }).await;
    assert_eq!(manager.next_weights().await, (vec![], 0));
    assert_eq!(manager.next_weights().await, (vec![], 3000));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_is_told_of_for_a_while() {
    let mut manager = Manager::connect(&[(1, 100), (2, 7)]);
    manager.next().await;
    manager.tell(&[(1, 100)]);
    assert_eq!(manager.next_weights().await, (vec![(2, 0)], 0));
    manager.send(&Message::Parameters { keepalive: Some(400) }).await;
    assert_eq!(manager.next_weights().await.0, [(1, 100), (2, 0)], "again with the others");
    tokio::time::sleep(GONE).await;
    manager.tell(&[(1, 101)]);
    while manager.next_weights().await.0 != [(1, 101)] {}
    assert_eq!(manager.next_weights().await.0, [(1, 101)], "it is no longer told of");
    manager.tell(&[(1, 101), (2, 5)]);
    assert_eq!(manager.next_weights().await.0, [(2, 5)]);
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_and_what_makes_no_sense_is_discarded() {
    let mut manager = Manager::connect(&[(1, 100)]);
    manager.next().await;
    manager.send(&Message::BindIdRequest).await;
    assert_eq!(manager.next().await.0, Message::BindIdReport(vec![]));
    let preference = Preference { server: [10, 0, 0, 1].into(), bind_id: 0, weight: 1 };
    let load = || vec![Load { port: 80, protocol: 6, preferences: vec![preference] }];
    for odd in [
        Message::Unknown(0x0599),
        Message::Parameters { keepalive: None },
        Message::PreferenceInformation(load()),
        Message::BindIdChange,
        Message::BindIdReport(vec![]),
        Message::ServerState(load()),
    ] {
        manager.send(&odd).await;
    }
    manager.send(&Message::BindIdRequest).await;
    assert_eq!(manager.next().await.0, Message::BindIdReport(vec![]), "it goes on");
    manager.tell(&[(1, 100), (3, 3)]);
    assert_eq!(manager.next_weights().await.0, [(3, 3)], "no server's weight was changed by it");
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_for_a_reason() {
    let signed = [&b"\x01\0\x04\x01\0\0\0\x24\0\x01\0\x1c"[..], &[0; 24]].concat();
    let lies: [(&[u8], &str); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", "speaks version 71"),
        (b"\x01\0\x03\x01\xff\xff\xff\xff", "of 4294967295 bytes"),
        (b"\x01\0\x03\x01\0\0\0\x0c\x01\x01\0\x08", "0x0101 claims 8 bytes of 4"),
        (&signed, "signs its messages"),
        (&signed[..30], "bytes remaining"),
        (b"", "closed"),
    ];
    for (bytes, why) in lies {
        let mut manager = Manager::connect(&[(1, 100)]);
        manager.write.write_all(bytes).await.unwrap();
        manager.write.shutdown().await.unwrap();
        let ended = manager.ended().await;
        assert!(ended.contains(why), "{ended}");
    }
    let mut manager = Manager::connect(&[(1, 100)]);
    let flood = Message::BindIdRequest.encode().repeat(101);
    manager.write.write_all(&flood).await.unwrap();
    assert_eq!(manager.ended().await, "it sends more than 100 messages a second");
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_does_not_read_is_let_go() {
    let (ours, theirs) = duplex(16);
    let (_table, hears) = watch::channel(Table::default());
    let begun = Instant::now();
    let error = session::session(ours, hears, drop).await.unwrap_err().to_string();
    assert_eq!(error, "it has read nothing for 3s");
    assert_eq!(begun.elapsed(), 3 * SECOND);
    drop(theirs);
}

#[test]
fn those_that_are_gone_are_limited() {
    let now = Instant::now();
    let mut table = Table::default();
    let many = |from: u16| -> Weights {
        let server = |n| DfpServer { port: n, protocol: 6, address: Ipv4Addr::LOCALHOST };
        (from..from + 5000).map(|n| (server(n), 1)).collect()
    };
    table.put(many(0), now);
    table.put(many(10_000), now + SECOND);
    assert_eq!(table.gone.len(), MOST_GONE);
    table.put(Weights::new(), now + 2 * SECOND);
    assert_eq!(table.gone.len(), MOST_GONE);
    assert!(table.gone.values().all(|since| *since == now + 2 * SECOND), "the last to go");
    assert!(table.all().values().all(|weight| *weight == 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_when_each_manager_has_it() {
    let (table, _) = watch::channel(Table::default());
    let (telling, told) = watch::channel(Told::from([(1, 0), (2, 0)]));
    let address = "127.0.0.1:8080".parse().unwrap();
    let agent = Agent { table, told, address, _serving: JoinSet::new() };
    let is_told = async || tokio::time::timeout(SECOND, agent.told()).await.is_ok();
    assert!(is_told().await, "nothing is to be told");
    agent.tell(weights(&[(1, 100)]));
    assert!(!is_told().await);
    telling.send_modify(|told| {
        told.insert(1, 1);
    });
    assert!(!is_told().await, "one was not told");
    telling.send_modify(|told| {
        told.remove(&2);
    });
    assert!(is_told().await, "the other has gone");
}

/// Everything over real sockets.
#[tokio::test]
async fn managers_connect_up_to_a_limit_and_from_where_they_may() {
    let agent = Agent::listen("127.0.0.1:0".parse().unwrap(), vec![]).await.unwrap();
    agent.tell(weights(&[(1, 100)]));
    assert_eq!(agent.managers(), 0);
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(agent.address()).await.unwrap();
        let mut messages = FramedRead::new(stream, Messages);
        assert!(matches!(messages.next().await, Some(Ok(Message::PreferenceInformation(_)))));
        connections.push(messages);
    }
    assert_eq!(agent.managers(), CONNECTIONS);
    let mut one_more = TcpStream::connect(agent.address()).await.unwrap();
    assert_eq!(one_more.read(&mut [0; 8]).await.unwrap(), 0, "sent away");
    agent.tell(weights(&[(1, 99)]));
    tokio::time::timeout(5 * SECOND, agent.told()).await.expect("all are told");
    for messages in &mut connections {
        assert!(matches!(messages.next().await, Some(Ok(Message::PreferenceInformation(_)))));
    }
    connections.clear();
    for _ in 0..500 {
        if agent.managers() == 0 {
            break;
        }
        tokio::time::sleep(SECOND / 100).await;
    }
    assert_eq!(agent.managers(), 0);
    let address = agent.address();
    drop(agent);
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_err() {
            break;
        }
        tokio::time::sleep(SECOND / 100).await;
    }
    TcpStream::connect(address).await.expect_err("nobody listens any more");

    let elsewhere = vec!["192.0.2.0/24".parse().unwrap()];
    let agent = Agent::listen("127.0.0.1:0".parse().unwrap(), elsewhere).await.unwrap();
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "sent away");
}
