//! Whose packet it is: exact addresses first, then any port, then prefixes,
//! the longest first.

use lb_common::abi::{Config, MAX_PREFIX_LENGTHS, features, lookup_flags, role};

use crate::{
    parse::Address,
    tables::{Found, Generation, Rest},
};

/// The service that takes packets to an address and port (network byte order).
#[inline(always)]
pub fn of_client(
    generation: Generation,
    config: &Config,
    addr: Address,
    port: u16,
    protocol: u8,
) -> Option<Found> {
    if let Some(found) = generation.find(addr, Rest::new(port, protocol, role::VIP)) {
        return Some(found);
    }
    if config.features & features::ANY_PORT != 0
        && let Some(found) = generation.find_apart(addr, Rest::new(0, protocol, role::VIP))
    {
        return Some(found);
    }
    if config.prefixes == 0 {
        return None;
    }
    in_prefix(generation, addr, port, protocol)
}

/// The service whose backend, in mode `nat`, sends from an address and port
/// (network byte order).
#[inline(always)]
pub fn of_backend(
    generation: Generation,
    config: &Config,
    addr: Address,
    port: u16,
    protocol: u8,
) -> Option<Found> {
    if config.features & features::NAT == 0 {
        return None;
    }
    if let Some(found) = generation.find_apart(addr, Rest::new(port, protocol, role::REAL)) {
        return Some(found);
    }
    if config.features & features::ANY_PORT == 0 {
        return None;
    }
    generation.find_apart(addr, Rest::new(0, protocol, role::REAL))
}

/// The backend that a server id (as it lies in memory, zero padded) names.
#[inline(always)]
pub fn server(generation: Generation, service: u32, id: u64, len: u8) -> Option<u32> {
    let rest = Rest::new((service as u16).to_be(), len, role::SERVER_ID);
    generation.find_apart(Address([id, 0]), rest).map(|found| found.backend)
}

/// Whether an address is one of ours, and then its [`lookup_flags`].
#[inline(always)]
pub fn address(generation: Generation, config: &Config, addr: Address) -> Option<u32> {
    let found = match generation.find_apart(addr, Rest::new(0, 0, role::ADDRESS)) {
        None if config.prefixes == 0 => None,
        None => in_prefix(generation, addr, 0, 0),
        found => found,
    };
    found.map(|found| found.flags)
}

/// Whether echo requests to this address are answered.
#[inline(always)]
pub fn answers_echo(flags: u32) -> bool {
    flags & lookup_flags::ECHO != 0
}

/// A prefix that holds the address: the longest one with this port or any.
#[inline(always)]
fn in_prefix(generation: Generation, addr: Address, port: u16, protocol: u8) -> Option<Found> {
    let ask = u32::from(port) | u32::from(protocol) << 16;
    Found::unpack(in_prefix_apart(generation.number(), addr.0[0], addr.0[1], ask))
}

/// [`in_prefix`] as a global function, which the verifier walks once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn in_prefix_apart(generation: u64, first: u64, second: u64, ask: u32) -> u64 {
    let generation = Generation::again(generation);
    let addr = Address([first, second]);
    let (port, protocol) = (ask as u16, (ask >> 16) as u8);
    let Ok(config) = generation.config() else { return 0 };
    for index in 0..MAX_PREFIX_LENGTHS {
        if index as u32 >= config.prefixes {
            break;
        }
        let length = config.prefix_lengths[index] & 0x7f;
        let prefix = shortened(addr, length);
        let role = role::PREFIX | length;
        let found = generation.find_packed(prefix, Rest::new(port, protocol, role));
        if found != 0 {
            return found;
        }
        if port != 0 {
            let found = generation.find_packed(prefix, Rest::new(0, protocol, role));
            if found != 0 {
                return found;
            }
        }
    }
    0
}

/// An address without the bits after `length`, `0..=127`. Without branches:
/// each would double the ways that the verifier walks.
#[inline(always)]
fn shortened(addr: Address, length: u8) -> Address {
    let [hi, lo] = addr.numeric();
    let (long, rest) = (u64::from(length >> 6 & 1), u32::from(length & 63));
    // In two steps, neither of which shifts by 64.
    let mask = !(u64::MAX >> (rest / 2) >> (rest - rest / 2));
    let (hi_mask, lo_mask) = (mask | 0u64.wrapping_sub(long), mask & 0u64.wrapping_sub(long));
    Address([(hi & hi_mask).to_be(), (lo & lo_mask).to_be()])
}
