use std::{collections::VecDeque, net::Ipv4Addr, sync::Mutex};

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

use super::*;
use crate::{dfp::Agent, model::DfpServer};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience =
    Patience { keepalive: 8, retries: 2, interval: Duration::from_secs(5), connect: SECOND };

fn server(n: u8) -> DfpServer {
    DfpServer { port: 80, protocol: 6, address: Ipv4Addr::new(10, 0, 0, n) }
}

fn preferences(told: &[(u8, u16)]) -> Vec<u8> {
    let weights: Weights = told.iter().map(|&(n, weight)| (server(n), weight)).collect();
    weights::tell(&weights).iter().flat_map(Message::encode).collect()
}

/// What a connection is answered with.
enum Answer {
    Refused,
    Silence,
    Stream(DuplexStream),
}

/// The agents that are connected to one after the other; then nobody answers.
struct Net(Mutex<VecDeque<Answer>>);

impl Net {
    /// Speaks with these agents, and with nobody thereafter.
    fn start(
        patience: Patience,
        answers: impl IntoIterator<Item = Answer>,
    ) -> mpsc::Receiver<FromDfp> {
        let net = Self(Mutex::new(answers.into_iter().collect()));
        let (to, from) = mpsc::channel(4);
        let connect = move || {
            let answer = net.0.lock().unwrap().pop_front();
            async move {
                match answer {
                    Some(Answer::Stream(stream)) => Ok(stream),
                    Some(Answer::Silence) => std::future::pending().await,
                    Some(Answer::Refused) | None => {
                        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
                    }
                }
            }
        };
        tokio::spawn(async move { keep(connect, patience, to).await });
        from
    }
}

fn agent() -> (Answer, DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    (Answer::Stream(ours), theirs)
}

/// The next states, each with the seconds after which it came.
async fn states(from: &mut mpsc::Receiver<FromDfp>, count: usize) -> Vec<(DfpState, u64)> {
    let mut states = Vec::new();
    let begun = Instant::now();
    while states.len() < count {
        if let FromDfp::State(state, _) = from.recv().await.unwrap() {
            states.push((state, begun.elapsed().as_secs()));
        }
    }
    states
}

async fn next(from: &mut mpsc::Receiver<FromDfp>) -> FromDfp {
    tokio::time::timeout(3600 * SECOND, from.recv()).await.expect("nothing came").unwrap()
}

