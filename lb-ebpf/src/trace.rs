//! The program's own account of what it does, for `sluice trace`.
//!
//! The same object is loaded up to three times, over the same maps, with
//! another value of [`PURPOSE`]. The kernel's verifier knows the value, and
//! drops what it rules out: the program that steers pays nothing for the others.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::abi::{Trace, words};

use crate::{
    maps::{TRACE, TRACES, WATCHER},
    tables::word,
};

/// What this copy of the program is for; the loader sets it. One of [`purpose`].
#[unsafe(no_mangle)]
static PURPOSE: u32 = purpose::STEER;

/// Values of `PURPOSE`.
pub mod purpose {
    /// To steer, and to hand packets to the watcher while there is one.
    pub const STEER: u32 = 0;
    /// To steer, and to tell of a sample of the packets.
    pub const WATCH: u32 = 1;
    /// To say what it would do, and do nothing.
    pub const ASK: u32 = 2;
}

#[inline(always)]
fn purpose() -> u32 {
    // SAFETY: a valid static; volatile, since the loader changes its value.
    unsafe { (&raw const PURPOSE).read_volatile() }
}

/// Whether nothing may be counted or remembered.
#[inline(always)]
pub fn is_asked() -> bool {
    purpose() == purpose::ASK
}

/// Adds to what is told of the packet at hand.
#[inline(always)]
pub fn note(add: impl FnOnce(&mut Trace)) {
    if purpose() != purpose::STEER
        && let Some(trace) = TRACE.get_ptr_mut(0)
    {
        // SAFETY: this CPU's copy, which nothing else writes meanwhile.
        add(unsafe { &mut *trace });
    }
}

/// Begins to tell of a packet; with a watcher, hands the packet to it.
#[inline(always)]
pub fn begin(ctx: &aya_ebpf::programs::XdpContext) {
    if purpose() == purpose::STEER {
        if word(words::WATCH) != 0 {
            // SAFETY: nothing here needs to be dropped. Without a watcher the
            // call fails, and this program goes on.
            unsafe { WATCHER.tail_call(ctx, 0) };
        }
        return;
    }
    note(|t| {
        *t = Trace {
            // SAFETY: the helper takes nothing and reads a clock.
            time_ns: unsafe { bpf_ktime_get_ns() },
            service: u32::MAX,
            class: u32::MAX,
            ingress: ctx.ingress_ifindex() as u32,
            bytes: (ctx.data_end() - ctx.data()) as u16,
            ..Default::default()
        }
    });
}

/// Tells of a packet that is one of the sample.
#[inline(always)]
pub fn end(reason: u32) {
    note(|t| {
        t.reason = reason;
        if purpose() == purpose::WATCH && is_sampled(t) {
            // When the reader is too slow, packets are left out.
            let _ = TRACES.output::<Trace>(&*t, 0);
        }
    });
}

/// Of watched packets: of the service asked for, and of the share of flows.
#[inline(always)]
fn is_sampled(t: &Trace) -> bool {
    let service = word(words::WATCH_SERVICE);
    (service == 0 || service == u64::from(t.service) + 1)
        && t.hash & 0xffff_ffff < word(words::WATCH)
}
