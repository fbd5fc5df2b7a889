use std::net::Ipv4Addr;

use proptest::{collection::vec, prelude::*};
use tokio_util::{bytes::BytesMut, codec::Decoder as _};

use super::*;
use crate::model::DfpServer;

/// Messages and their bytes, as a real implementation has them.
fn vectors() -> Vec<(Message, &'static [u8])> {
    let preference = Preference { server: [10, 99, 1, 2].into(), bind_id: 0, weight: 100 };
    let load = Load { port: 80, protocol: 6, preferences: vec![preference] };
    vec![
        (
            Message::Parameters { keepalive: Some(10) },
            b"\x01\x00\x03\x01\x00\x00\x00\x10\x01\x01\x00\x08\x00\x00\x00\x0a",
        ),
        (
            Message::PreferenceInformation(vec![load]),
            b"\x01\x00\x01\x01\x00\x00\x00\x1c\x00\x02\x00\x14\x00\x50\x06\x00\
              \x00\x01\x00\x00\x0a\x63\x01\x02\x00\x00\x00\x64",
        ),
        (Message::BindIdRequest, b"\x01\x00\x04\x01\x00\x00\x00\x08"),
        (
            Message::BindIdReport(vec![]),
            b"\x01\x00\x04\x02\x00\x00\x00\x18\x03\x01\x00\x10\x00\x00\x00\x00\
              \x00\x00\x00\x00\x00\x00\x00\x00",
        ),
        (Message::BindIdChange, b"\x01\x00\x04\x03\x00\x00\x00\x08"),
    ]
}

#[test]
fn vectors_are_read_and_written() {
    for (message, bytes) in vectors() {
        assert_eq!(message.encode(), bytes, "{message:?}");
        assert_eq!(Message::decode(bytes).unwrap(), message);
    }
}

/// A message of this type and with these TLVs; its length is true.
fn message(kind: u16, tlvs: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + tlvs.len()).unwrap();
    [&[1, 0], &kind.to_be_bytes()[..], &length.to_be_bytes(), tlvs].concat()
}

#[test]
fn what_others_do_differently_is_taken() {
    let keepalive = [1, 1, 0, 8, 0, 0, 0, 10];
    let unknown = [0x7f, 0, 0, 5, 0xff];
    let ten = Message::Parameters { keepalive: Some(10) };
    let table = [
        3, 1, 0, 28, 10, 0, 0, 1, 0, 80, 6, 9, 0, 1, 9, 9, 0, 7, 9, 9, 192, 0, 2, 0, 255, 255, 255,
        0,
    ];
    let client =
        Client { bind_id: 7, address: [192, 0, 2, 0].into(), mask: [255, 255, 255, 0].into() };
    let report = Message::BindIdReport(vec![BindIdTable {
        server: [10, 0, 0, 1].into(),
        port: 80,
        protocol: 6,
        clients: vec![client],
    }]);
    let table_of = [
        // The draft's misprint.
        (message(0x0402, &[]), Message::BindIdChange),
        (message(0x0402, &[0; 16]), Message::BindIdReport(vec![])),
        (message(0x0402, &table), report),
        (message(0x0301, &[&unknown[..], &keepalive].concat()), ten.clone()),
        (message(0x0301, &[&keepalive[..], &unknown].concat()), ten),
        (message(0x0301, &unknown), Message::Parameters { keepalive: None }),
        (message(0x0101, &keepalive), Message::PreferenceInformation(vec![])),
        (message(0x0500, b"anything"), Message::Unknown(0x0500)),
        (message(0x0102, &[0, 1]), Message::Unknown(0x0102)),
    ];
    for (bytes, expected) in table_of {
        assert_eq!(Message::decode(&bytes).unwrap(), expected, "{bytes:02x?}");
    }
}

