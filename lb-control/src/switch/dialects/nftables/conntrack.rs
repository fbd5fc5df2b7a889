//! The connections that the kernel keeps for us: how many each backend has, and the
//! end of those whose backend is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    attribute::{Attribute, Garbage, find, need},
    key::{Front, Path},
    link::{Error, Kernel, Message},
    uapi::*,
};

/// A translated connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Path,
    /// Not one that has ended, and of which conntrack awaits late packets.
    pub(super) open: bool,
    /// Names it to the kernel.
    name: Vec<Attribute>,
    family: u8,
}

/// Connections by service and backend; those of `gone` are deleted.
pub(super) fn census(
    link: &mut dyn Kernel,
    gone: &BTreeSet<Path>,
) -> Result<BTreeMap<Path, u64>, Error> {
    let mut counts = BTreeMap::new();
    let mut doomed = Vec::new();
    // The kernel filters since Linux 5.15; before, it gives those of others too.
    let translated =
        [Attribute::u32(CTA_STATUS, IPS_DST_NAT), Attribute::u32(CTA_STATUS_MASK, IPS_DST_NAT)];
    link.ask(&Message::dump(CT_GET, NFPROTO_UNSPEC, translated), &mut |bytes| {
        if let Some(entry) = read(bytes)? {
            if gone.contains(&entry.path) {
                doomed.push(entry);
            } else if entry.open {
                *counts.entry(entry.path).or_default() += 1;
            }
        }
        Ok(())
    })?;
    for entry in doomed {
        match link.ask(&Message::get(CT_DELETE, entry.family, entry.name), &mut |_| Ok(())) {
            // It ended meanwhile.
            Err(error) if !error.is_missing() => return Err(error),
            _ => {}
        }
    }
    Ok(counts)
}

/// A connection over TCP or UDP.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Entry>, Garbage> {
    let (original, reply) = (need(bytes, CTA_TUPLE_ORIG)?, need(bytes, CTA_TUPLE_REPLY)?);
    let protocol = need(need(original, CTA_TUPLE_PROTO)?, CTA_PROTO_NUM)?;
    let &[protocol @ (6 | 17)] = protocol else { return Ok(None) };
    let front = end(original, (CTA_IP_V4_DST, CTA_IP_V6_DST), CTA_PROTO_DST_PORT)?;
    let backend = end(reply, (CTA_IP_V4_SRC, CTA_IP_V6_SRC), CTA_PROTO_SRC_PORT)?;
    let state = match find(bytes, CTA_PROTOINFO)? {
        Some(info) => match find(info, CTA_PROTOINFO_TCP)? {
            Some(tcp) => find(tcp, CTA_PROTOINFO_TCP_STATE)?,
            None => None,
        },
        None => None,
    };
    let mut name = vec![Attribute::bytes(CTA_TUPLE_ORIG, original)];
    for kind in [CTA_ZONE, CTA_ID] {
        name.extend(find(bytes, kind)?.map(|value| Attribute::bytes(kind, value)));
    }
    Ok(Some(Entry {
        path: Path { front: Front { address: front, protocol }, backend },
        open: !matches!(state, Some(&[TCP_TIME_WAIT | TCP_CLOSE])),
        name,
        family: if front.is_ipv4() { NFPROTO_IPV4 } else { NFPROTO_IPV6 },
    }))
}

/// One end of a tuple.
fn end(tuple: &[u8], (v4, v6): (u16, u16), port: u16) -> Result<SocketAddr, Garbage> {
    let ip = need(tuple, CTA_TUPLE_IP)?;
    let address = match (find(ip, v4)?, find(ip, v6)?) {
        (Some(v4), _) => IpAddr::from(<[u8; 4]>::try_from(v4).map_err(|_| Garbage)?),
        (None, Some(v6)) => IpAddr::from(<[u8; 16]>::try_from(v6).map_err(|_| Garbage)?),
        (None, None) => return Err(Garbage),
    };
    let port = need(need(tuple, CTA_TUPLE_PROTO)?, port)?;
    let port = <[u8; 2]>::try_from(port).map_err(|_| Garbage)?;
    Ok(SocketAddr::new(address, u16::from_be_bytes(port)))
}
