//! What monitors are answered.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

/// A port that was free a moment ago.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A sample's value.
fn value(page: &str, sample: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// Every family has its help and type once, before all of its samples, and no
/// sample comes twice.
fn check(page: &str) {
    let mut names = std::collections::BTreeSet::new();
    let mut samples = std::collections::BTreeSet::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(names.insert(family), "{family} comes twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind.split(' ').next(), Some(family));
            assert_eq!(kind.ends_with("counter"), family.ends_with("_total"), "{line}");
        } else {
            assert!(line.starts_with(family), "{line} in {family}");
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(sample), "{sample} comes twice");
            value.parse::<f64>().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_see_what_the_manager_knows() {
    let switch = FakeSwitch::new("edge");
    let address = free().await;
    let directory = directory();
    let mut settings = settings(directory.path(), "127.0.0.1:0");
    settings.manager.metrics = Some(address);
    let manager = Running::with(directory, settings, Some(&switch)).await;
    let agent = Agent::start(&manager.target(), "web-1", 1).await;
    eventually("the binding", || switch.holds(&web()) == Some((100, Phase::Serve))).await;
    eventually("counters", || switch.counted()).await;
    for _ in 0..500 {
        if get(address, "/readyz").await.0 == 200 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        get(address, "/readyz").await,
        (200, "[+] learned\n[+] intent-saved\n[+] switch-in-step\n".to_owned())
    );
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/").await.0, 404);

    let (status, page) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    check(&page);
    let backend = format!("service=\"www\",backend=\"{WEB}\"");
    for (sample, expected) in [
        ("sluice_term".to_owned(), 1.0),
        ("sluice_agents".to_owned(), 1.0),
        ("sluice_sessions".to_owned(), 2.0),
        ("sluice_ready{condition=\"learned\"}".to_owned(), 1.0),
        ("sluice_learning_remaining_seconds".to_owned(), 0.0),
        ("sluice_service_backends{service=\"www\",state=\"active\"}".to_owned(), 1.0),
        ("sluice_service_backends{service=\"www\",state=\"down\"}".to_owned(), 0.0),
        ("sluice_service_frozen{service=\"www\"}".to_owned(), 0.0),
        (format!("sluice_backend_active{{{backend}}}"), 1.0),
        (format!("sluice_backend_connections{{{backend}}}"), 3.0),
        (
            format!(
                "sluice_backend_packets_total{{switch=\"edge\",{backend},direction=\"to_backend\"}}"
            ),
            42.0,
        ),
        ("sluice_agent_timeout_seconds{agent=\"web-1\"}".to_owned(), 20.0),
        ("sluice_switch_in_step{switch=\"edge\"}".to_owned(), 1.0),
        ("sluice_switch_deltas_refused_total{switch=\"edge\"}".to_owned(), 0.0),
        ("sluice_events_total{kind=\"binding.active\"}".to_owned(), 1.0),
        ("sluice_intent_save_failures_total".to_owned(), 0.0),
    ] {
        assert_eq!(value(&page, &sample), Some(expected), "{sample} in\n{page}");
    }
    let live = |end: &str| {
        value(&page, &format!("sluice_switch_delta_live_seconds_{end}")).expect("a sample")
    };
    let all = live("bucket{switch=\"edge\",le=\"+Inf\"}");
    assert_eq!(all, live("count{switch=\"edge\"}"));
    assert_eq!(Some(all), value(&page, "sluice_switch_deltas_sent_total{switch=\"edge\"}"));
    assert!(all >= 2.0 && live("sum{switch=\"edge\"}") > 0.0);

    let silent = TcpStream::connect(address).await.unwrap();
    agent.hang_up().await;
    manager.stop().await;
    drop(silent);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_misses_something_says_what() {
    let address = free().await;
    let directory = directory();
    let mut settings = settings(directory.path(), "127.0.0.1:0");
    settings.manager.metrics = Some(address);
    settings.manager.learning = Duration::from_secs(60);
    let manager = Running::with(directory, settings, None).await;
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        "[-] learned: it still learns who is there\n[+] intent-saved\n\
         [-] switch-in-step: no switch is connected and takes changes\n"
    );
    // A second manager is told whose address it is.
    let other = super::directory();
    let mut taken = super::settings(other.path(), "127.0.0.1:0");
    taken.manager.metrics = Some(address);
    let error = run(taken, None, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("which is `manager.metrics`"), "{error:#}");
    manager.stop().await;
}