#[test]
fn each_length_may_lie() {
    let (_, preference) = vectors().swap_remove(1);
    let with = |at: usize, bytes: &[u8]| {
        let mut message = preference.to_vec();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let lies = [
        (with(0, &[2]), "speaks version 2"),
        (with(4, &[0, 0, 0, 7]), "of 7 bytes"),
        (with(4, &[0, 0, 0, 27]), "of 28 bytes"),
        (with(4, &[0, 0x10, 0, 1]), "of 1048577 bytes"),
        (with(4, &[0xff; 4]), "of 4294967295 bytes"),
        (with(10, &[0, 0]), "0x0002 claims 0 bytes of 20"),
        (with(10, &[0, 3]), "0x0002 claims 3 bytes of 20"),
        (with(10, &[0, 4]), "0x0002 and 4 bytes counts more or less"),
        (with(10, &[0, 19]), "0x0002 and 19 bytes counts more or less"),
        (with(10, &[0, 21]), "0x0002 claims 21 bytes of 20"),
        (with(10, &[0xff, 0xff]), "0x0002 claims 65535 bytes of 20"),
        (with(16, &[0, 0]), "0x0002 and 20 bytes counts more or less"),
        (with(16, &[0, 2]), "0x0002 and 20 bytes counts more or less"),
        (with(16, &[0xff, 0xff]), "0x0002 and 20 bytes counts more or less"),
        (message(0x0101, &[0, 2, 0]), "0x0000 claims 4 bytes of 3"),
        (message(0x0301, &[1, 1, 0, 7, 0, 0, 0]), "0x0101 and 7 bytes counts more or less"),
        (message(0x0301, &[1, 1, 0, 9, 0, 0, 0, 1, 0]), "0x0101 and 9 bytes counts"),
        (message(0x0402, &[3, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]), "0x0301 and 12 bytes counts"),
        (message(0x0402, &[0, 0, 0, 0, 0, 0, 0, 1]), "0x0000 claims 0 bytes of 8"),
        (message(0x0401, &[0, 1, 0, 3]), "0x0001 claims 3 bytes of 4"),
        (message(0x0403, &[9, 9, 0, 5]), "0x0909 claims 5 bytes of 4"),
        (message(0x0301, &[&[0, 1, 0, 28][..], &[0; 24]].concat()), "it signs its messages"),
        (message(0x0401, &[&[0, 1, 0, 28][..], &[0; 24]].concat()), "it signs its messages"),
    ];
    for (bytes, part) in lies {
        let error = Message::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{bytes:02x?}: {error}");
    }
    for end in 0..preference.len() {
        Message::decode(&preference[..end]).unwrap_err();
    }
}

#[test]
fn a_stream_is_read_however_it_is_cut() {
    let messages: Vec<_> = vectors().into_iter().map(|(message, _)| message).collect();
    let stream: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
    for piece in 1..=stream.len() {
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for bytes in stream.chunks(piece) {
            buffer.extend_from_slice(bytes);
            while let Some(message) = Messages.decode(&mut buffer).unwrap() {
                seen.push(message);
            }
        }
        assert_eq!(seen, messages, "in pieces of {piece}");
        assert!(buffer.is_empty());
    }
}

#[test]
fn a_stream_of_something_else_is_refused_at_once() {
    for (bytes, part) in
        [(&b"GET / HTTP/1.1"[..], "version 71"), (b"\x01\0\x01\x01\x7f\0\0\0", "of 2130706432")]
    {
        let error = Messages.decode(&mut BytesMut::from(bytes)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        Messages.decode(&mut BytesMut::from(&b"\x01\0\x01\x01\x7f\0\0"[..])).unwrap().is_none()
    );
}

#[test]
fn what_is_too_much_for_one_tlv_goes_into_several() {
    let preference = |n: u32| Preference { server: n.into(), bind_id: 0, weight: 1 };
    let preferences: Vec<_> = (0..20_000).map(preference).collect();
    let load = Load { port: 1, protocol: 6, preferences };
    let bytes = Message::ServerState(vec![load.clone()]).encode();
    let Message::ServerState(loads) = Message::decode(&bytes).unwrap() else { panic!() };
    assert_eq!(loads.len(), 3);
    assert!(loads.iter().all(|part| (part.port, part.protocol) == (1, 6)));
    let all: Vec<_> = loads.into_iter().flat_map(|load| load.preferences).collect();
    assert_eq!(all, load.preferences);
}

#[test]
fn all_weights_are_told_and_each_message_fits_a_segment() {
    let nobody = weights::tell(&Weights::new());
    let Message::PreferenceInformation(loads) = &nobody[0] else { panic!("{nobody:?}") };
    assert!(loads[0].preferences.is_empty(), "a keepalive that says nothing");

    for (servers, ports) in [(1, 1), (170, 1), (172, 1), (1000, 1), (1000, 1000), (3000, 7)] {
        let server = |n: u16| DfpServer {
            port: n % ports,
            protocol: if n.is_multiple_of(2) { 6 } else { 17 },
            address: Ipv4Addr::from(u32::from(n)),
        };
        let weights: Weights = (0..servers).map(|n| (server(n), n)).collect();
        let mut told = Weights::new();
        let messages = weights::tell(&weights);
        for message in &messages {
            assert!(message.encode().len() <= 1400);
            let Message::PreferenceInformation(loads) = message else { panic!("{message:?}") };
            for load in loads {
                for &Preference { server: address, bind_id, weight } in &load.preferences {
                    assert_eq!(bind_id, 0);
                    let server = DfpServer { port: load.port, protocol: load.protocol, address };
                    assert_eq!(told.insert(server, weight), None);
                }
            }
        }
        assert_eq!(told, weights);
        let least = if ports == 1000 { 20 * 1000 } else { 8 * usize::from(servers) } / 1400;
        assert!(messages.len() <= least + 2, "{} messages for {servers}", messages.len());
    }
}

fn addresses() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn loads() -> impl Strategy<Value = Vec<Load>> {
    let preference = (addresses(), any::<u16>(), any::<u16>())
        .prop_map(|(server, bind_id, weight)| Preference { server, bind_id, weight });
    let load = (any::<u16>(), any::<u8>(), vec(preference, 0..5))
        .prop_map(|(port, protocol, preferences)| Load { port, protocol, preferences });
    vec(load, 0..4)
}

fn messages() -> impl Strategy<Value = Message> {
    let client = (any::<u16>(), addresses(), addresses())
        .prop_map(|(bind_id, address, mask)| Client { bind_id, address, mask });
    let table = (1_u32.., any::<u16>(), any::<u8>(), vec(client, 0..4)).prop_map(
        |(server, port, protocol, clients)| BindIdTable {
            server: server.into(),
            port,
            protocol,
            clients,
        },
    );
    prop_oneof![
        loads().prop_map(Message::PreferenceInformation),
        loads().prop_map(Message::ServerState),
        any::<Option<u32>>().prop_map(|keepalive| Message::Parameters { keepalive }),
        Just(Message::BindIdRequest),
        vec(table, 0..4).prop_map(Message::BindIdReport),
        Just(Message::BindIdChange),
        (0x0500..0x0600_u16).prop_map(Message::Unknown),
    ]
}

proptest! {
    #[test]
    fn messages_survive_the_wire(messages in vec(messages(), 1..5), cut in any::<prop::sample::Index>()) {
        let stream: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let (first, rest) = stream.split_at(cut.index(stream.len()));
        let mut buffer = BytesMut::from(first);
        let mut seen = Vec::new();
        while let Some(message) = Messages.decode(&mut buffer).unwrap() {
            seen.push(message);
        }
        buffer.extend_from_slice(rest);
        while let Some(message) = Messages.decode(&mut buffer).unwrap() {
            seen.push(message);
        }
        prop_assert_eq!(seen, messages);
    }
}

#[test]
fn fuzzed_dfp() {
    let mut fuzz = crate::testing::Fuzz::new("dfp");
    for (_, bytes) in vectors() {
        fuzz = fuzz.with(bytes);
    }
    fuzz.run(|bytes| {
        let mut buffer = BytesMut::from(bytes);
        while let Ok(Some(message)) = Messages.decode(&mut buffer) {
            drop(message.name());
            let again = message.encode();
            // What others do differently is written as all do.
            assert_eq!(Message::decode(&again).unwrap(), message);
        }
    });
}
