//! The way of a `nat` backend's replies.

use lb_common::abi::{Reason, next_hop};

use super::{Action, Packet, out_by, refuse, write};
use crate::packet::{Hop, Service, World, route::kernels_way};

/// Sends a reply on to its client.
pub(super) fn reply(
    world: &World,
    frame: &mut Vec<u8>,
    packet: &Packet,
    service: &Service,
) -> Result<(Reason, Action), Reason> {
    let hop = world.hop_to(packet.dst);
    let way = match hop.map_or(next_hop::KERNEL, |hop| hop.kind) {
        next_hop::NONE => return Err(Reason::NoRoute),
        next_hop::LOCAL => return Err(Reason::NotOurs),
        _ => hop.and_then(|hop| Some((hop, known(world, &hop, packet)?))),
    };
    let (hop, mac) = match way {
        Some((hop, mac)) => (hop, Some(mac)),
        None => {
            let hop = kernels_way(packet.dst)?;
            // The kernel says nothing of the length that it takes itself.
            let long = packet.ip_len > usize::from(hop.mtu);
            let mtu = if long { hop.mtu } else { 0 };
            (Hop { mtu, ..hop }, (hop.kind == next_hop::GATEWAY).then_some(hop.mac))
        }
    };
    if let Some(answered) = refuse(frame, packet, hop.mtu.into(), 0)? {
        return Ok(answered);
    }
    write::reply(frame, packet, service.address, mac.map(|mac| [mac, hop.own_mac]));
    let reason = match packet.quote {
        _ if mac.is_none() => return Ok((Reason::ReplyToKernel, Action::Pass)),
        Some(_) => Reason::ForwardIcmpReply,
        None => Reason::ForwardReply,
    };
    Ok((reason, out_by(hop.interface)))
}

/// The Ethernet address that a hop's packets go to.
fn known(world: &World, hop: &Hop, packet: &Packet) -> Option<[u8; 6]> {
    match hop.kind {
        next_hop::GATEWAY => Some(hop.mac),
        next_hop::ON_LINK => world.mac_of(packet.dst, hop.interface),
        _ => None,
    }
}
