//! The way back to a client, for replies of `nat` backends: by the edge's own
//! tables, and by the kernel's where those do not say.

use aya_ebpf::{
    EbpfContext as _, bindings::bpf_fib_lookup as FibLookup, helpers::generated::bpf_fib_lookup,
    programs::XdpContext,
};
use lb_common::abi::{Config, NeighborKey, NextHop, Reason, Service, next_hop};

use crate::{
    maps::NEIGHBORS,
    parse::{Address, Packet},
    tables::{Generation, search},
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `BPF_FIB_LKUP_RET_*` of include/uapi/linux/bpf.h.
const FIB_SUCCESS: i64 = 0;
const FIB_NOT_FORWARDED: i64 = 4;
const FIB_NO_NEIGHBOUR: i64 = 7;
const FIB_TOO_LONG: i64 = 8;

/// The way of a reply.
#[derive(Clone, Copy)]
pub struct Way {
    /// Ethernet addresses, destination and source; `None`: the kernel has to
    /// find the first, and forwards the packet itself.
    pub macs: Option<[[u8; 6]; 2]>,
    /// Egress interface.
    pub ifindex: u32,
    /// Longest IP packet that it takes; 0 is not known.
    pub mtu: u16,
}

/// The way to the client that a reply is for; an error says why there is none.
#[inline(always)]
pub fn to_client(
    ctx: &XdpContext,
    generation: Generation,
    config: &Config,
    packet: &Packet,
    service: &Service,
) -> Result<Way, Reason> {
    if config.routes != 0 {
        let [hi, lo] = packet.dst.numeric();
        let index = route_apart(generation.number(), config.routes, hi, lo);
        let hop = generation.next_hop(index)?;
        if let Some(macs) = known(hop, packet)? {
            return Ok(Way { macs: Some(macs), ifindex: hop.ifindex, mtu: hop.mtu });
        }
    }
    ask_kernel(ctx, packet, service)
}

/// Index of the next hop to an address. A global function, which the verifier
/// walks once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn route_apart(generation: u64, routes: u32, hi: u64, lo: u64) -> u32 {
    let generation = Generation::again(generation);
    let found = search(routes, [hi, lo], |index| {
        generation.route(index).map(|route| [route.start_hi, route.start_lo])
    });
    match found.and_then(|index| generation.route(index)) {
        Ok(route) => route.next_hop,
        Err(_) => u32::MAX,
    }
}

/// The Ethernet addresses of a next hop, where they are known.
#[inline(always)]
fn known(hop: &NextHop, packet: &Packet) -> Result<Option<[[u8; 6]; 2]>, Reason> {
    let dst = match hop.kind {
        next_hop::GATEWAY => hop.dst_mac,
        next_hop::ON_LINK => {
            let key = NeighborKey { addr: packet.dst.bytes(), ifindex: hop.ifindex };
            let Some(neighbor) = NEIGHBORS.get_ptr(key) else { return Ok(None) };
            // SAFETY: map values stay readable for as long as the program
            // runs, also when the control side removes the entry meanwhile.
            unsafe { (*neighbor).mac }
        }
        next_hop::NONE => return Err(Reason::NoRoute),
        next_hop::LOCAL => return Err(Reason::NotOurs),
        _ => return Ok(None),
    };
    Ok(Some([dst, hop.src_mac]))
}

#[inline(always)]
fn ask_kernel(ctx: &XdpContext, packet: &Packet, service: &Service) -> Result<Way, Reason> {
    let mut route = request(ctx, packet, service);
    // SAFETY: the structure is ours, whole, and of the size that is told.
    let found =
        unsafe { bpf_fib_lookup(ctx.as_ptr(), &raw mut route, size_of::<FibLookup>() as i32, 0) };
    let unresolved = Way { macs: None, ifindex: route.ifindex, mtu: 0 };
    match found {
        FIB_SUCCESS => Ok(Way { macs: Some([route.dmac, route.smac]), ..unresolved }),
        FIB_NO_NEIGHBOUR => Ok(unresolved),
        // SAFETY: with this answer the kernel wrote the way's length here.
        FIB_TOO_LONG => Ok(Way { mtu: unsafe { route.__bindgen_anon_1.mtu_result }, ..unresolved }),
        // To the edge itself, which probes its backends: to no client.
        FIB_NOT_FORWARDED => Err(Reason::NotOurs),
        _ => Err(Reason::NoRoute),
    }
}

#[inline(always)]
fn request(ctx: &XdpContext, packet: &Packet, service: &Service) -> FibLookup {
    // SAFETY: integers and arrays of them; all zero is valid.
    let mut request: FibLookup = unsafe { core::mem::zeroed() };
    request.l4_protocol = packet.protocol;
    request.ifindex = ctx.ingress_ifindex() as u32;
    request.__bindgen_anon_1.tot_len = packet.ip_len;
    let vip = Address::from_bytes(service.vip);
    if packet.is_v4 {
        request.family = AF_INET;
        request.__bindgen_anon_3.ipv4_src = vip.v4_raw();
        request.__bindgen_anon_4.ipv4_dst = packet.dst.v4_raw();
    } else {
        request.family = AF_INET6;
        request.__bindgen_anon_3.ipv6_src = quarters(vip);
        request.__bindgen_anon_4.ipv6_dst = quarters(packet.dst);
    }
    request
}

/// An address as four words in network byte order.
#[inline(always)]
fn quarters(addr: Address) -> [u32; 4] {
    // SAFETY: two plain words are four plain half-words.
    unsafe { core::mem::transmute::<[u64; 2], [u32; 4]>(addr.0) }
}
