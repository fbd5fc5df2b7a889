use std::collections::BTreeMap;

use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;

use super::*;
use crate::{
    config::SwitchSettings,
    dfp::{Message, Messages},
    model::{Phase, Protocol},
    switch::{PlannedServer, PlannedService},
};

fn settings(options: &str) -> SwitchSettings {
    let text = format!(
        "[[switch]]\nname = \"cisco\"\nkind = \"dfp\"\ntimeout = \"1s\"\n[switch.options]\n{options}"
    );
    let settings: crate::config::Settings = toml::from_str(&text).unwrap();
    settings.switches[0].clone()
}

/// Addresses, weights and phases.
type Servers<'a> = &'a [(&'a str, u32, Phase)];

fn plan(services: &[(&str, Protocol, Servers<'_>)]) -> Plan {
    let service = |&(name, protocol, servers): &(&str, _, Servers<'_>)| {
        let server = |&(address, weight, phase): &(&str, u32, Phase)| {
            (address.parse().unwrap(), PlannedServer { weight, phase })
        };
        let service = PlannedService {
            address: "203.0.113.10".parse().unwrap(),
            port: 80,
            protocol,
            servers: servers.iter().map(server).collect(),
            refuse: Default::default(),
            verdict: Default::default(),
        };
        (name.parse().unwrap(), service)
    };
    Plan { services: services.iter().map(service).collect() }
}

#[test]
fn options_say_where_balancers_connect() {
    let make = DIALECT.make;
    assert!(make(&settings("listen = \"127.0.0.1:8080\"\nbalancers = [\"192.0.2.1/32\"]")).is_ok());
    for (options, part) in [
        ("", "missing field `listen`"),
        ("listen = \"8080\"", "invalid socket address"),
        ("listen = \"127.0.0.1:8080\"\npassword = \"x\"", "unknown field `password`"),
    ] {
        let error = make(&settings(options)).err().unwrap();
        assert!(error.contains(part) && error.contains("`cisco`"), "{error}");
    }
}

#[tokio::test]
async fn balancers_are_told_the_plan() {
    // A free port, as it was a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut device = (DIALECT.make)(&settings(&format!("listen = \"{free}\""))).unwrap();
    let alone = device.read().await.unwrap_err();
    assert_eq!(alone, Failure::Lost(format!("no balancer is connected to {free}")));
    assert!(matches!(device.poll().await, Err(Failure::Lost(_))));

    let mut balancer = FramedRead::new(TcpStream::connect(free).await.unwrap(), Messages);
    assert_eq!(device.read().await.unwrap(), Plan::default(), "it was told nothing yet");
    let serve = Phase::Serve;
    let first = plan(&[
        ("www", Protocol::Tcp, &[("10.0.0.1:80", 100, serve), ("10.0.0.2:80", 0, Phase::Drain)]),
        ("dns", Protocol::TcpAndUdp, &[("10.0.0.1:53", 65_535, serve)]),
    ]);
    device.apply(&first).await.unwrap();
    assert_eq!(device.read().await.unwrap(), first);
    assert_eq!(device.poll().await.unwrap(), []);
    let mut heard = BTreeMap::new();
    hear(&mut balancer, &mut heard, 4).await;
    let expected = [
        (("10.0.0.1", 53, 6), 65_535),
        (("10.0.0.1", 53, 17), 65_535),
        (("10.0.0.1", 80, 6), 100),
        (("10.0.0.2", 80, 6), 0),
    ];
    assert_eq!(heard, expected.map(|((a, p, t), w)| ((a.parse().unwrap(), p, t), w)).into());

    // A removed server, and a second balancer, which hears all of it.
    let second = plan(&[("www", Protocol::Tcp, &[("10.0.0.2:80", 7, serve)])]);
    device.apply(&second).await.unwrap();
    let mut other = FramedRead::new(TcpStream::connect(free).await.unwrap(), Messages);
    let expected = [
        (("10.0.0.1", 53, 6), 0),
        (("10.0.0.1", 53, 17), 0),
        (("10.0.0.1", 80, 6), 0),
        (("10.0.0.2", 80, 6), 7),
    ];
    let expected: BTreeMap<_, _> =
        expected.map(|((a, p, t), w)| ((a.parse().unwrap(), p, t), w)).into();
    hear(&mut balancer, &mut heard, 4).await;
    assert_eq!(heard, expected);
    let mut anew = BTreeMap::new();
    hear(&mut other, &mut anew, 4).await;
    assert_eq!(anew, expected);

    drop((balancer, other));
    let gone = async {
        while device.poll().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.expect("the balancers' end is noticed");
    assert!(matches!(device.apply(&first).await, Err(Failure::Lost(_))));

    // Nobody was told that: it is still to be done.
    let _next = TcpStream::connect(free).await.unwrap();
    assert_eq!(device.read().await.unwrap(), second);
    device.apply(&first).await.unwrap();
    assert_eq!(device.read().await.unwrap(), first);
}

type Heard = BTreeMap<(std::net::Ipv4Addr, u16, u8), u16>;

/// Hears until so many are known and nothing more comes.
async fn hear(balancer: &mut FramedRead<TcpStream, Messages>, heard: &mut Heard, count: usize) {
    loop {
        let patience = if heard.len() < count { 5000 } else { 200 };
        let message = match timeout(Duration::from_millis(patience), balancer.next()).await {
            Err(_) if heard.len() >= count => return,
            message => message.unwrap().unwrap().unwrap(),
        };
        let Message::PreferenceInformation(loads) = message else { panic!("{message:?}") };
        for load in loads {
            for preference in load.preferences {
                heard.insert((preference.server, load.port, load.protocol), preference.weight);
            }
        }
    }
}

#[test]
fn one_server_with_two_weights_is_refused_in_words() {
    let serve = Phase::Serve;
    let same = plan(&[
        ("a", Protocol::Tcp, &[("10.0.0.1:80", 5, serve)]),
        ("b", Protocol::Tcp, &[("10.0.0.1:80", 5, serve), ("10.0.0.1:81", 6, serve)]),
    ]);
    assert_eq!(weights(&same).1, None);
    let other = plan(&[
        ("a", Protocol::Tcp, &[("10.0.0.1:80", 5, serve)]),
        ("b", Protocol::Tcp, &[("10.0.0.1:80", 0, Phase::Drain)]),
        ("c", Protocol::Udp, &[("10.0.0.1:80", 9, serve)]),
    ]);
    let (told, refused) = weights(&other);
    assert!(refused.unwrap().contains("10.0.0.1:80 has weight 0 in service `b`"));
    let told: Vec<_> = told.into_iter().map(|(server, weight)| (server.protocol, weight)).collect();
    assert_eq!(told, [(6, 5), (17, 9)], "the larger");
}
