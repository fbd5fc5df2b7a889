//! Between the model and the rows of the tables.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use lb_common::abi::{
    self, Backend, LookupKey, LookupSlot, Service, backend_state, mode, policy, role,
};

use crate::{
    edge::neighbors::NextHop,
    model::{Binding, Mode, Name, Phase, Policy, Protocol, Scope, ServiceSpec, Share, Verdict},
};

/// An address in its IPv4-mapped form.
pub(in crate::edge) fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address that was mapped.
pub(in crate::edge) fn unmapped(octets: [u8; 16]) -> IpAddr {
    let v6 = Ipv6Addr::from(octets);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

fn socket(addr: [u8; 16], port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(unmapped(addr), u16::from_be_bytes(port))
}

/// Of packets from clients.
pub(super) fn vip_key(address: SocketAddr, protocol: Protocol) -> LookupKey {
    LookupKey {
        addr: mapped(address.ip()),
        port: address.port().to_be_bytes(),
        protocol: protocol.number(),
        role: role::VIP,
    }
}

/// Of packets from a backend in mode `nat`.
pub(super) fn real_key(backend: SocketAddr, protocol: Protocol) -> LookupKey {
    LookupKey { role: role::REAL, ..vip_key(backend, protocol) }
}

/// Of packets to one of our addresses that name no port.
pub(super) fn address_key(ip: IpAddr) -> LookupKey {
    LookupKey { addr: mapped(ip), role: role::ADDRESS, ..LookupKey::default() }
}

pub(super) fn lookup_slot(key: LookupKey, service: u16, backend: u16) -> LookupSlot {
    LookupSlot {
        key,
        service_plus_one: u32::from(service) + 1,
        backend: u32::from(backend),
        flags: 0,
    }
}

/// A service's row, without its ring and flags.
pub(super) fn service_row(spec: &ServiceSpec) -> Service {
    Service {
        vip: mapped(spec.address.ip()),
        port: spec.address.port().to_be_bytes(),
        protocol: spec.protocol.number(),
        mode: match spec.mode {
            Mode::L2 => mode::L2,
            Mode::Nat => mode::NAT,
        },
        prefix_len: 128,
        ring_size: spec.ring_size,
        ..Service::default()
    }
}

/// The service of a row; `None` for a row that we never wrote.
pub(super) fn service_of(name: Name, row: &Service) -> Option<ServiceSpec> {
    Some(ServiceSpec {
        name,
        address: socket(row.vip, row.port),
        protocol: (row.protocol == Protocol::Tcp.number()).then_some(Protocol::Tcp)?,
        mode: match row.mode {
            mode::L2 => Mode::L2,
            mode::NAT => Mode::Nat,
            _ => return None,
        },
        ring_size: row.ring_size,
    })
}

pub(super) fn backend_row(
    service: u16,
    address: SocketAddr,
    binding: &Binding,
    hop: Option<&NextHop>,
) -> Backend {
    let mut row = Backend {
        addr: mapped(address.ip()),
        port: address.port().to_be_bytes(),
        state: match binding.phase {
            Phase::Serve => backend_state::SERVING,
            Phase::Drain => backend_state::DRAINING,
            Phase::Break => backend_state::BROKEN,
        },
        service: u32::from(service),
        weight: u32::from(binding.weight),
        ..Backend::default()
    };
    if let Some(hop) = hop {
        row.reachable = 1;
        row.dst_mac = hop.dst_mac;
        row.src_mac = hop.src_mac;
        row.ifindex = hop.ifindex;
    }
    row
}

/// The binding of a row and its next hop; `None` for a row that we never wrote.
pub(super) fn backend_of(row: &Backend) -> Option<(SocketAddr, Binding, Option<NextHop>)> {
    let binding = Binding {
        weight: u16::try_from(row.weight).ok()?,
        phase: match row.state {
            backend_state::SERVING => Phase::Serve,
            backend_state::DRAINING => Phase::Drain,
            backend_state::BROKEN => Phase::Break,
            _ => return None,
        },
    };
    let hop = NextHop { dst_mac: row.dst_mac, src_mac: row.src_mac, ifindex: row.ifindex };
    Some((socket(row.addr, row.port), binding, (row.reachable != 0).then_some(hop)))
}

pub(super) fn policy_row(policy: &Policy) -> abi::Policy {
    abi::Policy {
        threshold: (u64::from(policy.refuse.ppm()) << 32) / u64::from(Share::ALL.ppm()),
        verdict: match policy.verdict {
            Verdict::Reset => policy::RESET,
            Verdict::Silent => policy::SILENT,
        },
        scope: match policy.scope {
            Scope::Flow => policy::BY_FLOW,
            Scope::Client => policy::BY_CLIENT,
        },
        reserved: [0; 6],
    }
}

/// The policy of a row; `None` when it admits everything.
pub(super) fn policy_of(row: &abi::Policy) -> Option<Policy> {
    let ppm = (row.threshold.min(1 << 32) * u64::from(Share::ALL.ppm())).div_ceil(1 << 32);
    let refuse = Share::from_ppm(ppm as u32).filter(|&share| share != Share::NONE)?;
    Some(Policy {
        refuse,
        verdict: match row.verdict {
            policy::RESET => Verdict::Reset,
            policy::SILENT => Verdict::Silent,
            _ => return None,
        },
        scope: if row.scope == policy::BY_CLIENT { Scope::Client } else { Scope::Flow },
    })
}

pub(super) fn name_row(name: &Name) -> abi::Name {
    let mut row = abi::Name::default();
    let bytes = name.as_str().as_bytes();
    row.0[..bytes.len()].copy_from_slice(bytes);
    row
}

pub(super) fn name_of(row: &abi::Name) -> Option<Name> {
    let len = row.0.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&row.0[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_exactly() {
        for ppm in (0..=1_000_000).step_by(7).chain([1, 499_999, 500_000, 999_999, 1_000_000]) {
            let policy = Policy {
                refuse: Share::from_ppm(ppm).unwrap(),
                verdict: Verdict::Silent,
                scope: Scope::Client,
            };
            let back = policy_of(&policy_row(&policy));
            assert_eq!(back, (ppm > 0).then_some(policy), "{ppm}");
        }
        let all = policy_row(&Policy { refuse: Share::ALL, ..Policy::default() });
        assert_eq!(all.threshold, 1 << 32);
    }

    #[test]
    fn addresses_come_back_in_their_family() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket(mapped(address.ip()), address.port().to_be_bytes()), address);
        }
    }

    #[test]
    fn names_of_every_length_come_back() {
        for len in [1, 20, 63] {
            let name: Name = "x".repeat(len).parse().unwrap();
            assert_eq!(name_of(&name_row(&name)), Some(name));
        }
        assert_eq!(name_of(&abi::Name::default()), None);
        assert_eq!(name_of(&abi::Name([b'x'; 64])), None);
    }
}
