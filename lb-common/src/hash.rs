//! Hashes that the packet path and the control plane compute alike.

use crate::abi::{LOOKUP_BUCKET, LOOKUP_SLOTS, LookupKey};

/// One SipHash round (Aumasson and Bernstein, "SipHash: a fast short-input
/// PRF", 2012, section 2).
#[inline(always)]
const fn round(mut v: [u64; 4]) -> [u64; 4] {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
    v
}

/// SipHash-1-3 over `words`: one round for each word, three to finish.
///
/// The input's length is fixed by the caller (the last word says which kind
/// it is), so the length word of the general construction is left out.
#[inline(always)]
pub const fn siphash13<const N: usize>(key: [u64; 2], words: [u64; N]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let mut i = 0;
    while i < N {
        v[3] ^= words[i];
        v = round(v);
        v[0] ^= words[i];
        i += 1;
    }
    v[2] ^= 0xff;
    v = round(round(round(v)));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// Last word of a flow's hash: ports in network order, protocol, family.
#[inline(always)]
const fn ports_word(src_port: [u8; 2], dst_port: [u8; 2], protocol: u8, family: u8) -> u64 {
    u64::from_be_bytes([family, protocol, 0, 0, src_port[0], src_port[1], dst_port[0], dst_port[1]])
}

/// Keyed hash of an IPv4 flow. The low 32 bits choose the ring slot, the high
/// 32 bits feed the admission decision.
#[inline(always)]
pub const fn flow_v4(
    key: [u64; 2],
    src: [u8; 4],
    dst: [u8; 4],
    src_port: [u8; 2],
    dst_port: [u8; 2],
    protocol: u8,
) -> u64 {
    let addresses = ((u32::from_be_bytes(src) as u64) << 32) | u32::from_be_bytes(dst) as u64;
    siphash13(key, [addresses, ports_word(src_port, dst_port, protocol, 4)])
}

/// Keyed hash of an IPv6 flow; addresses as native halves of the big-endian value.
#[inline(always)]
pub const fn flow_v6(
    key: [u64; 2],
    src: [u64; 2],
    dst: [u64; 2],
    src_port: [u8; 2],
    dst_port: [u8; 2],
    protocol: u8,
) -> u64 {
    siphash13(key, [src[0], src[1], dst[0], dst[1], ports_word(src_port, dst_port, protocol, 6)])
}

/// Ring slot of a flow hash: multiply-shift over the low 32 bits, so that a
/// ring may have any length and no division is needed.
#[inline(always)]
pub const fn ring_slot(hash: u64, ring_len: u32) -> u32 {
    (((hash & 0xffff_ffff) * ring_len as u64) >> 32) as u32
}

/// The 32-bit number that an admission threshold is compared with: a function
/// of who asks (`subject`: a flow hash or a client hash) and the epoch.
///
/// The subject is keyed already, and the ring slot is made of its other half.
/// So the finalizer of MurmurHash3 is enough to ask each epoch anew: it maps
/// numbers to numbers one to one, which keeps shares exact.
#[inline(always)]
pub const fn admission(subject: u64, epoch: u64) -> u64 {
    let mut x = (subject >> 32) as u32 ^ epoch as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    (x ^ (x >> 16)) as u64
}

/// Keyed hash of a client address, for policies that decide by client.
#[inline(always)]
pub const fn client(key: [u64; 2], src: [u64; 2]) -> u64 {
    siphash13(key, [src[0], src[1], 0x636c_6965_6e74])
}

/// First slots of the two buckets that may hold `key`.
///
/// Not keyed: who can create services already decides everything.
#[inline(always)]
pub const fn lookup_buckets(key: &LookupKey) -> [u32; 2] {
    let a = &key.addr;
    let hi = u64::from_be_bytes([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]]);
    let lo = u64::from_be_bytes([a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]]);
    let rest = u32::from_be_bytes([key.port[0], key.port[1], key.protocol, key.role]) as u64;
    lookup_buckets_of(hi, lo, rest)
}

/// [`lookup_buckets`] of a key in parts: address halves, then
/// `port << 16 | protocol << 8 | role`.
#[inline(always)]
pub const fn lookup_buckets_of(hi: u64, lo: u64, rest: u64) -> [u32; 2] {
    let mut x = hi.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ lo;
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= rest.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 29)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^= x >> 32;
    let buckets = (LOOKUP_SLOTS / LOOKUP_BUCKET) as u64;
    [(x & (buckets - 1)) as u32 * LOOKUP_BUCKET, ((x >> 40) & (buckets - 1)) as u32 * LOOKUP_BUCKET]
}

#[cfg(test)]
mod tests;
