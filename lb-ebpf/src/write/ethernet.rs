//! Ethernet addresses and the way out.

use aya_ebpf::{bindings::xdp_action, helpers::bpf_redirect, programs::XdpContext};
use lb_common::abi::Reason;

use crate::frame::Frame;

/// An Ethernet address in memory order, in the widths that a store takes.
#[derive(Clone, Copy)]
pub struct Mac {
    head: u32,
    tail: u16,
}

impl From<[u8; 6]> for Mac {
    #[inline(always)]
    fn from(m: [u8; 6]) -> Self {
        Self {
            head: u32::from_ne_bytes([m[0], m[1], m[2], m[3]]),
            tail: u16::from_ne_bytes([m[4], m[5]]),
        }
    }
}

/// Writes destination and source.
#[inline(always)]
pub fn address(frame: Frame, dst: Mac, src: Mac) -> Result<(), Reason> {
    let header = frame.header::<12>(0)?;
    header.write::<u32, 0>(dst.head);
    header.write::<u16, 4>(dst.tail);
    header.write::<u32, 6>(src.head);
    header.write::<u16, 10>(src.tail);
    Ok(())
}

/// Sends the frame back to where it came from.
#[inline(always)]
pub fn turn_around(frame: Frame) -> Result<(), Reason> {
    let header = frame.header::<12>(0)?;
    let dst = Mac { head: header.read::<u32, 0>(), tail: header.read::<u16, 4>() };
    let src = Mac { head: header.read::<u32, 6>(), tail: header.read::<u16, 10>() };
    address(frame, src, dst)
}

/// The action that sends a frame out of an interface.
#[inline(always)]
pub fn transmit(ctx: &XdpContext, ifindex: u32) -> u32 {
    if ifindex as usize == ctx.ingress_ifindex() {
        return xdp_action::XDP_TX;
    }
    // SAFETY: takes plain numbers; the kernel checks the interface.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}
