//! What measures the XDP program: `bench` puts a frame back as it was, for
//! another flow, and goes on to the program under test; `floor` is a program
//! under test that only sends the frame back. The difference is what the
//! program costs.
//!
//! And over a veth pair: `send` makes frames in the same way and sends them in,
//! `bounce` only sends them back, and `sink` counts what comes back.
//!
//! Fields are stored as wide as they are read: a load that spans two stores
//! which are still on their way to the cache would wait for them.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_redirect, generated::bpf_xdp_adjust_head},
    macros::{map, xdp},
    maps::{Array, PerCpuArray, ProgramArray},
    programs::XdpContext,
};
use lb_ebpf::frame::{Frame, Header, Short};

const IPV4_FRAME: usize = 54;
const IPV6_FRAME: usize = 74;

/// The frame that every packet begins as.
#[map]
static TEMPLATE: Array<[u8; IPV6_FRAME]> = Array::with_max_entries(1, 0);
/// Flows; 1 for IPv6, 0 for IPv4; 1 where the client is the destination; bytes
/// of the frame, and bytes that the program under test puts before it; services
/// that the flows are for, each with a port of its own (IPv4).
#[map]
static SETTINGS: Array<[u32; 6]> = Array::with_max_entries(1, 0);
/// Packets so far.
#[map]
static COUNT: Array<u64> = Array::with_max_entries(1, 0);
/// Slot 0: the program under test.
#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The interface that `send` sends by.
#[map]
static OUT: Array<u32> = Array::with_max_entries(1, 0);
/// Frames that `sink` has taken.
#[map]
static TAKEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[xdp]
pub fn bench(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_ok() {
        // SAFETY: nothing here needs to be dropped.
        unsafe { NEXT.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// The least that a program under test does: what it puts before the frame
/// has to be made room for.
#[xdp]
pub fn floor(ctx: XdpContext) -> u32 {
    let room = SETTINGS.get(0).map_or(0, |settings| settings[4]);
    if room != 0 && !move_head(&ctx, -(room as i32)) {
        return xdp_action::XDP_ABORTED;
    }
    xdp_action::XDP_TX
}

/// Of frames without a driver (`BPF_F_TEST_XDP_LIVE_FRAMES`).
#[xdp]
pub fn send(ctx: XdpContext) -> u32 {
    match OUT.get(0) {
        // SAFETY: takes plain numbers; the kernel checks the interface.
        Some(&out) if restore(&ctx).is_ok() => (unsafe { bpf_redirect(out, 0) }) as u32,
        _ => xdp_action::XDP_ABORTED,
    }
}

#[xdp]
pub fn bounce(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

#[xdp]
pub fn sink(_ctx: XdpContext) -> u32 {
    if let Some(taken) = TAKEN.get_ptr_mut(0) {
        // SAFETY: this CPU's copy, which nothing else writes meanwhile.
        unsafe { *taken += 1 };
    }
    xdp_action::XDP_DROP
}

#[inline(always)]
fn move_head(ctx: &XdpContext, bytes: i32) -> bool {
    // SAFETY: the context is the one this program was given; frames are looked
    // at anew afterwards.
    unsafe { bpf_xdp_adjust_head(ctx.ctx, bytes) == 0 }
}

macro_rules! copy {
    ($template:ident to $header:ident: $($type:ty: $($at:literal)+;)+) => {
        $($(
            // SAFETY: the header's check of the same offset, at compile time,
            // is no wider than the template.
            let value = unsafe { $template.as_ptr().add($at).cast::<$type>().read_unaligned() };
            $header.write::<$type, $at>(value);
        )+)+
    };
}

#[inline(always)]
fn restore(ctx: &XdpContext) -> Result<(), Short> {
    let template = TEMPLATE.get(0).ok_or(Short)?;
    let [flows, v6, client_is_destination, bytes, _, services] = *SETTINGS.get(0).ok_or(Short)?;
    let flow = next_flow(flows)?;
    // What the last packet was put into.
    // (The verifier takes sums of numbers here, but none with a pointer in it.)
    let size = core::hint::black_box(Frame::new(ctx).size());
    let surplus = size as i32 - bytes as i32;
    if surplus != 0 && !move_head(ctx, surplus) {
        return Err(Short);
    }
    let frame = Frame::new(ctx);
    if v6 == 0 {
        let header = frame.header::<IPV4_FRAME>(0)?;
        ipv4(template, header);
        // 65,536 addresses, then the next port.
        let (host, port) = (flow & 0xffff, (flow >> 16) as u16);
        if client_is_destination == 0 {
            header.write::<u32, 26>((u32::from_be(header.read::<u32, 26>()) + host).to_be());
            header.write::<u16, 34>((u16::from_be(header.read::<u16, 34>()) + port).to_be());
            if services > 1 {
                let service = (flow % services) as u16;
                let first = u16::from_be(header.read::<u16, 36>());
                header.write::<u16, 36>((first + service).to_be());
            }
        } else {
            header.write::<u32, 30>((u32::from_be(header.read::<u32, 30>()) + host).to_be());
            header.write::<u16, 36>((u16::from_be(header.read::<u16, 36>()) + port).to_be());
        }
    } else {
        let header = frame.header::<IPV6_FRAME>(0)?;
        ipv6(template, header);
        let host = u64::from(flow);
        if client_is_destination == 0 {
            header.write::<u64, 30>((u64::from_be(header.read::<u64, 30>()) + host).to_be());
        } else {
            header.write::<u64, 46>((u64::from_be(header.read::<u64, 46>()) + host).to_be());
        }
    }
    Ok(())
}

/// Steps of the golden ratio: every flow as often as the others, and no two
/// neighbours after each other.
#[inline(always)]
fn next_flow(flows: u32) -> Result<u32, Short> {
    let count = COUNT.get_ptr_mut(0).ok_or(Short)?;
    // SAFETY: valid for as long as the program runs; one CPU runs it.
    let count = unsafe {
        *count += 1;
        *count
    };
    let step = (count as u32).wrapping_mul(0x9e37_79b1);
    Ok(((u64::from(step) * u64::from(flows)) >> 32) as u32)
}

#[inline(always)]
fn ipv4(template: &[u8; IPV6_FRAME], header: Header<IPV4_FRAME>) {
    copy!(template to header:
        u32: 0 6;
        u16: 4 10 12;
        u8: 14 15;
        u16: 16 18 20;
        u8: 22 23;
        u16: 24;
        u32: 26 30;
        u16: 34 36;
        u32: 38 42;
        u8: 46 47;
        u16: 48 50 52;
    );
}

#[inline(always)]
fn ipv6(template: &[u8; IPV6_FRAME], header: Header<IPV6_FRAME>) {
    copy!(template to header:
        u32: 0 6;
        u16: 4 10 12 14 16 18;
        u8: 20 21;
        u64: 22 30 38 46;
        u16: 54 56;
        u32: 58 62;
        u8: 66 67;
        u16: 68 70 72;
    );
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier accepts only programs that cannot come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Lets tools that know only the host look at the whole workspace.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
