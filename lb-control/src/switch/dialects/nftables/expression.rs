//! Expressions of rules, as the kernel executes them.
//!
//! Registers are counted in units of four bytes; a value that is shorter is padded.

use std::net::IpAddr;

use super::{attribute::Attribute, uapi::*};

/// The registers from this one on.
pub(super) type Register = u32;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

impl Verdict {
    /// As data of an element or an expression.
    pub(super) fn data(&self, kind: u16) -> Attribute {
        let (code, chain) = match self {
            Self::Drop => (NF_DROP, None),
            Self::Return => (NFT_RETURN, None),
            Self::Jump(chain) => (NFT_JUMP, Some(chain)),
            Self::Goto(chain) => (NFT_GOTO, Some(chain)),
        };
        let code = Attribute::bytes(VERDICT_CODE, code.to_be_bytes());
        let chain = chain.map(|chain| Attribute::text(VERDICT_CHAIN, chain));
        let inner: Vec<_> = [code].into_iter().chain(chain).collect();
        Attribute::nest(kind, [Attribute::nest(DATA_VERDICT, inner)])
    }
}

/// The kernel shows the first number of a register of 16 bytes by its old name.
fn register(kind: u16, number: Register) -> Attribute {
    let shown = if number.is_multiple_of(4) { 1 + number / 4 } else { 8 + number };
    Attribute::u32(kind, shown)
}

fn expression(name: &str, data: impl Into<Vec<Attribute>>) -> Attribute {
    let data = Attribute::nest(EXPR_DATA, data);
    Attribute::nest(LIST_ELEM, [Attribute::text(EXPR_NAME, name), data])
}

fn value(kind: u16, bytes: impl Into<Vec<u8>>) -> Attribute {
    Attribute::nest(kind, [Attribute::bytes(DATA_VALUE, bytes)])
}

pub(super) fn payload(base: u32, offset: u8, len: u8, to: Register) -> Attribute {
    let data = [
        register(PAYLOAD_DREG, to),
        Attribute::u32(PAYLOAD_BASE, base),
        Attribute::u32(PAYLOAD_OFFSET, offset.into()),
        Attribute::u32(PAYLOAD_LEN, len.into()),
    ];
    expression("payload", data)
}

pub(super) fn meta(key: i32, to: Register) -> Attribute {
    let key = Attribute::bytes(META_KEY, key.to_be_bytes());
    expression("meta", [key, register(META_DREG, to)])
}

/// Of the packet's connection; of its tuple in that direction.
pub(super) fn ct(key: i32, direction: Option<u8>, to: Register) -> Attribute {
    let key = Attribute::bytes(CT_KEY, key.to_be_bytes());
    let direction = direction.map(|direction| Attribute::bytes(CT_DIRECTION, [direction]));
    let data: Vec<_> = [register(CT_DREG, to), key].into_iter().chain(direction).collect();
    expression("ct", data)
}

pub(super) fn mask(at: Register, bits: &[u8]) -> Attribute {
    let length = u32::try_from(bits.len()).unwrap_or(0);
    let data = [
        register(BITWISE_SREG, at),
        register(BITWISE_DREG, at),
        Attribute::u32(BITWISE_LEN, length),
        value(BITWISE_MASK, bits),
        value(BITWISE_XOR, vec![0; bits.len()]),
    ];
    expression("bitwise", data)
}

/// Goes on with the rule only if the comparison holds.
pub(super) fn compare(at: Register, how: u32, with: impl Into<Vec<u8>>) -> Attribute {
    expression("cmp", [register(CMP_SREG, at), Attribute::u32(CMP_OP, how), value(CMP_DATA, with)])
}

/// A number of four bytes, so that it can be compared and looked up.
pub(super) fn network_order(at: Register) -> Attribute {
    let data = [
        register(BYTEORDER_SREG, at),
        register(BYTEORDER_DREG, at),
        Attribute::u32(BYTEORDER_OP, BYTEORDER_HTON),
        Attribute::u32(BYTEORDER_LEN, 4),
        Attribute::u32(BYTEORDER_SIZE, 4),
    ];
    expression("byteorder", data)
}

/// A random number below `modulus`.
pub(super) fn random(modulus: u32, to: Register) -> Attribute {
    let data = [
        register(NUMGEN_DREG, to),
        Attribute::u32(NUMGEN_MODULUS, modulus),
        Attribute::u32(NUMGEN_TYPE, NG_RANDOM),
    ];
    expression("numgen", data)
}

/// A hash below `modulus` of `len` bytes.
pub(super) fn hash(from: Register, len: u32, modulus: u32, seed: u32, to: Register) -> Attribute {
    let data = [
        register(HASH_SREG, from),
        register(HASH_DREG, to),
        Attribute::u32(HASH_LEN, len),
        Attribute::u32(HASH_MODULUS, modulus),
        Attribute::u32(HASH_SEED, seed),
        Attribute::u32(HASH_TYPE, HASH_JENKINS),
    ];
    expression("hash", data)
}

/// Goes on with the rule only if the set has the key.
pub(super) fn lookup(set: &str, key: Register) -> Attribute {
    expression("lookup", [Attribute::text(LOOKUP_SET, set), register(LOOKUP_SREG, key)])
}

/// Does as a verdict map says.
pub(super) fn verdict_of(map: &str, key: Register) -> Attribute {
    let verdict_register = Attribute::u32(LOOKUP_DREG, 0);
    let data = [Attribute::text(LOOKUP_SET, map), register(LOOKUP_SREG, key), verdict_register];
    expression("lookup", data)
}

pub(super) fn data_of(map: &str, key: Register, to: Register) -> Attribute {
    let data =
        [Attribute::text(LOOKUP_SET, map), register(LOOKUP_SREG, key), register(LOOKUP_DREG, to)];
    expression("lookup", data)
}

pub(super) fn verdict(verdict: &Verdict) -> Attribute {
    let to = Attribute::u32(IMMEDIATE_DREG, 0);
    expression("immediate", [to, verdict.data(IMMEDIATE_DATA)])
}

/// Translates the destination, of the family of `like`.
pub(super) fn dnat(like: IpAddr, address: Register, port: Register) -> Attribute {
    let family = if like.is_ipv4() { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
    let data = [
        Attribute::u32(NAT_TYPE, NAT_DNAT),
        Attribute::u32(NAT_FAMILY, family.into()),
        register(NAT_ADDR, address),
        register(NAT_PROTO, port),
    ];
    expression("nat", data)
}

pub(super) fn masquerade() -> Attribute {
    expression("masq", [])
}

pub(super) fn reset() -> Attribute {
    expression("reject", [Attribute::u32(REJECT_TYPE, REJECT_TCP_RST)])
}

pub(super) fn unreachable() -> Attribute {
    let code = Attribute::bytes(REJECT_CODE, [ICMPX_PORT_UNREACHABLE]);
    expression("reject", [Attribute::u32(REJECT_TYPE, REJECT_ICMPX), code])
}
