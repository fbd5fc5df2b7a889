//! What the XDP program must do, written down once more: slowly, and as plainly
//! as the design says it. Nothing here comes from the program, and nothing is
//! clever; only the keyed hashes are shared, since they are a definition.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`parse`] | bytes to what they say |
//! | [`steer`] | the decision, and the remembered flows |
//! | [`back`] | the way of a `nat` backend's replies |
//! | [`classes`] | whom a policy is for |
//! | [`write`] | the frame as it leaves |
//! | [`decap`] | the servers' end of tunnels |
//!
//! What depends on time (how long a flow is remembered, how many ICMP answers a
//! second) is left out. Where the kernel is asked for a way, it is the one of
//! [`routed`](super::routed).

mod back;
mod classes;
mod decap;
mod parse;
mod steer;
mod write;

use std::{collections::HashMap, net::IpAddr};

use lb_common::abi::{Fate, Reason};

use self::{
    parse::{Parsed, Quote},
    steer::Way,
};
use super::{Action, Exit, World};

pub use decap::decapsulate;

/// Addresses, ports and protocol of a flow, as its client's packets name them.
type Flow = (IpAddr, IpAddr, u16, u16, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    backend: u16,
    closing: bool,
    /// Sequence number of the SYN.
    begun: u32,
}

/// A packet whose flow is known.
#[derive(Clone, Debug)]
struct Packet {
    l3: usize,
    l4: usize,
    src: IpAddr,
    dst: IpAddr,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
    /// TCP flags; 0 for anything else.
    flags: u8,
    /// TCP sequence number; 0 for anything else.
    seq: u32,
    tos: u8,
    ttl: u8,
    ip_len: usize,
    /// Bytes after the TCP header.
    payload: usize,
    /// Where the ports are that an ICMP error quotes.
    quote: Option<usize>,
}

impl Packet {
    fn flow(&self) -> Flow {
        (self.src, self.dst, self.src_port, self.dst_port, self.protocol)
    }
}

/// The model, with what it remembers from packet to packet.
#[derive(Debug, Default)]
pub struct Model {
    open: HashMap<Flow, Entry>,
    syns: HashMap<Flow, Entry>,
    udp: HashMap<Flow, Entry>,
    /// The way of the last packet that had one.
    lane: Option<Lane>,
}

/// How a packet gets from a client to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// One of [`mode`](lb_common::abi::mode).
    pub mode: u8,
    /// Whether client and server speak IPv6.
    pub v6: bool,
    pub to_v6: bool,
    pub protocol: u8,
    /// An ICMP error quotes it.
    pub quoted: bool,
}

impl Model {
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of a frame in this world.
    pub fn send(&mut self, world: &World, frame: &[u8]) -> Exit {
        let mut out = frame.to_vec();
        self.lane = None;
        let exit = match self.decide(world, &mut out) {
            Ok((reason, _)) if world.answers == Some(0) && is_icmp_answer(reason, &out) => {
                Err(Reason::AnswerLimited)
            }
            exit => exit,
        };
        let (reason, action) = match exit {
            Ok(exit) => exit,
            Err(reason) => {
                out = frame.to_vec();
                (reason, if reason.fate() == Fate::Pass { Action::Pass } else { Action::Drop })
            }
        };
        Exit { action, reasons: vec![reason], frame: out }
    }

    /// The way of the last packet, if it went one.
    pub fn lane(&self) -> Option<Lane> {
        self.lane
    }

    fn decide(&mut self, world: &World, frame: &mut Vec<u8>) -> Result<(Reason, Action), Reason> {
        let packet = match parse::parse(frame) {
            Parsed::Pass(reason) => return Err(reason),
            Parsed::Portless(dst, reason) => {
                return Err(if steer::is_ours(world, dst) { reason } else { Reason::NotOurs });
            }
            Parsed::Packet(packet) => packet,
            Parsed::Icmp(network) => match parse::message(frame, &network) {
                Quote::Cut if steer::is_ours(world, network.dst) => {
                    return Err(Reason::MalformedIcmp);
                }
                Quote::Cut => return Err(Reason::NotOurs),
                Quote::Other => return Err(Reason::OtherProtocol),
                Quote::Echo if steer::echoes(world, network.dst) => {
                    write::echo(frame, &network);
                    return Ok((Reason::Echo, Action::Transmit));
                }
                Quote::Echo => return Err(Reason::OtherProtocol),
                Quote::Error(packet) if packet.dst == network.dst => packet,
                Quote::Error(_) => return Err(Reason::NotOurs),
            },
        };
        match self.steer(world, frame, &packet) {
            Ok(way) => {
                self.lane = Some(Lane {
                    mode: way.mode,
                    v6: packet.src.is_ipv6(),
                    to_v6: way.server.address.is_ipv6(),
                    protocol: packet.protocol,
                    quoted: packet.quote.is_some(),
                });
                forward(world, frame, &packet, &way)
            }
            Err(Reason::NotOurs) if let Some(service) = steer::replied(world, &packet) => {
                back::reply(world, frame, &packet, service)
            }
            Err(reason) if reason.fate() != Fate::Reset => Err(reason),
            Err(reason) if packet.protocol == 6 && packet.quote.is_none() => {
                write::reset(frame, &packet)?;
                Ok((reason, Action::Transmit))
            }
            Err(reason) => {
                let (kind, code) = if packet.src.is_ipv4() { (3, 3) } else { (1, 4) };
                write::error(frame, &packet, kind, code, 0)?;
                Ok((reason, Action::Transmit))
            }
        }
    }
}

/// Whether this is an ICMP error that the edge itself sends.
fn is_icmp_answer(reason: Reason, out: &[u8]) -> bool {
    matches!(reason.fate(), Fate::Answer | Fate::Reset)
        && reason != Reason::Echo
        && matches!(parse::parse(out), Parsed::Icmp(_))
}

fn forward(
    world: &World,
    frame: &mut Vec<u8>,
    packet: &Packet,
    way: &Way,
) -> Result<(Reason, Action), Reason> {
    let room = usize::from(way.server.mtu);
    if let Some(answered) = refuse(frame, packet, room, write::overhead(way))? {
        return Ok(answered);
    }
    write::forward(world, frame, packet, way);
    Ok((way.reason, out_by(way.server.interface)))
}

/// Answers a packet that has come too far, or is too long for a way that takes
/// `mtu` bytes (0: any number) with `overhead` more than the packet has.
fn refuse(
    frame: &mut Vec<u8>,
    packet: &Packet,
    mtu: usize,
    overhead: usize,
) -> Result<Option<(Reason, Action)>, Reason> {
    let v4 = packet.src.is_ipv4();
    if packet.ttl <= 1 {
        write::error(frame, packet, if v4 { 11 } else { 3 }, 0, 0)?;
        return Ok(Some((Reason::TtlExpired, Action::Transmit)));
    }
    if mtu != 0 && packet.ip_len + overhead > mtu {
        let (kind, code) = if v4 { (3, 4) } else { (2, 0) };
        write::error(frame, packet, kind, code, (mtu - overhead) as u32)?;
        return Ok(Some((Reason::TooBig, Action::Transmit)));
    }
    Ok(None)
}

fn out_by(interface: u32) -> Action {
    if interface == super::world::INGRESS { Action::Transmit } else { Action::Redirect }
}
