//! SNMPv1 traps (RFC 1157 section 4.1.6).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

use rasn::types::{FixedOctetString, Integer};
use rasn_smi::v1::{IpAddress, NetworkAddress, ObjectSyntax, SimpleSyntax, TimeTicks};
use rasn_snmp::v1::{Message, Pdus, Trap, VarBind};

use super::{answer::identifier, mib::ENTERPRISE};
use crate::serveriron::{Options, State};

/// "enterpriseSpecific"
const SPECIFIC: u32 = 6;

/// What a trap tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    RealUp = 21,
    RealDown = 22,
    RealPortUp = 23,
    RealPortDown = 24,
    BecomeStandby = 26,
    BecomeActive = 27,
}

/// Sends a trap. Which variables one has is not in the facts: here it is what
/// it is about, by name and port.
pub(crate) fn send(
    socket: &UdpSocket,
    options: &Options,
    state: &State,
    event: Event,
    about: &[String],
) -> io::Result<()> {
    let Some(sink) = options.trap_sink else { return Ok(()) };
    let address = match options.address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let ticks = u32::try_from(state.uptime().as_millis() / 10).unwrap_or(u32::MAX);
    let variables = about.iter().zip(1..).map(|(text, at)| VarBind {
        name: identifier(&[&ENTERPRISE[..], &[0, event as u32, at]].concat()),
        value: ObjectSyntax::Simple(SimpleSyntax::String(text.as_bytes().into())),
    });
    let trap = Trap {
        enterprise: identifier(&ENTERPRISE),
        agent_addr: NetworkAddress::Internet(IpAddress(FixedOctetString::new(address.octets()))),
        generic_trap: Integer::from(SPECIFIC),
        specific_trap: Integer::from(event as u32),
        time_stamp: TimeTicks(ticks),
        variable_bindings: variables.collect(),
    };
    let message = Message {
        version: Integer::from(0),
        community: options.read_community.as_bytes().into(),
        data: Pdus::Trap(trap),
    };
    let bytes = rasn::ber::encode(&message).map_err(io::Error::other)?;
    socket.send_to(&bytes, sink).map(drop)
}
