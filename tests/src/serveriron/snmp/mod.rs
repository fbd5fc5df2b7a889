//! The SNMP agent: v2c (RFC 3416, RFC 1901) and v3, and traps of v1.

mod answer;
mod mib;
mod rows;
mod set;
#[cfg(test)]
mod tests;
mod trap;
mod usm;
mod v3;

use std::sync::Arc;

use rasn_snmp::{
    v2::{Pdus, Response},
    v2c,
};
use tokio::net::UdpSocket;

pub(crate) use trap::{Event, send as send_trap};

use super::device::Device;
use answer::{Access, Answer, Objects};
use v3::Engine;

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;

/// Answers everybody, one after the other.
pub(crate) async fn serve(device: Arc<Device>, socket: UdpSocket) {
    let mut objects = Objects::new(Arc::clone(&device));
    let mut engine = Engine::new(&device.options.users);
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // An error here is an earlier answer that found nobody.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if device.is_down() || device.faults().hang {
            continue;
        }
        let datagram = buffer.get(..length).unwrap_or_default();
        let answer = match version(datagram) {
            Some(1) => community(&device, &mut objects, datagram).await,
            Some(3) => engine.answer(&device, &mut objects, datagram).await,
            _ => None,
        };
        if let Some(answer) = answer {
            // Who has gone needs no answer.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// A v2c message; one with a wrong community is not answered.
async fn community(device: &Device, objects: &mut Objects, datagram: &[u8]) -> Option<Vec<u8>> {
    let message: v2c::Message<Pdus> = rasn::ber::decode(datagram).ok()?;
    let given: &[u8] = &message.community;
    let access = if given == device.options.write_community.as_bytes() {
        Access::Write
    } else if given == device.options.read_community.as_bytes() {
        Access::Read
    } else {
        return None;
    };
    match objects.answer(message.data, access).await? {
        Answer::Raw(bytes) => Some(bytes),
        Answer::Response(response) => {
            let data = Pdus::Response(Response(response));
            let (version, community) = (message.version, message.community);
            rasn::ber::encode(&v2c::Message { version, community, data }).ok()
        }
    }
}

/// The number in front of every SNMP message.
fn version(datagram: &[u8]) -> Option<u8> {
    let (_, rest) = datagram.split_first()?;
    let (length, rest) = rest.split_first()?;
    let more = if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) };
    match rest.get(more..)? {
        [2, 1, version, ..] => Some(*version),
        _ => None,
    }
}
