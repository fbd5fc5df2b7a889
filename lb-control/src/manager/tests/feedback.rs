//! DFP agents, and balancers that ask how bindings stand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    config::{AgentCheckSettings, DfpSettings},
    dfp,
    model::{DfpServer, FromDfp, Weight},
};

fn weights(weight: Weight) -> dfp::Weights {
    [(DfpServer { port: 80, protocol: 6, address: [192, 0, 2, 1].into() }, weight)].into()
}

fn dfp_agent(address: SocketAddr) -> DfpSettings {
    let text = format!(
        "name = \"web\"\naddress = \"{address}\"\nbackends = [\"192.0.2.1/32\"]\n\
         keepalive = \"1s\"\nretries = 1\ninterval = \"50ms\"\nlost = \"closed\""
    );
    toml::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dfp_agents_weights_are_on_the_switch_and_its_death_is_noticed() {
    let there = dfp::Agent::listen("127.0.0.1:0".parse().unwrap(), vec![]).await.unwrap();
    let address = there.address();
    there.tell(weights(41));
    let switch = FakeSwitch::new("edge");
    let directory = directory();
    let mut settings = settings(directory.path(), "127.0.0.1:0");
    settings.manager.dfp.push(dfp_agent(address));
    let manager = Running::with(directory, settings, Some(&switch)).await;
    let _agent = Agent::start(&manager.target(), "web-1", 1).await;
    eventually("its weight", || switch.holds(&web()) == Some((41, Phase::Serve))).await;
    there.tell(weights(0));
    eventually("weight 0", || switch.holds(&web()) == Some((0, Phase::Serve))).await;
    there.tell(weights(42));
    eventually("another", || switch.holds(&web()) == Some((42, Phase::Serve))).await;

    let mut control = manager.control().await;
    let request = || v1::BackendRequest { service: "www".to_owned(), backend: WEB.to_owned() };
    let description = control.describe_backend(request()).await.unwrap().into_inner();
    let view = description.dfp.unwrap();
    assert_eq!((view.name.as_str(), view.state.as_str(), view.weight), ("web", "open", Some(42)));
    assert_eq!(view.address, address.to_string());

    drop(there);
    eventually("it is closed", || switch.holds(&web()) == Some((0, Phase::Serve))).await;
    let status = control.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert!(status.alarms.iter().any(|a| a.contains("DFP agent `web`")), "{:?}", status.alarms);
    let view = control.describe_backend(request()).await.unwrap().into_inner().dfp.unwrap();
    assert_eq!((view.state.as_str(), view.weight), ("failed", Some(0)));
    assert!(!view.reason.is_empty());

    // Another one in its place.
    let listener = TcpListener::bind(address).await.unwrap();
    drop(listener);
    let there = dfp::Agent::listen(address, vec![]).await.unwrap();
    there.tell(weights(43));
    eventually("it is back", || switch.holds(&web()) == Some((43, Phase::Serve))).await;
    manager.stop().await;
}

/// A balancer that knows what it was told, until it is dropped.
struct Balancer {
    told: Arc<Mutex<dfp::Weights>>,
    task: JoinHandle<()>,
}

impl Balancer {
    fn connect(address: SocketAddr) -> Self {
        let told = Arc::new(Mutex::new(dfp::Weights::new()));
        let (to, mut from) = mpsc::channel(4);
        let patience = dfp::Patience {
            keepalive: 1,
            retries: 0,
            interval: Duration::from_millis(20),
            connect: Duration::from_secs(1),
        };
        let hears = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let hear = async {
                while let Some(message) = from.recv().await {
                    if let FromDfp::Weights { weights, .. } = message {
                        hears.lock().unwrap().extend(weights);
                    }
                }
            };
            tokio::join!(dfp::keep(move || dfp::connect(address), patience, to), hear);
        });
        Self { told, task }
    }

    async fn was_told(&self, weight: Weight) {
        let expected = weights(weight);
        eventually("the weight", || *self.told.lock().unwrap() == expected).await;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_that_takes_weights_is_a_switch_like_others() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let switch = format!(
        "name = \"cisco\"\nkind = \"dfp\"\npoll = \"20ms\"\ntimeout = \"1s\"\n\
         options = {{ listen = \"{free}\" }}"
    );
    let edge = FakeSwitch::new("edge");
    let directory = directory();
    let mut settings = settings(directory.path(), "127.0.0.1:0");
    settings.switches.push(toml::from_str(&switch).unwrap());
    let manager = Running::with(directory, settings, Some(&edge)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    let balancer = Balancer::connect(free);
    balancer.was_told(100).await;
    let mut control = manager.control().await;
    let reply = control.set_weight(weight_of(7)).await.unwrap().into_inner();
    let live: Vec<_> = reply.switches.iter().map(|s| (s.name.as_str(), s.live)).collect();
    assert_eq!(live, [("cisco", true), ("edge", true)], "{reply:?}");
    balancer.was_told(7).await;

    // It starts anew, and hears all of it; meanwhile nobody waits for it.
    drop(balancer);
    let mut switches = async || {
        let list = control.list_switches(v1::ListRequest::default()).await.unwrap();
        list.into_inner().switches.into_iter().find(|switch| switch.name == "cisco").unwrap()
    };
    let begun = Instant::now();
    while switches().await.connected {
        assert!(begun.elapsed() < Duration::from_secs(5), "its end is noticed");
        sleep(Duration::from_millis(10)).await;
    }
    let mut control = manager.control().await;
    control.set_weight(weight_of(8)).await.unwrap();
    let balancer = Balancer::connect(free);
    balancer.was_told(8).await;
    let mut other = Vec::new();
    for _ in 0..3 {
        other.push(Balancer::connect(free));
    }
    for one in &other {
        one.was_told(8).await;
    }

    // What drains gets nothing new.
    let remove = v1::RemoveRequest {
        service: "www".to_owned(),
        backend: WEB.to_owned(),
        force: false,
        deadline_nanos: 60_000_000_000,
        has_deadline: true,
        wait: false,
    };
    control.remove(remove).await.unwrap();
    for one in other.iter().chain([&balancer]) {
        one.was_told(0).await;
    }
    manager.stop().await;
    agent.ended().await;
}

async fn ask(address: SocketAddr, question: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_is_answered_in_a_line() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let switch = FakeSwitch::new("edge");
    let directory = directory();
    let mut settings = settings(directory.path(), "127.0.0.1:0");
    settings.manager.agent_check = Some(AgentCheckSettings { listen: free });
    let manager = Running::with(directory, settings, Some(&switch)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    eventually("the binding", || switch.holds(&web()) == Some((100, Phase::Serve))).await;
    let question = format!("www {WEB}\n");
    assert_eq!(ask(free, &question).await, "up 100%\n");
    manager.control().await.set_weight(weight_of(0)).await.unwrap();
    assert_eq!(ask(free, &question).await, "up 0%\n");
    assert_eq!(
        ask(free, "www 192.0.2.9:80\n").await,
        "unknown # the service has no such backend\n"
    );
    let unasked = "unknown # ask by agent-send \"SERVICE ADDRESS:PORT\\n\"\n";
    assert_eq!(ask(free, "\n").await, unasked);
    assert_eq!(ask(free, &"x".repeat(256)).await, unasked, "too long for a question");

    // Those that say nothing, or not all of it, hold up nobody.
    let begun = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(free).await.unwrap());
    }
    silent[0].write_all(b"www 192.0.2.1").await.unwrap();
    assert_eq!(ask(free, &question).await, "up 0%\n");
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed without a word");
    }
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(30), "{waited:?}");
    manager.stop().await;
    agent.ended().await;
}
