//! Probes of backends by the way that clients' packets take.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{Mode, ServiceSpec};

/// One run of a probe, as the manager numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// The way to a backend that an edge's packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePath {
    pub mode: Mode,
    /// What is asked for a TCP connection: the service's address, or in mode
    /// `nat` the backend's.
    pub to: SocketAddr,
    /// The host that the packet is sent to.
    pub via: IpAddr,
}

impl ProbePath {
    /// The way to a backend of a service. `port` takes the place of the
    /// service's; without it only a service that takes TCP can be asked.
    ///
    /// Of a prefix the address after the first is asked, since the first names
    /// the network itself; None where no host can have that.
    pub fn of(spec: &ServiceSpec, backend: SocketAddr, port: Option<u16>) -> Option<Self> {
        if port.is_none() && !spec.protocol.has_tcp() {
            return None;
        }
        let to = if spec.mode == Mode::Nat {
            SocketAddr::new(backend.ip(), port.unwrap_or(backend.port()))
        } else {
            let port = port.or(spec.address.port()).unwrap_or(backend.port());
            SocketAddr::new(asked(spec)?, port)
        };
        Some(Self { mode: spec.mode, to, via: backend.ip() })
    }
}

fn asked(spec: &ServiceSpec) -> Option<IpAddr> {
    let first = spec.address.ip();
    if !spec.address.is_prefix() {
        return Some(first);
    }
    let second = match first {
        IpAddr::V4(v4) => IpAddr::V4(u32::from(v4).checked_add(1)?.into()),
        IpAddr::V6(v6) => IpAddr::V6(u128::from(v6).checked_add(1)?.into()),
    };
    let usable = match second {
        IpAddr::V4(v4) => v4.octets()[0] != 0,
        IpAddr::V6(v6) => !v6.is_loopback(),
    };
    (usable && spec.address.holds(second)).then_some(second)
}

impl fmt::Display for ProbePath {
    /// `203.0.113.10:80 through gue to 10.0.0.12`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Nat => write!(f, "{} as mode nat does", self.to),
            mode => write!(f, "{} through {mode} to {}", self.to, self.via),
        }
    }
}

/// Asks a switch to probe until it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    pub probe: ProbeId,
    pub path: ProbePath,
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// As many successes or failures in a row say something; what goes on
    /// unchanged need then be told now and then only.
    pub rise: u32,
    pub fall: u32,
}

/// Probes that a switch is to start and to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeOrders {
    pub start: Vec<ProbeOrder>,
    pub stop: Vec<ProbeId>,
}

/// What a probe has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    pub probe: ProbeId,
    /// The cause if it failed.
    pub outcome: Result<(), String>,
    /// Outcomes in a row that were like this one, itself counted.
    pub run: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(address: &str, mode: Mode, backend: &str, port: Option<u16>) -> Option<String> {
        let name = "www".parse().unwrap();
        let spec = ServiceSpec::tcp(name, address.parse::<super::super::Vip>().unwrap(), mode);
        ProbePath::of(&spec, backend.parse().unwrap(), port).map(|path| path.to_string())
    }

    #[test]
    fn a_way_is_that_of_clients() {
        for (address, mode, backend, port, expected) in [
            (
                "203.0.113.10:80",
                Mode::L2,
                "10.0.0.1:80",
                None,
                "203.0.113.10:80 through l2 to 10.0.0.1",
            ),
            (
                "203.0.113.10:80",
                Mode::Gue,
                "[fd00::1]:80",
                None,
                "203.0.113.10:80 through gue to fd00::1",
            ),
            (
                "203.0.113.10:*",
                Mode::L2,
                "10.0.0.1:81",
                None,
                "203.0.113.10:81 through l2 to 10.0.0.1",
            ),
            (
                "203.0.113.10:80",
                Mode::L2,
                "10.0.0.1:80",
                Some(9),
                "203.0.113.10:9 through l2 to 10.0.0.1",
            ),
            (
                "203.0.113.0/24:80",
                Mode::L2,
                "10.0.0.1:80",
                None,
                "203.0.113.1:80 through l2 to 10.0.0.1",
            ),
            (
                "[2001:db8::]/48:80",
                Mode::Ipip,
                "[fd00::1]:80",
                None,
                "[2001:db8::1]:80 through ipip to fd00::1",
            ),
            ("203.0.113.10:80", Mode::Nat, "10.0.0.1:8080", None, "10.0.0.1:8080 as mode nat does"),
        ] {
            assert_eq!(way(address, mode, backend, port).as_deref(), Some(expected), "{address}");
        }
        for address in ["0.0.0.0/0:80", "[::]/0:80"] {
            let backend = if address.starts_with('[') { "[fd00::1]:80" } else { "10.0.0.1:80" };
            assert_eq!(way(address, Mode::L2, backend, None), None, "{address}");
        }
    }

    #[test]
    fn without_tcp_a_port_must_be_named() {
        let name = "names".parse().unwrap();
        let vip = "203.0.113.10:53".parse::<super::super::Vip>().unwrap();
        let spec = ServiceSpec {
            protocol: super::super::Protocol::Udp,
            ..ServiceSpec::tcp(name, vip, Mode::L2)
        };
        let backend = "10.0.0.1:53".parse().unwrap();
        assert_eq!(ProbePath::of(&spec, backend, None), None);
        let path = ProbePath::of(&spec, backend, Some(53)).unwrap();
        assert_eq!(path.to, "203.0.113.10:53".parse().unwrap());
    }
}
