use std::time::{Duration, Instant};

use rasn_snmp::v2::Pdu;

use super::{L4, prepare};
use crate::serveriron::{
    Binding, Limits, Predictor, State,
    snmp::{
        mib::{Name, Value},
        set::{Fault, set},
    },
};

type Variables = Vec<(Name, Value)>;

fn state(binds: usize) -> State {
    let limits = Limits { binds, ..Limits::default() };
    let mut state = State::new(limits, false, Duration::from_secs(120), Instant::now());
    prepare(&mut state);
    state
}

fn name(table: u32, column: u32, index: &[u32]) -> Name {
    [&L4[..], &[table, 1, 1, column], index].concat()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Creates a bind of `www:80`.
fn bind(index: u32, real: &str, real_port: i32) -> Variables {
    vec![
        (name(6, 2, &[index]), text("www")),
        (name(6, 3, &[index]), Value::Integer(80)),
        (name(6, 4, &[index]), text(real)),
        (name(6, 5, &[index]), Value::Integer(real_port)),
        (name(6, 6, &[index]), Value::Integer(4)),
    ]
}

fn unbind(index: u32) -> Variables {
    vec![(name(6, 6, &[index]), Value::Integer(3))]
}

fn fault(status: u32, at: usize) -> Result<usize, Fault> {
    Err(Fault { status, at })
}

#[test]
fn one_request_binds_and_one_unbinds() {
    let mut state = state(2048);
    assert_eq!(set(&mut state, &bind(7, "web1", 80)), Ok(1));
    assert_eq!(state.running.bind_of(&Binding::new("www", 80, "web1", 80)), Some(7));
    assert_eq!(set(&mut state, &unbind(7)), Ok(1));
    state.settle();
    assert!(state.running.binds.is_empty());
}

#[test]
fn rows_of_every_table_come_and_go_in_one_request() {
    let mut state = state(2048);
    let (real, real_port): (&[u32], &[u32]) = (&[198, 51, 100, 9], &[198, 51, 100, 9, 8080]);
    let (server, port): (&[u32], &[u32]) = (&[203, 0, 113, 9], &[203, 0, 113, 9, 443]);
    // The bind comes first, what it stands on later.
    let create = vec![
        (name(6, 2, &[1]), text("tls")),
        (name(6, 3, &[1]), Value::Integer(443)),
        (name(6, 4, &[1]), text("web9")),
        (name(6, 5, &[1]), Value::Integer(8080)),
        (name(6, 6, &[1]), Value::Integer(4)),
        (name(22, 3, port), text("tls")),
        (name(22, 5, port), Value::Integer(1)),
        (name(22, 7, port), Value::Integer(4)),
        (name(21, 2, server), text("tls")),
        (name(21, 4, server), Value::Integer(3)),
        (name(21, 5, server), Value::Integer(4)),
        (name(20, 4, real_port), Value::Integer(0)),
        (name(20, 5, real_port), Value::Integer(4)),
        (name(19, 2, real), text("web9")),
        (name(19, 5, real), Value::Integer(7)),
        (name(19, 4, real), Value::Integer(50)),
        (name(19, 6, real), Value::Integer(4)),
    ];
    assert_eq!(set(&mut state, &create), Ok(5));
    let made = &state.running.reals["web9"];
    assert_eq!((made.weight, made.max_connections), (7, 50));
    assert!(!made.ports[&8080].life.enabled);
    assert_eq!(state.running.virtuals["tls"].predictor, Some(Predictor::Weighted));
    assert!(state.running.virtuals["tls"].ports[&443].sticky);
    assert_eq!(state.running.binds[&1].binding, Binding::new("tls", 443, "web9", 8080));
    let change = vec![
        (name(20, 4, real_port), Value::Integer(1)),
        (name(19, 3, real), Value::Integer(0)),
        (name(19, 6, real), Value::Integer(5)),
    ];
    assert_eq!(set(&mut state, &change), Ok(2));
    assert!(state.running.reals["web9"].ports[&8080].life.enabled);
    assert!(!state.running.reals["web9"].life.enabled);
    let delete = vec![
        (name(19, 6, real), Value::Integer(3)),
        (name(20, 5, real_port), Value::Integer(3)),
        (name(21, 5, server), Value::Integer(3)),
        (name(22, 7, port), Value::Integer(3)),
        (name(6, 6, &[1]), Value::Integer(3)),
    ];
    assert_eq!(set(&mut state, &delete), Ok(5));
    state.settle();
    let mut fresh = self::state(2048);
    fresh.settle();
    let names = |state: &State| {
        let reals: Vec<String> = state.running.reals.keys().cloned().collect();
        (reals, state.running.virtuals.len(), state.running.binds.len())
    };
    assert_eq!(names(&state), names(&fresh));
    assert!(state.violations.is_empty());
}

#[test]
fn what_goes_goes_last_whatever_the_order_of_variables() {
    let mut state = state(2048);
    let mut variables = vec![(name(19, 6, &[198, 51, 100, 1]), Value::Integer(3))];
    variables.extend(bind(1, "web1", 80));
    assert_eq!(set(&mut state, &variables), Ok(2));
    state.settle();
    assert!(state.violations.is_empty(), "{:?}", state.violations);
    assert!(state.running.binds.is_empty());
}

#[test]
fn a_refused_variable_refuses_the_whole_request() {
    let mut state = state(2048);
    let before = state.running.clone();
    let mut both = bind(1, "web1", 80);
    both.extend(bind(2, "nobody", 80));
    assert_eq!(set(&mut state, &both), fault(Pdu::ERROR_STATUS_INCONSISTENT_VALUE, 9));
    assert_eq!(state.running, before);
}

#[test]
fn each_mistake_has_its_status_and_place() {
    let mut held = state(2);
    set(&mut held, &bind(1, "web1", 80)).unwrap();
    let swap = |mut variables: Variables, at: usize, value: Value| {
        variables[at].1 = value;
        variables
    };
    let fresh = || bind(2, "web2", 80);
    let cases: Vec<(&str, Variables, u32, usize)> = vec![
        ("a port as text", swap(fresh(), 1, text("80")), Pdu::ERROR_STATUS_WRONG_TYPE, 1),
        ("a name as number", swap(fresh(), 0, Value::Integer(1)), Pdu::ERROR_STATUS_WRONG_TYPE, 0),
        ("no name", swap(fresh(), 2, text("")), Pdu::ERROR_STATUS_WRONG_LENGTH, 2),
        ("33 letters", swap(fresh(), 2, text(&"x".repeat(33))), Pdu::ERROR_STATUS_WRONG_LENGTH, 2),
        ("port 65536", swap(fresh(), 3, Value::Integer(65_536)), Pdu::ERROR_STATUS_WRONG_VALUE, 3),
        ("modify a bind", swap(fresh(), 4, Value::Integer(5)), Pdu::ERROR_STATUS_WRONG_VALUE, 4),
        ("status other", swap(fresh(), 4, Value::Integer(1)), Pdu::ERROR_STATUS_WRONG_VALUE, 4),
        ("not created", fresh()[..4].to_vec(), Pdu::ERROR_STATUS_INCONSISTENT_NAME, 0),
        ("half a row", fresh()[2..].to_vec(), Pdu::ERROR_STATUS_INCONSISTENT_VALUE, 2),
        ("index taken", bind(1, "web2", 80), Pdu::ERROR_STATUS_INCONSISTENT_VALUE, 4),
        ("bound already", bind(2, "web1", 80), Pdu::ERROR_STATUS_INCONSISTENT_VALUE, 4),
        ("no such port", bind(2, "web2", 81), Pdu::ERROR_STATUS_INCONSISTENT_VALUE, 4),
        ("index 0", bind(0, "web2", 80), Pdu::ERROR_STATUS_NO_CREATION, 0),
        ("index 2049", bind(2049, "web2", 80), Pdu::ERROR_STATUS_NO_CREATION, 0),
        ("deleting nothing", unbind(9), Pdu::ERROR_STATUS_INCONSISTENT_NAME, 0),
        (
            "the index itself",
            vec![(name(6, 1, &[1]), Value::Integer(1))],
            Pdu::ERROR_STATUS_NOT_WRITABLE,
            0,
        ),
        (
            "a counter",
            vec![(name(23, 5, &[198, 51, 100, 1]), Value::Integer(1))],
            Pdu::ERROR_STATUS_NOT_WRITABLE,
            0,
        ),
        (
            "another name",
            vec![(name(19, 2, &[198, 51, 100, 1]), text("other"))],
            Pdu::ERROR_STATUS_INCONSISTENT_VALUE,
            0,
        ),
        (
            "weight",
            vec![(name(19, 5, &[198, 51, 100, 1]), Value::Integer(65_001))],
            Pdu::ERROR_STATUS_WRONG_VALUE,
            0,
        ),
        (
            "the second column of a row that is there",
            vec![
                (name(19, 3, &[198, 51, 100, 1]), Value::Integer(0)),
                (name(19, 5, &[198, 51, 100, 1]), Value::Integer(65_001)),
            ],
            Pdu::ERROR_STATUS_WRONG_VALUE,
            1,
        ),
        (
            "a column of a row that is made",
            vec![
                (name(19, 2, &[198, 51, 100, 9]), text("web9")),
                (name(19, 5, &[198, 51, 100, 9]), Value::Integer(65_001)),
                (name(19, 6, &[198, 51, 100, 9]), Value::Integer(4)),
            ],
            Pdu::ERROR_STATUS_WRONG_VALUE,
            1,
        ),
    ];
    let before = held.running.clone();
    for (what, variables, status, at) in cases {
        assert_eq!(set(&mut held, &variables), fault(status, at), "{what}");
        assert_eq!(held.running, before, "{what}");
    }
    set(&mut held, &bind(2, "web2", 80)).unwrap();
    held.set_real_port("web2", 81, true).unwrap();
    assert_eq!(
        set(&mut held, &bind(3, "web2", 81)),
        fault(Pdu::ERROR_STATUS_RESOURCE_UNAVAILABLE, 4),
        "full"
    );
}

#[test]
fn a_reverse_set_during_a_shutdown_is_a_violation() {
    let mut state = state(2048);
    set(&mut state, &bind(1, "web1", 80)).unwrap();
    let open = state.open("www", 80, 1);
    set(&mut state, &unbind(1)).unwrap();
    state.settle();
    assert!(state.running.binds[&1].life.leaving);
    set(&mut state, &bind(1, "web1", 80)).unwrap();
    assert_eq!(state.violations.len(), 1, "{:?}", state.violations);
    state.close(&open);
    state.settle();
    assert!(state.running.binds.is_empty());
    set(&mut state, &bind(1, "web1", 80)).unwrap();
    assert_eq!(state.violations.len(), 1);
}
