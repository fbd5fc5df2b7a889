//! What the servers' program must do: take packets out of tunnels.

use std::net::IpAddr;

use lb_common::abi::decap::Reason;

use super::parse;
use crate::packet::{Action, decap::Allowed};

/// What becomes of a frame at a server.
pub fn decapsulate(allowed: &Allowed, frame: &[u8]) -> (Action, Reason, Vec<u8>) {
    let passed = |reason| (Action::Pass, reason, frame.to_vec());
    let Some((outer, start)) = tunnelled(allowed, frame) else {
        return passed(Reason::NotTunnelled);
    };
    match take_out(allowed, frame, &outer, start) {
        Ok(out) => (Action::Pass, Reason::Decapsulated, out),
        Err(reason) => (Action::Drop, reason, frame.to_vec()),
    }
}

/// A tunnelled packet to this server, and where the one inside begins.
fn tunnelled(allowed: &Allowed, frame: &[u8]) -> Option<(super::Packet, usize)> {
    let outer = parse::network(frame).ok()?;
    let start = match outer.protocol {
        4 | 41 => outer.l4,
        17 if frame.len() >= outer.l4 + 8 && parse::be16(frame, outer.l4 + 2) == 6080 => {
            outer.l4 + 8
        }
        _ => return None,
    };
    allowed.servers.contains(&outer.dst).then_some((outer, start))
}

fn take_out(
    allowed: &Allowed,
    frame: &[u8],
    outer: &super::Packet,
    start: usize,
) -> Result<Vec<u8>, Reason> {
    if !holds(&allowed.sources, outer.src) {
        return Err(Reason::Source);
    }
    // Its end is the tunnel's packet's, not the frame's.
    let end = outer.l3 + outer.ip_len;
    let inner = frame.get(start..end).ok_or(Reason::Malformed)?;
    let version = inner.first().ok_or(Reason::Malformed)? >> 4;
    let told = match outer.protocol {
        4 => version == 4,
        41 => version == 6,
        _ => version == 4 || version == 6,
    };
    let header = if version == 4 { 20 } else { 40 };
    if !told || inner.len() < header {
        return Err(Reason::Malformed);
    }
    let (dst, length) = if version == 4 {
        (parse::v4(inner, 16), parse::be16(inner, 2))
    } else {
        (parse::v6(inner, 24), 40 + parse::be16(inner, 4))
    };
    if length > inner.len() {
        return Err(Reason::Malformed);
    }
    if !holds(&allowed.vips, dst) {
        return Err(Reason::Destination);
    }
    let mut out = frame[..outer.l3 - 2].to_vec();
    out.extend(if version == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    let inside = out.len();
    out.extend(&frame[start..]);
    if outer.tos & 3 == 3 {
        mark(&mut out, inside, version)?;
    }
    Ok(out)
}

fn holds(prefixes: &[(IpAddr, u8)], ip: IpAddr) -> bool {
    let bits = |ip| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    };
    prefixes.iter().any(|&(prefix, len)| {
        let differs = bits(prefix) ^ bits(ip);
        prefix.is_ipv4() == ip.is_ipv4()
            && differs.checked_shr(128 - u32::from(len)).unwrap_or(0) == 0
    })
}

/// Congestion experienced (RFC 6040 section 4.2).
fn mark(frame: &mut [u8], at: usize, version: u8) -> Result<(), Reason> {
    let (byte, shift) = if version == 4 { (at + 1, 0) } else { (at + 1, 4) };
    if frame[byte] >> shift & 3 == 0 {
        return Err(Reason::Congestion);
    }
    let mut word = [frame[at], frame[at + 1]];
    word[1] |= 3 << shift;
    let sums: &[usize] = if version == 4 { &[at + 10] } else { &[] };
    super::write::replace(frame, at, &word, sums);
    Ok(())
}
