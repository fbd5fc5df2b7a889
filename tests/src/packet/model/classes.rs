//! Whom a policy is for.

use lb_common::abi::DEFAULT_CLASS;

use super::Packet;
use crate::packet::{
    World,
    world::{Class, octets},
};

/// The first class that holds the client's address and the packet's DSCP.
pub(super) fn of(world: &World, packet: &Packet) -> u32 {
    let client = u128::from_be_bytes(octets(packet.src));
    let holds = |class: &Class| {
        let source = |(first, last): &(u128, u128)| (*first..=*last).contains(&client);
        (class.sources.is_empty() || class.sources.iter().any(source))
            && (class.dscp.is_empty() || class.dscp.contains(&(packet.tos >> 2)))
    };
    world.classes.iter().position(holds).map_or(DEFAULT_CLASS, |index| index as u32)
}
