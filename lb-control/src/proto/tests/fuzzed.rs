//! Any bytes for a message of the wire.

use prost::Message;

use super::*;
use crate::testing::Fuzz;

/// What a message means can be said again.
fn checked<W, M>(bytes: &[u8])
where
    W: Message + Default + From<M>,
    M: Clone + Debug + PartialEq + TryFrom<W, Error = WireError>,
{
    let Ok(message) = W::decode(bytes) else { return };
    match M::try_from(message) {
        Ok(meant) => {
            let bytes = W::from(meant.clone()).encode_to_vec();
            let again = W::decode(bytes.as_slice()).unwrap();
            assert_eq!(M::try_from(again).as_ref(), Ok(&meant));
        }
        Err(error) => is_plain(&error),
    }
}

/// An error travels back, and is shown to people.
fn is_plain(error: &WireError) {
    let error = error.to_string();
    assert!(error.len() < 1000 && !error.contains(char::is_control), "{error:?}");
}

/// What only one side says.
fn heard<W, M: TryFrom<W, Error = WireError>>(bytes: &[u8])
where
    W: Message + Default,
{
    if let Ok(Err(error)) = W::decode(bytes).map(M::try_from) {
        is_plain(&error);
    }
}

/// What an edge is told, by its kind.
fn edge_hears(bytes: &[u8]) {
    use v1::edge_command::Kind;
    let error = match v1::EdgeCommand::decode(bytes).map(|command| command.kind) {
        Ok(Some(Kind::Delta(delta))) => Delta::try_from(delta).err(),
        Ok(Some(Kind::Probes(orders))) => ProbeOrders::try_from(orders).err(),
        Ok(None) | Err(_) => None,
    };
    error.iter().for_each(is_plain);
}

#[test]
fn fuzzed_wire() {
    let hello = edge();
    let report = BackendReport {
        key: key("www", "[2001:db8::1]:80"),
        health: Err("down".to_owned()),
        connections: 7,
        load: 0.5,
        application: Application {
            availability: Availability::Failed { cause: "why".to_owned() },
            weight: Some(3),
            percent: 50,
        },
    };
    let agent = |message: FromAgent| v1::AgentMessage::from(message).encode_to_vec();
    let asked =
        AgentBinding { key: key("www", "192.0.2.1:80"), weight: 1, server_id: "0a1b".parse().ok() };
    let end = ServerEnd {
        local: "203.0.113.10:80".parse().unwrap(),
        except: vec!["[2001:db8::/32]:*".parse().unwrap()],
    };
    Fuzz::new("wire")
        .with(v1::EdgeMessage::from(FromSwitch::Hello(hello)).encode_to_vec())
        .with(v1::EdgeMessage::from(FromSwitch::Counters(counters())).encode_to_vec())
        .with(v1::EdgeMessage::from(FromSwitch::Probed(reports())).encode_to_vec())
        .with(v1::EdgeCommand::from(ToSwitch::Probe(orders())).encode_to_vec())
        .with(v1::ProbeOrders::from(orders()).encode_to_vec())
        .with(v1::SwitchState::from(&state()).encode_to_vec())
        .with(agent(FromAgent::Hello(AgentHello {
            name: "web-1".parse().unwrap(),
            boot: 7,
            binds: vec![asked],
            interval: Duration::from_millis(250),
        })))
        .with(agent(FromAgent::Heartbeat(Heartbeat { sequence: 1, reports: vec![report] })))
        .with(agent(FromAgent::Leave { cause: "stop".to_owned() }))
        .with(v1::ServerEnd::from(end).encode_to_vec())
        .with(
            v1::DropRequest {
                service: "www".to_owned(),
                class: "bots".to_owned(),
                refuse_ppm: 5,
                verdict: 1,
                scope: 1,
            }
            .encode_to_vec(),
        )
        .words(&["www", "203.0.113.0/24:80", "192.0.2.1:80", "[::]:0", "0a1b", "\n\x03www"])
        .run(|bytes| {
            checked::<v1::AgentMessage, FromAgent>(bytes);
            checked::<v1::EdgeMessage, FromSwitch>(bytes);
            checked::<v1::ServerEnd, ServerEnd>(bytes);
            checked::<v1::ProbeOrders, ProbeOrders>(bytes);
            edge_hears(bytes);
            heard::<v1::Delta, Delta>(bytes);
            heard::<v1::Change, Change>(bytes);
            heard::<v1::AddRequest, Command>(bytes);
            heard::<v1::RemoveRequest, Command>(bytes);
            heard::<v1::WeightRequest, Command>(bytes);
            heard::<v1::DropRequest, Command>(bytes);
            heard::<v1::ThawRequest, Command>(bytes);
            let states = v1::SwitchState::decode(bytes).map(SwitchState::try_from);
            if let Ok(Ok(state)) = states {
                let again = v1::SwitchState::from(&state);
                assert_eq!(SwitchState::try_from(again), Ok(state));
            }
            if let Ok(asked) = v1::ListRequest::decode(bytes) {
                drop(asked.wanted());
            }
            // What a command line and an agent are told is shown as it is.
            drop(v1::BackendList::decode(bytes));
            drop(v1::AgentReply::decode(bytes));
        });
}