fn heard(told: &[(u8, u16)], anew: bool) -> FromDfp {
    FromDfp::Weights {
        weights: told.iter().map(|&(n, weight)| (server(n), weight)).collect(),
        anew,
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_heard_and_repetitions_are_not() {
    let (answer, mut agent) = agent();
    let mut from = Net::start(PATIENCE, [answer]);
    let mut parameters = [0; 16];
    agent.read_exact(&mut parameters).await.unwrap();
    assert_eq!(parameters[..], Message::Parameters { keepalive: Some(8) }.encode());
    assert_eq!(next(&mut from).await, FromDfp::State(DfpState::Connecting, String::new()));
    // Split and merged: a message and a half, then the rest and one more.
    let bytes = [preferences(&[(1, 100), (2, 7)]), preferences(&[(1, 90)])].concat();
    let (first, rest) = bytes.split_at(45);
    agent.write_all(first).await.unwrap();
    assert_eq!(next(&mut from).await, FromDfp::State(DfpState::Open, String::new()));
    agent.write_all(rest).await.unwrap();
    assert_eq!(next(&mut from).await, heard(&[(1, 90), (2, 7)], true));
    agent.write_all(&preferences(&[(1, 90), (2, 7)])).await.unwrap();
    agent.write_all(&preferences(&[(2, 0)])).await.unwrap();
    assert_eq!(next(&mut from).await, heard(&[(2, 0)], false));
    // A flood of changes is a few reports.
    for weight in 0..500 {
        agent.write_all(&preferences(&[(2, weight), (3, weight)])).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut reports = 1;
    while next(&mut from).await != heard(&[(2, 499), (3, 499)], false) {
        reports += 1;
    }
    assert!(reports <= 3, "{reports} reports");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_discarded_and_the_connection_kept() {
    let (answer, mut agent) = agent();
    let mut from = Net::start(PATIENCE, [answer]);
    for odd in [
        Message::Unknown(0x0599),
        Message::BindIdRequest,
        Message::Parameters { keepalive: Some(1) },
        Message::ServerState(vec![]),
        Message::BindIdReport(vec![]),
        Message::BindIdChange,
    ] {
        agent.write_all(&odd.encode()).await.unwrap();
    }
    let for_some = crate::dfp::Preference { server: [10, 0, 0, 1].into(), bind_id: 3, weight: 9 };
    let load = crate::dfp::Load { port: 80, protocol: 6, preferences: vec![for_some] };
    agent.write_all(&Message::PreferenceInformation(vec![load]).encode()).await.unwrap();
    agent.write_all(&preferences(&[(2, 5)])).await.unwrap();
    assert_eq!(states(&mut from, 2).await[1].0, DfpState::Open);
    assert_eq!(next(&mut from).await, heard(&[(2, 5)], true), "no BindID's weight");
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_had_has_failed_after_its_retries() {
    use DfpState::{Connecting, Failed, Open, Trying};
    let (later, mut agent) = agent();
    let answers = [Answer::Refused, Answer::Silence, Answer::Refused, Answer::Refused, later];
    let mut from = Net::start(PATIENCE, answers);
    let seen = states(&mut from, 7).await;
    let expected = [
        (Connecting, 0),
        (Trying, 0),
        (Connecting, 5),
        (Trying, 6),
        (Connecting, 11),
        (Failed, 11),
    ];
    assert_eq!(seen[..6], expected);
    assert_eq!(seen[6], (Failed, 16), "it is tried on");
    agent.write_all(&preferences(&[(1, 1)])).await.unwrap();
    assert_eq!(states(&mut from, 1).await, [(Open, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_agent_is_noticed_by_its_silence() {
    let (answer, mut one) = agent();
    let (again, mut other) = agent();
    let mut from = Net::start(PATIENCE, [answer, again]);
    one.write_all(&preferences(&[(1, 1)])).await.unwrap();
    assert_eq!(states(&mut from, 2).await[1], (DfpState::Open, 0));
    assert_eq!(next(&mut from).await, heard(&[(1, 1)], true));
    // Half a message is no sign of life.
    sleep(5 * SECOND).await;
    one.write_all(&preferences(&[(1, 2)])[..20]).await.unwrap();
    let FromDfp::State(DfpState::Trying, why) = next(&mut from).await else { panic!() };
    assert_eq!(why, "it is silent for 8s");
    other.write_all(&preferences(&[(2, 2)])).await.unwrap();
    assert_eq!(states(&mut from, 2).await, [(DfpState::Connecting, 5), (DfpState::Open, 5)]);
    assert_eq!(next(&mut from).await, heard(&[(2, 2)], true), "what it said before is over");
}

#[tokio::test(start_paused = true)]
async fn without_a_keepalive_silence_is_no_fault() {
    let (answer, mut agent) = agent();
    let mut from = Net::start(Patience { keepalive: 0, ..PATIENCE }, [answer]);
    agent.write_all(&preferences(&[(1, 1)])).await.unwrap();
    states(&mut from, 2).await;
    assert_eq!(next(&mut from).await, heard(&[(1, 1)], true));
    let more = tokio::time::timeout(10_000 * SECOND, from.recv()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_connects_and_says_nothing_fails() {
    use DfpState::{Connecting, Failed, Trying};
    let (answers, agents): (Vec<_>, Vec<_>) = (0..3).map(|_| agent()).unzip();
    let mut from = Net::start(PATIENCE, answers);
    let seen = states(&mut from, 6).await;
    let expected = [
        (Connecting, 0),
        (Trying, 8),
        (Connecting, 13),
        (Trying, 21),
        (Connecting, 26),
        (Failed, 34),
    ];
    assert_eq!(seen, expected);
    drop(agents);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_for_a_reason() {
    let signed = [&[1, 0, 1, 1, 0, 0, 0, 36, 0, 1, 0, 28][..], &[0; 24]].concat();
    let mut body = preferences(&[(1, 1)]);
    body[10..12].copy_from_slice(&[0, 3]);
    let endless = [&[1, 0, 1, 1, 0, 16, 0, 1][..], &[0; 1000]].concat();
    let flood = Message::BindIdChange.encode().repeat(1001);
    let table = [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], DfpState::Trying, "speaks version 72"),
        (&signed, DfpState::SecurityError, "signs its messages"),
        (&body, DfpState::Trying, "claims 3 bytes of 20"),
        (&endless, DfpState::Trying, "of 1048577 bytes"),
        (&flood, DfpState::Trying, "more than 1000 messages a second"),
        (b"", DfpState::Trying, "it closed the connection"),
        (&[1, 0, 1], DfpState::Trying, "bytes remaining on stream"),
    ];
    for (bytes, expected, part) in table {
        let (answer, mut agent) = agent();
        let mut from = Net::start(PATIENCE, [answer]);
        agent.write_all(bytes).await.unwrap();
        agent.shutdown().await.unwrap();
        let (state, why) = loop {
            match next(&mut from).await {
                FromDfp::State(DfpState::Connecting | DfpState::Open, _) => {}
                FromDfp::State(state, why) => break (state, why),
                weights => panic!("{weights:?} for {part}"),
            }
        };
        assert_eq!(state, expected, "{why}");
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn an_agent_speaks_of_so_many_servers_and_no_more() {
    let mut gathered = Gathered::default();
    let weights: Weights = (0..20_000)
        .map(|n: u16| (DfpServer { port: n, protocol: 6, address: Ipv4Addr::LOCALHOST }, 1))
        .collect();
    for message in weights::tell(&weights) {
        let Message::PreferenceInformation(loads) = message else { panic!() };
        gathered.take(&loads);
    }
    assert_eq!(gathered.known.len(), SERVERS);
    let FromDfp::Weights { weights, anew: true } = gathered.report() else { panic!() };
    assert_eq!(weights.len(), SERVERS);
}

/// Passes bytes on, in pieces of any size and a few at once.
async fn chop(from: tokio::net::TcpListener, to: std::net::SocketAddr) {
    let (one, _) = from.accept().await.unwrap();
    let other = TcpStream::connect(to).await.unwrap();
    let (one, other) = (one.into_split(), other.into_split());
    let pass = async |mut from: tokio::net::tcp::OwnedReadHalf,
                      mut to: tokio::net::tcp::OwnedWriteHalf,
                      seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut held = Vec::new();
        while from.read_buf(&mut held).await.unwrap_or(0) > 0 {
            while !held.is_empty() {
                let piece: Vec<_> = held.drain(..random.usize(1..=held.len())).collect();
                if to.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(pass(one.0, other.1, 1), pass(other.0, one.1, 2));
}

#[tokio::test]
async fn both_roles_hold_a_session_over_tcp_however_segments_are_cut() {
    let there = Agent::listen("127.0.0.1:0".parse().unwrap(), vec![]).await.unwrap();
    let table = |base: u16| -> Weights {
        let server =
            |n: u16| DfpServer { port: n % 10, protocol: 6, address: Ipv4Addr::from(u32::from(n)) };
        (0..3000).map(|n| (server(n), base + n % 7)).collect()
    };
    there.tell(table(10));
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = between.local_addr().unwrap();
    tokio::spawn(chop(between, there.address()));
    let (to, mut from) = mpsc::channel(4);
    let patience = Patience { keepalive: 3, ..PATIENCE };
    let manager = tokio::spawn(keep(move || connect(address), patience, to));
    let mut known = Weights::new();
    let mut states = Vec::new();
    let begun = Instant::now();
    for (round, expected) in [table(10), table(50_000), table(0)].into_iter().enumerate() {
        there.tell(expected.clone());
        while known != expected {
            let next = tokio::time::timeout(10 * SECOND, from.recv()).await.expect("lost").unwrap();
            match next {
                FromDfp::State(state, why) => states.push((state, why)),
                FromDfp::Weights { weights, anew } => {
                    assert!(round == 0 || !anew, "one connection");
                    known.extend(weights);
                }
            }
        }
    }
    // It lives on keepalives alone, for longer than two of them.
    let quiet = tokio::time::timeout(13 * SECOND / 2, from.recv()).await;
    assert!(quiet.is_err(), "{quiet:?} after {:?}", begun.elapsed());
    let names: Vec<_> = states.iter().map(|(state, _)| *state).collect();
    assert_eq!(names, [DfpState::Connecting, DfpState::Open]);
    assert_eq!(there.managers(), 1);
    // The agent dies.
    drop(there);
    let lost = tokio::time::timeout(10 * SECOND, from.recv()).await.expect("lost").unwrap();
    assert!(matches!(lost, FromDfp::State(DfpState::Trying, _)), "{lost:?}");
    drop(from);
    tokio::time::timeout(10 * SECOND, manager).await.expect("it ends with who hears it").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_speaks_of_no_server_ends_what_was_said_before() {
    let (answer, mut agent) = agent();
    let mut from = Net::start(PATIENCE, [answer]);
    agent.write_all(&preferences(&[])).await.unwrap();
    states(&mut from, 2).await;
    assert_eq!(next(&mut from).await, heard(&[], true));
}
