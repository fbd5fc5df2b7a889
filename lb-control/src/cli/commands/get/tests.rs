use super::*;
use crate::proto::v1;

fn service(policies: Vec<v1::Policy>) -> ServiceView {
    v1::ServiceView {
        service: Some(v1::Service {
            name: "www".to_owned(),
            address: "203.0.113.10:80".to_owned(),
            protocol: v1::Protocol::Tcp.into(),
            mode: v1::Mode::L2.into(),
            affinity: v1::Affinity::Flow.into(),
            udp: v1::Udp::Stateless.into(),
            udp_idle: 120,
            server_id_bytes: 0,
            echo: false,
            ring_size: 65_537,
        }),
        backends_active: 2,
        backends_total: 3,
        policies,
        moving: true,
    }
    .into()
}

fn backend(state: &str) -> v1::BackendView {
    v1::BackendView {
        service: "www".to_owned(),
        backend: "10.0.0.11:80".to_owned(),
        weight: 100,
        state: state.to_owned(),
        since_nanos: 12_500_000_000,
        connections: 7,
        ..v1::BackendView::default()
    }
}

#[test]
fn services_in_a_table() {
    let policy = v1::Policy {
        service: "www".to_owned(),
        class: "default".to_owned(),
        refuse_ppm: 125_000,
        verdict: v1::Verdict::Silent.into(),
        scope: v1::Scope::Client.into(),
    };
    let views = [service(vec![policy]), service(Vec::new())];
    assert_eq!(
        services_table(&views).render(false),
        "\
NAME  ADDRESS          PROTOCOL  MODE  BACKENDS  REFUSED                         STATE
www   203.0.113.10:80  tcp       l2    2/3       default 12.5% silent by client  moving
www   203.0.113.10:80  tcp       l2    2/3       -                               moving
"
    );
}

#[test]
fn backends_in_a_table() {
    let draining = v1::BackendView {
        deadline_left_nanos: 48_000_000_000,
        agent: "s1".to_owned(),
        ..backend("draining")
    };
    let removable = v1::BackendView { removable: true, ..draining.clone() };
    let named = v1::BackendView {
        server_id: "0a1b".to_owned(),
        effective_weight: 50,
        load: Some(0.5),
        ..backend("active")
    };
    assert_eq!(
        backends_table(&[named.into()]).render(true),
        "\
SERVICE  ADDRESS       WEIGHT  STATE   SINCE  CONNECTIONS  AGENT  EFFECTIVE  LOAD  SERVER ID  REASON
www      10.0.0.11:80  100     active  12s    7            -      50         0.50  0a1b       -
"
    );
    let unreachable = "switch `edge1` cannot reach it: interface eth1 is down".to_owned();
    let lost = v1::BackendView { unreachable, ..backend("active") };
    let held = v1::BackendView { hold_left_nanos: 8_000_000_000, ..backend("draining") };
    let views = [backend("active"), draining, removable, lost, held].map(BackendView::from);
    let wide = backends_table(&views).render(true);
    assert!(wide.contains("switch `edge1` cannot reach it: interface eth1 is down"), "{wide}");
    assert_eq!(
        backends_table(&views).render(false),
        "\
SERVICE  ADDRESS       WEIGHT  STATE                      SINCE  CONNECTIONS  AGENT
www      10.0.0.11:80  100     active                     12s    7            -
www      10.0.0.11:80  100     draining, 48s left         12s    7            s1
www      10.0.0.11:80  100     draining, removable        12s    7            s1
www      10.0.0.11:80  100     active, unreachable        12s    7            -
www      10.0.0.11:80  100     draining, held out for 8s  12s    7            -
"
    );
}

#[test]
fn switches_and_classes_in_tables() {
    let switch = SwitchView::from(v1::SwitchView {
        name: "edge1".to_owned(),
        description: "xdp native eth0".to_owned(),
        connected: true,
        generation: 12,
        term: 3,
        sequence_sent: 9,
        sequence_live: 8,
        last_live_nanos: 180_000,
        last_error: String::new(),
        lacks: Vec::new(),
        lag_nanos: Some(90_000_000_000),
        refill_age_nanos: Some(5_000_000_000),
        refill_changes: 1000,
        drifts: 2,
        drift: Some(v1::DriftView {
            age_nanos: 12_000_000_000,
            changes: 3,
            what: "www/10.0.0.11:80 is gone".to_owned(),
            mended: false,
        }),
    });
    assert_eq!(
        switches_table(&[switch]).render(true),
        "\
NAME   STATE      DESCRIPTION      GENERATION  BEHIND  LAG  LAST LIVE AFTER  TERM  SEQUENCE  LAST REFILL          LAST DRIFT                     DRIFTS  ERROR
edge1  connected  xdp native eth0  12          1       90s  180 µs           3     8/9       1000 changes 5s ago  3 changes 12s ago, not mended  2       -
"
    );
    let class = ClassView::from(v1::ClassView {
        class: Some(v1::Class {
            name: "gold".to_owned(),
            sources: vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()],
            dscp: Vec::new(),
        }),
        admitted: 10,
        refused: 2,
    });
    assert_eq!(
        classes_table(&[class]).render(false),
        "\
NAME  SOURCES                     DSCP  ADMITTED  REFUSED
gold  192.0.2.0/24,2001:db8::/32  any   10        2
"
    );
}

#[test]
fn json_is_a_contract() {
    assert_eq!(
        serde_json::to_string(&service(Vec::new())).unwrap(),
        r#"{"name":"www","address":"203.0.113.10:80","protocol":"tcp","affinity":"flow","udp":"stateless","udp_idle_seconds":120,"server_id_bytes":0,"answers_echo":false,"mode":"l2","ring_size":65537,"backends_active":2,"backends_total":3,"moving":true,"policies":[]}"#
    );
    assert_eq!(
        serde_json::to_string(&BackendView::from(backend("active"))).unwrap(),
        r#"{"service":"www","address":"10.0.0.11:80","weight":100,"state":"active","reason":null,"since_seconds":12.5,"agent":null,"connections":7,"removable":false,"deadline_left_seconds":null,"server_id":null,"unreachable":null,"effective_weight":0,"load":null,"hold_left_seconds":null}"#
    );
}
