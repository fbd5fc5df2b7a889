//! What an agent tells, cut into messages.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{Load, Message, Preference};

/// Bytes of a message that is sent. Some balancers refuse a message that comes in two
/// TCP segments, and on Ethernet a segment has 1,440 bytes or more.
const MOST: usize = 1400;

/// One server, as DFP knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// 0: any.
    pub port: u16,
    /// 6: TCP, 17: UDP, 0: any.
    pub protocol: u8,
    pub address: Ipv4Addr,
}

/// What servers want; those of one port and protocol are neighbours.
pub type Weights = BTreeMap<Server, u16>;

/// Tells all of `weights`, in messages that each fit a segment.
pub(super) fn tell(weights: &Weights) -> Vec<Message> {
    let mut messages: Vec<Vec<Load>> = Vec::new();
    let mut room = 0;
    for (&Server { port, protocol, address }, &weight) in weights {
        let preference = Preference { server: address, bind_id: 0, weight };
        let last = messages.last_mut().and_then(|loads| loads.last_mut());
        match last.filter(|load| (load.port, load.protocol) == (port, protocol) && room >= 8) {
            Some(load) => {
                load.preferences.push(preference);
                room -= 8;
            }
            None => {
                let load = Load { port, protocol, preferences: vec![preference] };
                match messages.last_mut().filter(|_| room >= 20) {
                    Some(loads) => loads.push(load),
                    None => {
                        messages.push(vec![load]);
                        room = MOST - 8;
                    }
                }
                room -= 20;
            }
        }
    }
    messages.into_iter().map(Message::PreferenceInformation).collect()
}
