//! The way out.

use aya_ebpf::{bindings::xdp_action, helpers::bpf_redirect, programs::XdpContext};

use crate::trace;

/// The action that sends a frame out of an interface.
#[inline(always)]
pub fn transmit(ctx: &XdpContext, ifindex: u32) -> u32 {
    trace::note(|t| t.egress = ifindex);
    if ifindex as usize == ctx.ingress_ifindex() {
        return xdp_action::XDP_TX;
    }
    // SAFETY: takes plain numbers; the kernel checks the interface.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}
