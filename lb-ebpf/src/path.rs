//! A packet's way through the program that steers.

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use lb_common::{
    abi::{Config, Fate, Reason, Service, mode},
    tunnel,
};

use crate::{
    count,
    frame::Frame,
    messages::{self, Request},
    parse::{self, Address, Packet, Parsed, TCP, Unsteerable},
    routes::{self, Way},
    services,
    steer::{self, Decision, Forward},
    tables::Generation,
    trace,
    write::{self, answer},
};

/// What became of a frame: why, and the XDP action.
type Exit = (Reason, u32);

/// Takes one frame from its bytes to an XDP action, and counts it once.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> u32 {
    trace::begin(ctx);
    let (reason, action) = match process(ctx) {
        Ok(exit) => exit,
        Err(reason) => (reason, action_without_answer(reason)),
    };
    count::reason(reason);
    trace::end(reason as u32);
    action
}

/// The action for a frame that was neither forwarded nor answered.
#[inline(always)]
fn action_without_answer(reason: Reason) -> u32 {
    match reason.fate() {
        Fate::Pass => xdp_action::XDP_PASS,
        Fate::Drop | Fate::Reset | Fate::Answer | Fate::Forward => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn process(ctx: &XdpContext) -> Result<Exit, Reason> {
    let frame = Frame::new(ctx);
    let generation = Generation::now();
    let config = generation.config()?;
    let packet = match parse::parse(frame) {
        Ok(Parsed::Transport(packet)) => packet,
        Ok(Parsed::Icmp(network)) => match messages::look(generation, config, frame, &network)? {
            Request::Follow(packet) => packet,
            Request::Answered(action) => return Ok((Reason::Echo, action)),
        },
        Err(Unsteerable::Pass(reason)) => return Err(reason),
        Err(Unsteerable::Portless { dst, reason }) => {
            let ours = services::address(generation, config, dst).is_some();
            return Err(if ours { reason } else { Reason::NotOurs });
        }
    };
    trace::note(|t| {
        (t.src, t.dst) = (packet.src.bytes(), packet.dst.bytes());
        (t.src_port, t.dst_port) = (packet.src_port.to_ne_bytes(), packet.dst_port.to_ne_bytes());
        (t.protocol, t.tcp_flags) = (packet.protocol, packet.flags);
    });
    let refused = match steer::steer(generation, config, frame, &packet) {
        Ok(Decision::Forward(way)) => match forward(ctx, frame, config, &packet, way)? {
            Ok(exit) => return Ok(exit),
            Err(refused) => refused,
        },
        Ok(Decision::Reply { service, id }) => {
            let way = routes::to_client(ctx, generation, config, &packet, service)?;
            match reply(ctx, frame, &packet, service, id, &way)? {
                Ok(exit) => return Ok(exit),
                Err(refused) => refused,
            }
        }
        Err(reason) if matches!(reason.fate(), Fate::Reset) => {
            if packet.protocol == TCP && !packet.quoted {
                return Ok((reason, write::reset::answer(ctx, frame, &packet)?));
            }
            Refused { reason, error: answer::Error::PortUnreachable }
        }
        Err(reason) => return Err(reason),
    };
    Ok((refused.reason, answer::error(ctx, frame, config, &packet, refused.error)?))
}

/// A packet that is answered by an ICMP error, and why.
struct Refused {
    reason: Reason,
    error: answer::Error,
}

/// Refuses a packet that has come too far, or is too long for the way, which
/// takes `overhead` bytes more than the packet has.
#[inline(always)]
fn check(packet: &Packet, mtu: u16, overhead: u16) -> Result<(), Refused> {
    if packet.ttl <= 1 {
        return Err(Refused { reason: Reason::TtlExpired, error: answer::Error::TimeExceeded });
    }
    if mtu != 0 && u32::from(packet.ip_len) + u32::from(overhead) > u32::from(mtu) {
        let error = answer::Error::TooBig(mtu.saturating_sub(overhead));
        return Err(Refused { reason: Reason::TooBig, error });
    }
    Ok(())
}

/// Sends a reply on to its client, unless it has come too far or is too long.
#[inline(always)]
fn reply(
    ctx: &XdpContext,
    frame: Frame,
    packet: &Packet,
    service: &Service,
    id: u32,
    way: &Way,
) -> Result<Result<Exit, Refused>, Reason> {
    if let Err(refused) = check(packet, way.mtu, 0) {
        return Ok(Err(refused));
    }
    let bytes = frame.size() as u64;
    let exit = write::nat::reply(ctx, frame, packet, service, way)?;
    count::backend(id, |b| {
        b.reply_packets += 1;
        b.reply_bytes += bytes;
    });
    Ok(Ok(exit))
}

/// Sends a packet on to its backend, unless it has come too far or is too long.
#[inline(always)]
fn forward(
    ctx: &XdpContext,
    frame: Frame,
    config: &Config,
    packet: &Packet,
    way: Forward,
) -> Result<Result<Exit, Refused>, Reason> {
    let Forward { service, backend, id, reason, .. } = way;
    let overhead = tunnel::overhead(service.mode, Address::from_bytes(backend.addr).is_v4());
    if let Err(refused) = check(packet, backend.mtu, overhead) {
        return Ok(Err(refused));
    }
    trace::note(|t| t.dst_mac = backend.dst_mac);
    let bytes = frame.size() as u64;
    let action = match service.mode {
        mode::L2 => {
            write::ip::age(frame, packet)?;
            write::ethernet::address(frame, backend.dst_mac.into(), backend.src_mac.into())?;
            write::transmit::transmit(ctx, backend.ifindex)
        }
        mode::NAT => write::nat::forward(ctx, frame, packet, &way)?,
        mode::IPIP | mode::GUE => write::tunnel::encapsulate(ctx, frame, config, packet, &way)?,
        _ => return Err(Reason::Inconsistent),
    };
    count::backend(id, |b| {
        b.packets += 1;
        b.bytes += bytes;
    });
    Ok(Ok((reason, action)))
}
