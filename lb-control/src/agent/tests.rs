//! The agent against a small manager.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{
    StreamExt as _,
    wrappers::{TcpListenerStream, UnboundedReceiverStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::{check::tests::web_server, *};
use crate::{
    config::{AgentCheck, NotifySettings},
    proto::v1::{
        self, AgentHello, AgentMessage, AgentReply, BindRefused, BindingNotice, CloseConnections,
        Heartbeat, ServerEnd, Welcome,
        agent_message::Kind,
        agent_reply,
        agents_server::{Agents, AgentsServer},
    },
};

/// Nothing here takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// One session as the manager has it. Dropping it ends the stream.
struct Session {
    messages: Streaming<AgentMessage>,
    replies: mpsc::UnboundedSender<Result<AgentReply, Status>>,
}

impl Session {
    async fn next(&mut self) -> Kind {
        let message = timeout(PATIENCE, self.messages.next()).await;
        let message = message.expect("a message in time");
        message.expect("no end").expect("no error").kind.unwrap()
    }

    /// The first message, answered with a welcome.
    async fn hello(&mut self) -> AgentHello {
        let Kind::Hello(hello) = self.next().await else {
            panic!("a session begins with a hello");
        };
        self.reply(agent_reply::Kind::Welcome(Welcome { timeout_ms: 60_000 }));
        hello
    }

    async fn heartbeat(&mut self) -> Heartbeat {
        match self.next().await {
            Kind::Heartbeat(heartbeat) => heartbeat,
            other => panic!("not a heartbeat: {other:?}"),
        }
    }

    /// The first heartbeat that `wanted` takes.
    async fn heartbeat_with(&mut self, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        let find = async {
            loop {
                let heartbeat = self.heartbeat().await;
                if wanted(&heartbeat) {
                    return heartbeat;
                }
            }
        };
        timeout(PATIENCE, find).await.expect("such a heartbeat")
    }

    fn reply(&self, kind: agent_reply::Kind) {
        self.replies.send(Ok(AgentReply { kind: Some(kind) })).unwrap();
    }

    fn notice(&self, backend: SocketAddr, state: &str) {
        self.reply(agent_reply::Kind::Notice(BindingNotice {
            service: "www".to_owned(),
            backend: backend.to_string(),
            state: state.to_owned(),
            reason: String::new(),
            end: None,
        }));
    }
}

/// Hands each session to the test.
struct Manager(mpsc::UnboundedSender<Session>);

#[tonic::async_trait]
impl Agents for Manager {
    type SessionStream = UnboundedReceiverStream<Result<AgentReply, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (replies, outgoing) = mpsc::unbounded_channel();
        let messages = request.into_inner();
        self.0
            .send(Session { messages, replies })
            .map_err(|_| Status::unavailable("nobody looks any more"))?;
        Ok(Response::new(UnboundedReceiverStream::new(outgoing)))
    }
}

/// An agent with one bind to service `www`, and its manager.
struct Stage {
    sessions: mpsc::UnboundedReceiver<Session>,
    shutdown: CancellationToken,
    agent: JoinHandle<anyhow::Result<()>>,
    /// Where its sockets are.
    directory: tempfile::TempDir,
}

