//! Who listens, from /proc/net/tcp and its like (proc_net_tcp(5)).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::doctor::facts::{Known, Listener};

/// State of a TCP socket that listens, and of a UDP socket that is not
/// connected (include/net/tcp_states.h).
const LISTEN: &str = "0A";
const CLOSE: &str = "07";

pub(super) fn listeners() -> Known<Vec<Listener>> {
    let mut found = Vec::new();
    for (file, udp) in [("tcp", false), ("tcp6", false), ("udp", true), ("udp6", true)] {
        let path = format!("/proc/net/{file}");
        match fs::read_to_string(&path) {
            Ok(text) => found.extend(parse(&text, udp)),
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{path}: {error}")),
        }
    }
    Ok(found)
}

fn parse(text: &str, udp: bool) -> Vec<Listener> {
    let wanted = if udp { CLOSE } else { LISTEN };
    let listener = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let address = address(local)?;
        (state == wanted).then_some(Listener { udp, address })
    };
    text.lines().skip(1).filter_map(listener).collect()
}

/// `0100007F:0050`: the address in words of the host's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
            0: 0B0212C6:0050 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:1F90 00000000:0000 01 00000000:00000000\n   \
            2: 00000000000000000000000000000000:0050 0:0000 0A 00000000:00000000\n   \
            3: B80D0120000000000000000001000000:0051 0:0000 0A 00000000:00000000\n   \
            4: broken\n";
        let found: Vec<_> = parse(text, false).iter().map(|l| l.address.to_string()).collect();
        assert_eq!(found, ["198.18.2.11:80", "[::]:80", "[2001:db8::1]:81"]);
        assert!(parse(text, true).is_empty());
        let udp = "head\n 1: 00000000:01BB 00000000:0000 07 0:0\n";
        assert_eq!(parse(udp, true).len(), 1);
    }

    #[test]
    fn fuzzed_sockets() {
        crate::testing::Fuzz::new("proc-net").run(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            drop((parse(text, false), parse(text, true)));
        });
    }
}
