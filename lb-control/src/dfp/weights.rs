//! What an agent tells, cut into messages.

use std::collections::BTreeMap;

use super::{Load, Message, Preference};
use crate::model::{DfpServer, Weight};

/// Bytes of a message that is sent. Some balancers refuse a message that comes in two
/// TCP segments, and on Ethernet a segment has 1,440 bytes or more.
const MOST: usize = 1400;
/// Bytes of a Load TLV without preferences, and of a preference.
const LOAD: usize = 12;
const PREFERENCE: usize = 8;

/// What servers want; those of one port and protocol are neighbours.
pub type Weights = BTreeMap<DfpServer, Weight>;

/// Tells all of these, in messages that each fit a segment; of nobody, in one.
pub(super) fn tell(weights: &Weights) -> Vec<Message> {
    let mut messages: Vec<Vec<Load>> = Vec::new();
    let mut room = 0;
    for (&DfpServer { port, protocol, address }, &weight) in weights {
        let preference = Preference { server: address, bind_id: 0, weight };
        let last = messages.last_mut().and_then(|loads| loads.last_mut());
        let same = |load: &&mut Load| (load.port, load.protocol) == (port, protocol);
        if let Some(load) = last.filter(same).filter(|_| room >= PREFERENCE) {
            load.preferences.push(preference);
            room -= PREFERENCE;
            continue;
        }
        let load = Load { port, protocol, preferences: vec![preference] };
        match messages.last_mut().filter(|_| room >= LOAD + PREFERENCE) {
            Some(loads) => loads.push(load),
            None => {
                messages.push(vec![load]);
                room = MOST - super::message::HEADER;
            }
        }
        room -= LOAD + PREFERENCE;
    }
    if messages.is_empty() {
        messages.push(vec![Load { port: 0, protocol: 0, preferences: Vec::new() }]);
    }
    messages.into_iter().map(Message::PreferenceInformation).collect()
}

/// What a manager hears: the weights for all clients. How many others there were, for
/// clients of some BindID, comes with it: nobody here tells clients apart.
pub(super) fn hear(loads: &[Load]) -> (Vec<(DfpServer, Weight)>, usize) {
    let all = loads.iter().flat_map(|load| {
        let server = |address| DfpServer { port: load.port, protocol: load.protocol, address };
        load.preferences.iter().map(move |p| (p.bind_id, (server(p.server), p.weight)))
    });
    let (plain, others): (Vec<_>, Vec<_>) = all.partition(|(bind_id, _)| *bind_id == 0);
    (plain.into_iter().map(|(_, heard)| heard).collect(), others.len())
}