impl Stage {
    async fn new(backend: SocketAddr, http: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let manager = listener.local_addr().unwrap().to_string();
        let (sender, sessions) = mpsc::unbounded_channel();
        tokio::spawn(
            Server::builder()
                .add_service(AgentsServer::new(Manager(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        let check = AgentCheck {
            http: http.map(str::to_owned),
            interval: Duration::from_millis(20),
            fall: 1,
            ..AgentCheck::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let notify = NotifySettings {
            socket: directory.path().join("notify.sock"),
            systemd_socket: directory.path().join("systemd.sock"),
            ..NotifySettings::default()
        };
        let settings = AgentSettings {
            name: Some("s1".parse().unwrap()),
            manager,
            interval: Duration::from_millis(20),
            leave_deadline: PATIENCE,
            close: true,
            decap: None,
            notify: Some(notify.clone()),
            binds: vec![AgentBind {
                service: "www".parse().unwrap(),
                address: backend,
                weight: 70,
                server_id: Some("0a1b".parse().unwrap()),
                check,
                agent_check: None,
            }],
        };
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let agent = tokio::spawn(async move { run(&settings, None, token).await });
        Self { sessions, shutdown, agent, directory }
    }

    async fn session(&mut self) -> Session {
        let session = timeout(PATIENCE, self.sessions.recv()).await;
        session.expect("a session in time").unwrap()
    }

    async fn left(self) {
        let end = timeout(PATIENCE, self.agent).await.expect("an end in time");
        end.unwrap().unwrap();
    }
}

#[tokio::test]
async fn heartbeats_carry_what_the_checks_see() {
    let status = Arc::new(AtomicU16::new(200));
    let backend = web_server(status.clone()).await;
    let mut stage = Stage::new(backend, Some("/health")).await;
    let mut session = stage.session().await;

    let hello = session.hello().await;
    assert_eq!((hello.name.as_str(), hello.interval_ms), ("s1", 20));
    assert_eq!(hello.binds[0].service, "www");
    assert_eq!(hello.binds[0].backend, backend.to_string());
    assert_eq!((hello.binds[0].weight, hello.binds[0].server_id.as_str()), (70, "0a1b"));

    let first = session.heartbeat().await;
    assert_eq!(first.sequence, 1);
    session.heartbeat_with(|beat| beat.backends[0].healthy).await;
    status.store(503, Ordering::Relaxed);
    let sick = session.heartbeat_with(|beat| !beat.backends[0].healthy).await;
    assert!(sick.backends[0].cause.contains("503"), "{sick:?}");
    status.store(204, Ordering::Relaxed);
    session.heartbeat_with(|beat| beat.backends[0].healthy).await;
}

#[tokio::test]
async fn a_new_session_goes_on_where_the_last_one_ended() {
    let backend = web_server(Arc::new(AtomicU16::new(200))).await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    let boot_id = session.hello().await.boot_id;
    let last = session.heartbeat_with(|beat| beat.sequence >= 3).await.sequence;
    drop(session);

    let mut session = stage.session().await;
    assert_eq!(session.hello().await.boot_id, boot_id);
    assert!(session.heartbeat().await.sequence > last);
}

/// A backend, and what keeps one connection to it open.
async fn busy_backend() -> (SocketAddr, (TcpListener, TcpStream, TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = listener.local_addr().unwrap();
    let client = TcpStream::connect(backend).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    (backend, (listener, client, accepted))
}

#[tokio::test]
async fn leaves_when_its_bindings_are_gone() {
    let (backend, held) = busy_backend().await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    session.notice(backend, "active");
    session.heartbeat_with(|beat| beat.backends[0].connections >= 1).await;

    stage.shutdown.cancel();
    while !matches!(session.next().await, Kind::Leave(_)) {}
    session.notice(backend, "draining");
    // A connection is open: it stays, and goes on heartbeating.
    for _ in 0..10 {
        session.heartbeat().await;
    }
    assert!(!stage.agent.is_finished());
    session.notice(backend, "removed");
    stage.left().await;
    drop(held);
}

#[tokio::test]
async fn leaves_when_no_connection_is_left() {
    let (backend, held) = busy_backend().await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    stage.shutdown.cancel();
    while !matches!(session.next().await, Kind::Leave(_)) {}
    session.notice(backend, "draining");
    for _ in 0..10 {
        session.heartbeat().await;
    }
    assert!(!stage.agent.is_finished());
    drop(held);
    stage.left().await;
}

#[tokio::test]
async fn a_refused_bind_holds_nothing_up() {
    let backend = web_server(Arc::new(AtomicU16::new(200))).await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    session.reply(agent_reply::Kind::Refused(BindRefused {
        service: "www".to_owned(),
        backend: backend.to_string(),
        reason: "there is no service `www`".to_owned(),
    }));
    stage.shutdown.cancel();
    stage.left().await;
}

#[tokio::test]
async fn leaves_without_a_manager() {
    let backend = web_server(Arc::new(AtomicU16::new(200))).await;
    let mut stage = Stage::new(backend, None).await;
    drop(stage.session().await);
    stage.shutdown.cancel();
    // Sessions that come up meanwhile end at once.
    stage.sessions.close();
    stage.left().await;
}

#[tokio::test]
async fn counts_where_the_manager_says_that_connections_end() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = SocketAddr::from(([127, 0, 0, 1], port));
    let _clients = (
        TcpStream::connect(backend).await.unwrap(),
        TcpStream::connect(("127.0.0.2", port)).await.unwrap(),
    );
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    // Of the check's own connections there may be one more.
    session.heartbeat_with(|beat| beat.backends[0].connections >= 2).await;
    session.reply(agent_reply::Kind::Notice(BindingNotice {
        service: "www".to_owned(),
        backend: backend.to_string(),
        state: "active".to_owned(),
        reason: String::new(),
        end: Some(ServerEnd { local: format!("127.0.0.2:{port}"), except: Vec::new() }),
    }));
    session.heartbeat_with(|beat| beat.backends[0].connections == 1).await;
}

#[tokio::test]
async fn every_request_to_close_is_answered() {
    let backend = web_server(Arc::new(AtomicU16::new(200))).await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    for heartbeat in 0..3 {
        session.reply(agent_reply::Kind::Close(CloseConnections {
            service: "www".to_owned(),
            backend: backend.to_string(),
            end: Some(ServerEnd { local: "203.0.113.10:80".to_owned(), except: Vec::new() }),
            heartbeat,
        }));
    }
    for heartbeat in 0..3 {
        let closed = loop {
            match session.next().await {
                Kind::Closed(closed) => break closed,
                _ => continue,
            }
        };
        assert_eq!((closed.service.as_str(), closed.connections), ("www", 0));
        assert_eq!(closed.backend, backend.to_string());
        assert_eq!(closed.heartbeat, heartbeat, "in their order");
    }
}

#[tokio::test]
async fn heartbeats_carry_what_the_application_says() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let backend = web_server(Arc::new(AtomicU16::new(200))).await;
    let mut stage = Stage::new(backend, None).await;
    let mut session = stage.session().await;
    session.hello().await;
    session.heartbeat_with(|beat| beat.backends[0].healthy).await;
    let socket = stage.directory.path().join("notify.sock");
    let say = async |line: &str| {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.lines().all(|line| line.starts_with("ok 1 binding")), "{answer}");
    };
    say("weight 7\nweight 50%\nload 2.5\nfailed the disk is full\n").await;
    let failed = v1::Availability::Failed;
    let beat = session.heartbeat_with(|beat| beat.backends[0].availability() == failed).await;
    let report = &beat.backends[0];
    assert_eq!((report.weight, report.weight_percent), (Some(7), Some(50)));
    assert_eq!((report.load, report.availability_cause.as_str()), (2.5, "the disk is full"));
    assert!(report.healthy, "its port answers all the same");
    say("ready").await;
    let ready = v1::Availability::Ready;
    let serves = |beat: &Heartbeat| {
        let report = &beat.backends[0];
        report.availability() == ready && report.healthy
    };
    session.heartbeat_with(serves).await;
    // A flood of events is no flood of heartbeats, and its last word arrives.
    let before = session.heartbeat().await.sequence;
    let begun = std::time::Instant::now();
    say(&(0..50).map(|weight| format!("weight {weight}\n")).collect::<String>()).await;
    let beat = session.heartbeat_with(|beat| beat.backends[0].weight == Some(49)).await;
    let beats = u128::from(beat.sequence - before);
    let at_most = (begun.elapsed().as_millis() / 20 + 2) * 9;
    assert!(beats <= at_most, "{beats} heartbeats, where {at_most} may be");
}
