//! Bytes that no manager would send.

use std::{net::UdpSocket, time::Duration};

use rasn_snmp::{
    v2::{GetRequest, Pdu, Pdus, Response, VarBind, VarBindValue},
    v2c,
};

use super::{prepared, users};
use crate::serveriron::{
    Options, Simulator,
    snmp::{answer::identifier, mib::SYS_UP_TIME},
};

fn get(community: &str) -> Vec<u8> {
    let variable = VarBind { name: identifier(&SYS_UP_TIME), value: VarBindValue::Unspecified };
    let pdu =
        Pdu { request_id: 7, error_status: 0, error_index: 0, variable_bindings: vec![variable] };
    let message = v2c::Message {
        version: 1.into(),
        community: community.as_bytes().into(),
        data: Pdus::GetRequest(GetRequest(pdu)),
    };
    rasn::ber::encode(&message).unwrap()
}

fn client(iron: &Simulator) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(iron.snmp_address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// The next answer to [`get`].
fn answer(socket: &UdpSocket) -> Pdu {
    let mut buffer = [0; 65_535];
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        let decoded = rasn::ber::decode::<v2c::Message<Response>>(&buffer[..length]);
        if let Ok(message) = decoded
            && message.data.0.request_id == 7
            && message.data.0.error_status == 0
        {
            return message.data.0;
        }
    }
}

#[test]
fn a_request_is_answered_and_one_of_a_stranger_is_not() {
    let iron = prepared(Options::default());
    let socket = client(&iron);
    socket.send(&get("stranger")).unwrap();
    socket.send(&get("public")).unwrap();
    let answer = answer(&socket);
    assert_eq!(answer.variable_bindings.len(), 1);
    assert!(matches!(answer.variable_bindings[0].value, VarBindValue::Value(_)));
    assert_eq!(iron.commands(), 1, "the stranger's does not even count");
}

#[test]
fn fuzzed_datagrams_do_no_harm() {
    let iron = prepared(Options { users: users(), ..Options::default() });
    let socket = client(&iron);
    let mut random = fastrand::Rng::with_seed(1991);
    for round in 0..3000 {
        let mut bytes = if round % 3 == 0 {
            (0..random.usize(..200)).map(|_| random.u8(..)).collect()
        } else {
            get("private")
        };
        if round % 3 == 2 {
            // An SNMPv3 header from here on.
            bytes[4] = 3;
        }
        for _ in 0..random.usize(..4) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        bytes.truncate(random.usize(..=bytes.len()));
        socket.send(&bytes).unwrap();
    }
    // What came last is heard last; the queue may have been full.
    let quick = Some(Duration::from_millis(500));
    socket.set_read_timeout(quick).unwrap();
    let mut buffer = [0; 65_535];
    for _ in 0..20 {
        while socket.recv(&mut buffer).is_ok() {}
        socket.send(&get("public")).unwrap();
        if socket.recv(&mut buffer).is_ok() {
            return;
        }
    }
    panic!("it answers no more");
}
