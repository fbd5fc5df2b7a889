//! Between the model and the rows of the tables.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use lb_common::abi::{
    self, Backend, LookupKey, LookupSlot, Service, TCP_AND_UDP, backend_state, mode, policy, role,
    service_flags,
};

use crate::{
    edge::hops::NextHop,
    model::{
        Affinity, Binding, Mode, Name, Phase, Policy, Prefix, Protocol, Scope, ServerId,
        ServiceSpec, Share, Udp, Verdict, Vip,
    },
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

/// Of packets from clients, one for each protocol.
pub(super) fn vip_keys(spec: &ServiceSpec) -> Vec<LookupKey> {
    let key = |&protocol: &u8| vip_key(spec.address, protocol);
    spec.protocol.numbers().iter().map(key).collect()
}

pub(super) fn vip_key(vip: Vip, protocol: u8) -> LookupKey {
    LookupKey {
        addr: mapped(vip.ip()),
        port: vip.port().unwrap_or(0).to_be_bytes(),
        protocol,
        role: if vip.is_prefix() { role::PREFIX | vip.mapped_len() } else { role::VIP },
    }
}

/// Of packets from a backend in mode `nat`, one for each protocol.
pub(super) fn real_keys(spec: &ServiceSpec, backend: SocketAddr) -> Vec<LookupKey> {
    let port = spec.address.port().map_or(0, |_| backend.port());
    let key = |&protocol: &u8| LookupKey {
        addr: mapped(backend.ip()),
        port: port.to_be_bytes(),
        protocol,
        role: role::REAL,
    };
    spec.protocol.numbers().iter().map(key).collect()
}

/// Of QUIC packets whose connection id names a backend of the service.
pub(super) fn server_id_key(service: u16, id: ServerId) -> LookupKey {
    let mut addr = [0; 16];
    addr[..8].copy_from_slice(&id.padded());
    LookupKey { addr, port: service.to_be_bytes(), protocol: id.bytes(), role: role::SERVER_ID }
}

/// Of packets to our addresses that name no port.
pub(super) fn address_key(vip: Vip) -> LookupKey {
    let role = if vip.is_prefix() { role::PREFIX | vip.mapped_len() } else { role::ADDRESS };
    LookupKey { addr: mapped(vip.ip()), role, ..LookupKey::default() }
}

pub(super) fn lookup_slot(key: LookupKey, service: u16, backend: u16) -> LookupSlot {
    LookupSlot {
        key,
        service_plus_one: u32::from(service) + 1,
        backend: u32::from(backend),
        flags: 0,
    }
}

/// A service's row, without its ring and what changes with it.
pub(super) fn service_row(spec: &ServiceSpec) -> Service {
    let flag = |set: bool, flag: u16| if set { flag } else { 0 };
    Service {
        vip: mapped(spec.address.ip()),
        port: spec.address.port().unwrap_or(0).to_be_bytes(),
        protocol: match spec.protocol.numbers() {
            &[one] => one,
            _ => TCP_AND_UDP,
        },
        mode: match spec.mode {
            Mode::L2 => mode::L2,
            Mode::Nat => mode::NAT,
            Mode::Ipip => mode::IPIP,
            Mode::Gue => mode::GUE,
        },
        flags: flag(spec.affinity == Affinity::Client, service_flags::BY_CLIENT)
            | flag(spec.udp == Udp::Tracked, service_flags::TRACKED)
            | flag(spec.udp == Udp::Quic, service_flags::QUIC)
            | flag(spec.echo, service_flags::ECHO)
            | flag(spec.probe_path, service_flags::PROBE_PATH),
        prefix_len: spec.address.mapped_len(),
        udp_idle: spec.udp_idle,
        server_id_len: spec.server_id_bytes,
        ring_size: spec.ring_size,
        ..Service::default()
    }
}

/// The service of a row; `None` for a row that we never wrote.
pub(in crate::edge) fn service_of(name: Name, row: &Service) -> Option<ServiceSpec> {
    let ip = unmapped(row.vip);
    let len = row.prefix_len.checked_sub(if ip.is_ipv4() { 96 } else { 0 })?;
    let port = u16::from_be_bytes(row.port);
    let has = |flag: u16| row.flags & flag != 0;
    Some(ServiceSpec {
        name,
        address: Vip::new(Prefix::of(ip, len)?, (port != 0).then_some(port)),
        protocol: match row.protocol {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            TCP_AND_UDP => Protocol::TcpAndUdp,
            _ => return None,
        },
        mode: match row.mode {
            mode::L2 => Mode::L2,
            mode::NAT => Mode::Nat,
            mode::IPIP => Mode::Ipip,
            mode::GUE => Mode::Gue,
            _ => return None,
        },
        ring_size: row.ring_size,
        affinity: if has(service_flags::BY_CLIENT) { Affinity::Client } else { Affinity::Flow },
        udp: match (has(service_flags::TRACKED), has(service_flags::QUIC)) {
            (false, false) => Udp::Stateless,
            (true, false) => Udp::Tracked,
            (false, true) => Udp::Quic,
            (true, true) => return None,
        },
        udp_idle: row.udp_idle,
        server_id_bytes: row.server_id_len,
        echo: has(service_flags::ECHO),
        probe_path: has(service_flags::PROBE_PATH),
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
        server_id_len: binding.server_id.map_or(0, ServerId::bytes),
        server_id: binding.server_id.map_or([0; 8], ServerId::padded),
        ..Backend::default()
    };
    if let Some(hop) = hop {
        row.reachable = 1;
        row.dst_mac = hop.dst_mac;
        row.src_mac = hop.src_mac;
        row.ifindex = hop.ifindex;
        row.mtu = hop.mtu;
    }
    row
}

/// The binding of a row and its next hop; `None` for a row that we never wrote.
pub(in crate::edge) fn backend_of(row: &Backend) -> Option<(SocketAddr, Binding, Option<NextHop>)> {
    let binding = Binding {
        weight: u16::try_from(row.weight).ok()?,
        phase: match row.state {
            backend_state::SERVING => Phase::Serve,
            backend_state::DRAINING => Phase::Drain,
            backend_state::BROKEN => Phase::Break,
            _ => return None,
        },
        server_id: ServerId::of(row.server_id, row.server_id_len),
    };
    let hop =
        NextHop { dst_mac: row.dst_mac, src_mac: row.src_mac, ifindex: row.ifindex, mtu: row.mtu };
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

pub(in crate::edge) fn name_of(row: &abi::Name) -> Option<Name> {
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
    fn services_of_every_kind_come_back() {
        let name: Name = "www".parse().unwrap();
        let kinds = [
            ("203.0.113.10:80", Protocol::Tcp, Mode::L2, Affinity::Flow, Udp::Stateless),
            ("203.0.113.0/24:*", Protocol::TcpAndUdp, Mode::Ipip, Affinity::Client, Udp::Quic),
            ("203.0.113.10:*", Protocol::Udp, Mode::Nat, Affinity::Flow, Udp::Tracked),
            ("[2001:db8::]/48:443", Protocol::Udp, Mode::Gue, Affinity::Client, Udp::Stateless),
            ("[::]/0:53", Protocol::Tcp, Mode::L2, Affinity::Flow, Udp::Stateless),
            ("0.0.0.0/0:53", Protocol::Tcp, Mode::L2, Affinity::Flow, Udp::Stateless),
        ];
        for (address, protocol, mode, affinity, udp) in kinds {
            let address: Vip = address.parse().unwrap();
            let tcp = ServiceSpec::tcp(name.clone(), address, mode);
            let spec = ServiceSpec {
                protocol,
                affinity,
                udp,
                udp_idle: 7,
                server_id_bytes: if udp == Udp::Quic { 8 } else { 0 },
                ring_size: 99,
                echo: true,
                probe_path: mode == Mode::L2,
                ..tcp
            };
            assert_eq!(service_of(name.clone(), &service_row(&spec)), Some(spec));
        }
    }

    #[test]
    fn bindings_come_back_with_their_ids() {
        let address = "192.0.2.1:443".parse().unwrap();
        for id in [None, Some("00"), Some("0a1b2c3d"), Some("0102030405060708")] {
            let server_id = id.map(|id| id.parse().unwrap());
            let binding = Binding { server_id, ..Binding::new(7, Phase::Drain) };
            let row = backend_row(3, address, &binding, None);
            assert_eq!(backend_of(&row), Some((address, binding, None)));
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
