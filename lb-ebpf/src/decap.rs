//! On a server: takes packets out of the tunnels of modes `ipip` and `gue`, so
//! that its kernel sees them as the client sent them.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, xdp_action},
    helpers::generated::bpf_xdp_adjust_head,
    macros::map,
    maps::{HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
    programs::XdpContext,
};
use lb_common::{
    abi::decap::{MAX_ADDRESSES, Reason},
    tunnel::GUE_PORT,
};

use crate::{
    frame::{Frame, Short},
    parse::{
        Address, IPV4_HEADER, IPV6_HEADER, Network, UDP, UDP_HEADER,
        ip::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    write::{ethernet::Link, ip::replace},
};

#[map]
static SOURCES: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);
#[map]
static SERVERS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(MAX_ADDRESSES, 0);
#[map]
static VIPS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32, 0);

const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const ECN: u8 = 3;
/// Congestion experienced.
const CE: u8 = 3;

impl From<Short> for Reason {
    #[inline(always)]
    fn from(_: Short) -> Self {
        Self::Malformed
    }
}

/// Takes one frame from its bytes to an XDP action, and counts it once.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> u32 {
    let reason = process(ctx);
    if let Some(counter) = COUNTERS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's copy, which nothing else writes meanwhile.
        unsafe { *counter += 1 };
    }
    match reason {
        Reason::NotTunnelled | Reason::Decapsulated => xdp_action::XDP_PASS,
        _ => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn process(ctx: &XdpContext) -> Reason {
    let frame = Frame::new(ctx);
    // Edges never fragment: fragments are the kernel's.
    let Ok(outer) = ip::network(frame) else { return Reason::NotTunnelled };
    let Some(start) = inner_start(frame, &outer) else { return Reason::NotTunnelled };
    // SAFETY: the value is one byte, and only whether it is there counts.
    if unsafe { SERVERS.get(outer.dst.bytes()) }.is_none() {
        return Reason::NotTunnelled;
    }
    match decapsulate(ctx, frame, &outer, start) {
        Ok(()) => Reason::Decapsulated,
        Err(reason) => reason,
    }
}

/// Offset of the packet inside; `None` when there is none.
#[inline(always)]
fn inner_start(frame: Frame, outer: &Network) -> Option<usize> {
    match outer.protocol {
        IPV4_IN_IP | IPV6_IN_IP => Some(outer.l4),
        UDP => {
            let port = frame.header::<UDP_HEADER>(outer.l4).ok()?.read::<u16, 2>();
            (u16::from_be(port) == GUE_PORT).then_some(outer.l4 + UDP_HEADER)
        }
        _ => None,
    }
}

#[inline(always)]
fn holds(trie: &LpmTrie<[u8; 16], u8>, addr: Address) -> bool {
    trie.get(Key::new(128, addr.bytes())).is_some()
}

#[inline(always)]
fn decapsulate(
    ctx: &XdpContext,
    frame: Frame,
    outer: &Network,
    start: usize,
) -> Result<(), Reason> {
    if !holds(&SOURCES, outer.src) {
        return Err(Reason::Source);
    }
    let version = frame.header::<1>(start)?.read::<u8, 0>() >> 4;
    // Where the tunnel's packet ends: what the frame has beyond is padding.
    let end = outer.l3 + outer.ip_len;
    let (dst, header, length, ethertype) = match version {
        4 => {
            let inner = frame.header::<IPV4_HEADER>(start)?;
            let length = usize::from(u16::from_be(inner.read::<u16, 2>()));
            (Address::v4(inner.read::<u32, 16>()), IPV4_HEADER, length, ETHERTYPE_IPV4)
        }
        6 => {
            let inner = frame.header::<IPV6_HEADER>(start)?;
            let length = IPV6_HEADER + usize::from(u16::from_be(inner.read::<u16, 4>()));
            (Address(inner.read::<[u64; 2], 24>()), IPV6_HEADER, length, ETHERTYPE_IPV6)
        }
        _ => return Err(Reason::Malformed),
    };
    let told = match outer.protocol {
        IPV4_IN_IP => version == 4,
        IPV6_IN_IP => version == 6,
        _ => true,
    };
    if !told || start + header > end || start + length > end {
        return Err(Reason::Malformed);
    }
    if !holds(&VIPS, dst) {
        return Err(Reason::Destination);
    }
    if outer.tos & ECN == CE {
        mark(frame, start, version)?;
    }
    let link = Link::of(frame, outer.l3).map_err(|_| Reason::Malformed)?;
    // SAFETY: the context is the one this program was given; the frame that
    // it invalidates is not used afterwards.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, (start - outer.l3) as i32) } != 0 {
        return Err(Reason::Malformed);
    }
    link.write(Frame::new(ctx), ethertype).map_err(|_| Reason::Malformed)
}

/// Tells the packet inside of congestion, if it can carry that (RFC 6040
/// section 4.2).
#[inline(always)]
fn mark(frame: Frame, start: usize, version: u8) -> Result<(), Reason> {
    // The traffic class lies across the first two bytes of IPv6.
    let header = frame.header::<IPV4_HEADER>(start)?;
    let old = header.read::<u16, 0>();
    let shift = if version == 4 { 0 } else { 4 };
    let first = u16::from_be(old);
    if (first >> shift) as u8 & ECN == 0 {
        return Err(Reason::Congestion);
    }
    let marked = first | u16::from(CE) << shift;
    header.write::<u16, 0>(marked.to_be());
    if version == 4 {
        let sum = replace(header.read::<u16, 10>(), u64::from(first), u64::from(marked));
        header.write::<u16, 10>(sum);
    }
    Ok(())
}
