//! A whole manager in this process, with real sockets and real gRPC clients;
//! only the switch is a fake.

mod fakes;
mod feedback;
mod monitor;

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use tokio::{task::JoinHandle, time::sleep};
use tonic::Code;

use self::fakes::{Agent, FakeSwitch};
use super::*;
use crate::{
    config,
    edge::remote,
    model::{BindingKey, Phase},
    proto::v1::{self, control_client::ControlClient},
    transport,
};

const WEB: &str = "192.0.2.1:80";

fn web() -> BindingKey {
    BindingKey { service: "www".parse().unwrap(), backend: WEB.parse().unwrap() }
}

/// A manager that was started in a directory of its own.
struct Running {
    directory: tempfile::TempDir,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

fn settings(directory: &Path, listen: &str) -> Settings {
    let directory = directory.display();
    let text = format!(
        r#"
        [manager]
        listen = "{listen}"
        socket = "{directory}/run/sluice.sock"
        intent = "{directory}/lib/intent.json"
        learning = "200ms"
        down_grace = "200ms"
        drain_deadline = "200ms"
        break_linger = "200ms"

        [[service]]
        name = "www"
        address = "203.0.113.10:80"
        mode = "l2"
        health = {{ probe = "none" }}
        "#
    );
    config::parse(&text, Path::new("test.toml")).unwrap()
}

impl Running {
    /// Starts a manager, with the switch in the same process if there is one.
    async fn start(directory: tempfile::TempDir, switch: Option<&FakeSwitch>) -> Self {
        let settings = settings(directory.path(), "127.0.0.1:0");
        Self::with(directory, settings, switch).await
    }

    async fn with(
        directory: tempfile::TempDir,
        settings: Settings,
        switch: Option<&FakeSwitch>,
    ) -> Self {
        let socket = settings.manager.socket.clone();
        let stop = CancellationToken::new();
        let local = switch.map(FakeSwitch::local);
        let task = tokio::spawn(run(settings, local, stop.clone()));
        eventually("the socket", || socket.exists()).await;
        Self { directory, stop, task }
    }

    async fn control(&self) -> ControlClient<tonic::transport::Channel> {
        let channel = transport::connect(&self.target(), None).await.unwrap();
        ControlClient::new(channel)
    }

    fn target(&self) -> String {
        format!("unix:{}/run/sluice.sock", self.directory.path().display())
    }

    /// Stops the manager in good order; its directory stays.
    async fn stop(self) -> tempfile::TempDir {
        let begun = Instant::now();
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "stopped after {:?}", begun.elapsed());
        self.directory
    }
}

