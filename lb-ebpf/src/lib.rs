//! Sluice's packet path.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`maps`] | the maps |
//! | [`frame`] | bytes: the only bounds checks and raw packet pointers |
//! | [`parse`] | Ethernet, IP, TCP |
//! | [`tables`] | one generation's copy of the tables |
//! | [`steer`] | the decision: service, admission, slot, backend |
//! | [`admission`], [`flows`] | two of its parts |
//! | [`write`] | one writer for each outcome |
//! | [`count`] | counters |
#![no_std]

pub mod admission;
pub mod count;
pub mod flows;
pub mod frame;
pub mod maps;
pub mod parse;
pub mod steer;
pub mod tables;
pub mod write;

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use lb_common::abi::{Fate, Reason, mode};

use self::{
    frame::Frame,
    parse::{Segment, Unsteerable},
    steer::Decision,
    tables::Generation,
};

/// Takes one frame from its bytes to an XDP action, and counts it once.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> u32 {
    let (reason, action) = match process(ctx) {
        Ok(exit) => exit,
        Err(reason) => (reason, action_without_answer(reason)),
    };
    count::reason(reason);
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
fn process(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    let frame = Frame::new(ctx);
    let generation = Generation::now();
    let segment = match parse::parse(frame) {
        Ok(segment) => segment,
        Err(Unsteerable::Pass(reason)) => return Err(reason),
        Err(Unsteerable::Portless { dst, reason }) => {
            return Err(if generation.is_ours(dst) { reason } else { Reason::NotOurs });
        }
    };
    match steer::steer(generation, &segment) {
        Ok(decision) => carry_out(ctx, frame, &segment, decision),
        Err(reason) if matches!(reason.fate(), Fate::Reset) => {
            Ok((reason, write::reset::answer(ctx, frame, &segment)?))
        }
        Err(reason) => Err(reason),
    }
}

#[inline(always)]
fn carry_out(
    ctx: &XdpContext,
    frame: Frame,
    segment: &Segment,
    decision: Decision,
) -> Result<(Reason, u32), Reason> {
    let bytes = frame.size() as u64;
    match decision {
        Decision::Forward { service, backend, id, reason } => {
            let action = if service.mode == mode::L2 {
                let (dst, src) = (backend.dst_mac.into(), backend.src_mac.into());
                write::ethernet::address(frame, dst, src)?;
                write::ethernet::transmit(ctx, backend.ifindex)
            } else {
                live(segment)?;
                write::nat::forward(ctx, frame, segment, backend)?
            };
            count::backend(id, |b| {
                b.packets += 1;
                b.bytes += bytes;
            });
            Ok((reason, action))
        }
        Decision::Reply { service, id } => {
            live(segment)?;
            let exit = write::nat::reply(ctx, frame, segment, service)?;
            count::backend(id, |b| {
                b.reply_packets += 1;
                b.reply_bytes += bytes;
            });
            Ok(exit)
        }
    }
}

/// In mode `nat` the edge is a router, and a router lets no packet live for ever.
#[inline(always)]
fn live(segment: &Segment) -> Result<(), Reason> {
    if segment.ttl <= 1 { Err(Reason::TtlExpired) } else { Ok(()) }
}