async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 5 s");
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn weight_of(weight: u32) -> v1::WeightRequest {
    v1::WeightRequest { service: "www".to_owned(), backend: WEB.to_owned(), weight }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_becomes_a_delta_and_an_override_outlives_the_manager() {
    let switch = FakeSwitch::new("edge");
    let manager = Running::start(directory(), Some(&switch)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    eventually("the binding", || switch.holds(&web()) == Some((100, Phase::Serve))).await;
    let mut control = manager.control().await;

    let reply = control.set_weight(weight_of(7)).await.unwrap().into_inner();
    assert_eq!(reply.message, "www/192.0.2.1:80 has weight 7");
    assert!(matches!(&reply.switches[..], [one] if one.live && one.name == "edge"), "{reply:?}");
    assert_eq!(switch.holds(&web()), Some((7, Phase::Serve)), "live when it is answered");

    eventually("counters", || switch.counted()).await;
    let counters = control.get_counters(v1::CountersRequest::default()).await.unwrap().into_inner();
    assert_eq!(counters.backends[0].packets, 42);

    let status = control.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.term, status.agents, status.backends_active), (1, 1, 1));
    assert_eq!((status.switches_connected, status.alarms), (1, vec![]));
    let backends = control.list_backends(v1::ListRequest::default()).await.unwrap().into_inner();
    let view = &backends.backends[0];
    assert_eq!((view.state.as_str(), view.weight, view.connections), ("active", 7, 3));
    assert_eq!(view.agent, "web-1");
    let services = control.list_services(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(services.services[0].backends_active, 1);
    let switches = control.list_switches(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(switches.switches[0].description, "fake");
    let classes = control.list_classes(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(classes.classes[0].class.as_ref().unwrap().name, "default");

    let before = switch.state();
    let directory = manager.stop().await;
    agent.ended().await;
    assert_eq!(switch.state(), before, "a stop does not touch the data plane");
    let manager = Running::start(directory, Some(&switch)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    let mut control = manager.control().await;
    // Past the learning period.
    sleep(Duration::from_millis(500)).await;
    let status = control.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.term, status.learning_left_nanos, status.backends_active), (2, 0, 1));
    assert_eq!(switch.holds(&web()), Some((7, Phase::Serve)));
    assert_eq!(switch.deltas(), 2, "the bind and the weight: the restart changed nothing");

    // The agent's end is a loss at once.
    agent.hang_up().await;
    eventually("the loss", || switch.holds(&web()).is_none_or(|(_, phase)| phase != Phase::Serve))
        .await;
    eventually("the end", || switch.holds(&web()).is_none()).await;
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_until_the_server_can_be_taken_away() {
    let switch = FakeSwitch::new("edge");
    let manager = Running::start(directory(), Some(&switch)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    eventually("the binding", || switch.holds(&web()).is_some()).await;
    let request = v1::RemoveRequest {
        service: "www".to_owned(),
        backend: WEB.to_owned(),
        wait: true,
        ..v1::RemoveRequest::default()
    };
    let mut control = manager.control().await;
    let reply = control.remove(request).await.unwrap().into_inner();
    assert!(reply.message.contains("can be taken away"), "{}", reply.message);
    let held = switch.holds(&web());
    assert!(held.is_none_or(|(_, phase)| phase == Phase::Break), "{held:?}");
    eventually("the end", || switch.holds(&web()).is_none()).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(switch.holds(&web()), None, "the agent's heartbeats do not bring it back");
    assert!(agent.told("removed"));
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_has_a_status_that_a_program_can_rely_on() {
    let manager = Running::start(directory(), None).await;
    let _agent = Agent::start(&manager.target(), "web-1", 1).await;
    let mut control = manager.control().await;
    let add = |service: &str, backend: &str| v1::AddRequest {
        server_id: String::new(),
        service: service.to_owned(),
        backend: backend.to_owned(),
        weight: 1,
    };
    for _ in 0..100 {
        if control.status(v1::StatusRequest {}).await.unwrap().into_inner().backends_active == 1 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let table = [
        (control.add(add("WWW", WEB)).await.unwrap_err(), Code::InvalidArgument, "service: `WWW`"),
        (
            control.add(add("www", "web")).await.unwrap_err(),
            Code::InvalidArgument,
            "backend: `web`",
        ),
        (control.add(add("web", WEB)).await.unwrap_err(), Code::NotFound, "this manager has: www"),
        (control.add(add("www", WEB)).await.unwrap_err(), Code::AlreadyExists, "sluice weight"),
        (
            control.add(add("www", "192.0.2.2:80")).await.unwrap_err(),
            Code::InvalidArgument,
            "only an agent can vouch",
        ),
        (
            control.set_weight(weight_of(70_000)).await.unwrap_err(),
            Code::InvalidArgument,
            "weight: a weight is 0 to 65535",
        ),
        (
            control.list_backends(v1::ListRequest { service: "x".to_owned() }).await.unwrap_err(),
            Code::NotFound,
            "there is no service `x`",
        ),
        (
            control
                .get_counters(v1::CountersRequest { switch_name: "x".to_owned() })
                .await
                .unwrap_err(),
            Code::NotFound,
            "there is no switch `x`",
        ),
    ];
    for (status, code, part) in table {
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed() {
    let switch = FakeSwitch::new("edge");
    let manager = Running::start(directory(), Some(&switch)).await;
    let mut control = manager.control().await;
    let request = v1::EventsRequest {
        follow: true,
        service: "www".to_owned(),
        ..v1::EventsRequest::default()
    };
    let mut events = control.watch_events(request).await.unwrap().into_inner();
    let _agent = Agent::start(&manager.target(), "web-1", 1).await;
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "binding.active") {
        let event = events.message().await.unwrap().expect("it follows");
        if event.kind != "agent.connected" {
            assert_eq!((event.service.as_str(), event.backend.as_str()), ("www", WEB));
        }
        kinds.push(event.kind);
    }
    assert_eq!(kinds, ["agent.connected", "binding.pending", "binding.active"], "with its cause");
    let past = v1::EventsRequest::default();
    let mut past = control.watch_events(past).await.unwrap().into_inner();
    let mut sequences = Vec::new();
    while let Some(event) = past.message().await.unwrap() {
        sequences.push(event.sequence);
    }
    assert!(sequences.len() >= 4 && sequences.is_sorted(), "{sequences:?}");
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_switch_is_filled_and_comes_back_to_a_new_manager() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let place = directory();
    let settings = settings(place.path(), &free);
    let manager = |settings: Settings| {
        let stop = CancellationToken::new();
        (tokio::spawn(run(settings, None, stop.clone())), stop)
    };
    let switch = FakeSwitch::new("far");
    let edge_stop = CancellationToken::new();
    let edge = tokio::spawn({
        let (switch, stop) = (switch.clone(), edge_stop.clone());
        async move {
            let session = |to, from| switch.clone().session(to, from);
            remote::run("far".parse().unwrap(), &free, None, session, stop).await
        }
    });
    // The edge was there first, and tries until a manager is there too.
    sleep(Duration::from_millis(100)).await;
    let (first, stop) = manager(settings.clone());
    eventually("the service", || !switch.state().services.is_empty()).await;
    stop.cancel();
    first.await.unwrap().unwrap();
    eventually("the session's end", || switch.sessions_open() == 0).await;

    let (second, stop) = manager(settings);
    eventually("the new session", || switch.sessions_open() == 1).await;
    edge_stop.cancel();
    edge.await.unwrap().unwrap();
    assert_eq!(switch.sessions_open(), 0, "an orderly stop ends the session");
    stop.cancel();
    second.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_guarded() {
    let manager = Running::start(directory(), None).await;
    let settings = settings(manager.directory.path(), "127.0.0.1:0");
    let mode = std::fs::metadata(&settings.manager.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let again = |settings: Settings| run(settings, None, CancellationToken::new());
    let error = format!("{:#}", again(settings.clone()).await.unwrap_err());
    assert!(error.starts_with("another process answers at"), "{error}");
    manager.control().await;

    let mut other = settings.clone();
    other.manager.socket.set_extension("other");
    let error = format!("{:#}", again(other).await.unwrap_err());
    assert!(error.starts_with("another manager is running: it uses the intent file"), "{error}");

    let mut open = settings.clone();
    open.manager.listen = "0.0.0.0:0".parse().unwrap();
    let error = format!("{:#}", again(open).await.unwrap_err());
    assert!(error.contains("set `insecure = true`"), "{error}");

    let place = manager.stop().await;
    assert!(!settings.manager.socket.exists(), "a proper stop removes it");
    // What a killed manager leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&settings.manager.socket).unwrap());
    let manager = Running::start(place, None).await;
    eventually("a served socket", || {
        std::os::unix::net::UnixStream::connect(&settings.manager.socket).is_ok()
    })
    .await;
    let place = manager.stop().await;
    std::fs::write(&settings.manager.socket, "precious").unwrap();
    let error = format!("{:#}", again(settings.clone()).await.unwrap_err());
    assert!(error.contains("exists and is no socket"), "{error}");
    assert_eq!(std::fs::read(&settings.manager.socket).unwrap(), b"precious");
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_says_nonsense_is_told_and_ended() {
    use v1::{agent_message::Kind, agents_client::AgentsClient};
    let manager = Running::start(directory(), None).await;
    let channel = transport::connect(&manager.target(), None).await.unwrap();
    let table = [
        (Kind::Leave(v1::Leave::default()), "must be a hello"),
        (
            Kind::Hello(v1::AgentHello { name: "web 1".to_owned(), ..v1::AgentHello::default() }),
            "interval_ms",
        ),
    ];
    for (kind, part) in table {
        let message = v1::AgentMessage { kind: Some(kind) };
        // The stream stays open: the end must come from the manager.
        let messages = tokio_stream::StreamExt::chain(
            tokio_stream::once(message),
            tokio_stream::pending::<v1::AgentMessage>(),
        );
        let mut replies =
            AgentsClient::new(channel.clone()).session(messages).await.unwrap().into_inner();
        let status = replies.message().await.unwrap_err();
        assert!(status.message().contains(part), "{status}");
    }
    manager.stop().await;
}

#[test]
fn a_peer_that_does_not_read_is_not_waited_for() {
    use super::outbox::{CAPACITY, Outbox, Way};
    use crate::model::ToAgent;
    let (way, _unread) = mpsc::channel(CAPACITY);
    let outbox = Outbox::new(Way::Agent(way));
    let welcome = || ToAgent::Welcome { timeout: Duration::from_secs(1) };
    for _ in 0..CAPACITY {
        outbox.agent(welcome()).unwrap();
    }
    assert_eq!(
        outbox.agent(welcome()).unwrap_err().to_string(),
        "it does not read what it is sent"
    );
}
