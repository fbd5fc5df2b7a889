//! What an external switch should hold, in words that all dialects have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use super::{Capabilities, weights};
use crate::model::{DEFAULT_CLASS, Name, Phase, Protocol, Share, SwitchState, Verdict};

/// Services and their servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub services: BTreeMap<Name, PlannedService>,
}

/// A virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedService {
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    /// By address and port. A drop server is one of them.
    #[serde(default)]
    pub servers: BTreeMap<SocketAddr, PlannedServer>,
    /// The share of new connections that the device itself refuses, in parts per
    /// million.
    #[serde(default)]
    pub refuse: Share,
    /// How they learn of it.
    #[serde(default)]
    pub verdict: Verdict,
}

/// A real server in a virtual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedServer {
    /// Relative share of new connections, within the device's range; 0: none.
    pub weight: u32,
    pub phase: Phase,
}

/// What becomes of a switch state on its way to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub capabilities: Capabilities,
    /// The services that it gets; None: all.
    pub services: Option<BTreeSet<Name>>,
    /// Bottomless sinks, one for each IP family at most: a service of that family has
    /// it as a server while it refuses connections.
    pub drop_servers: Vec<SocketAddr>,
}

impl Shape {
    /// The drop server of a service's family.
    pub(super) fn drop_server(&self, service: IpAddr) -> Option<SocketAddr> {
        let same = |server: &&SocketAddr| server.is_ipv4() == service.is_ipv4();
        self.drop_servers.iter().find(same).copied()
    }

    fn takes(&self, service: &Name) -> bool {
        self.services.as_ref().is_none_or(|services| services.contains(service))
    }
}

impl Plan {
    /// What a device of that shape should hold, and what it has no way to do.
    pub fn of(state: &SwitchState, shape: &Shape) -> (Self, Vec<String>) {
        let mut plan = Self::default();
        let mut lacks = Vec::new();
        for spec in state.services.values().filter(|spec| shape.takes(&spec.name)) {
            let name = &spec.name;
            if let Some(why) = unfit(spec, shape) {
                lacks.push(format!("service `{name}` is not on it: {why}"));
                continue;
            }
            let mut servers = Vec::new();
            for (key, binding) in state.bindings.iter().filter(|(key, _)| key.service == *name) {
                if key.backend.is_ipv6() && !shape.capabilities.ipv6 {
                    lacks.push(format!("backend {key} is not on it: it has no IPv6"));
                } else {
                    servers.push((key.backend, *binding));
                }
            }
            let (refuse, verdict) = refusal(state, name, &mut lacks);
            let mut service = PlannedService {
                address: spec.address.ip(),
                port: spec.address.port().unwrap_or(0),
                protocol: spec.protocol,
                servers: BTreeMap::new(),
                refuse: Share::NONE,
                verdict: Verdict::default(),
            };
            let mut sunk = Share::NONE;
            if shape.capabilities.admission {
                (service.refuse, service.verdict) = (refuse, verdict);
            } else if refuse != Share::NONE {
                match (shape.drop_server(service.address), shape.capabilities.weights) {
                    (Some(_), Some(_)) => sunk = refuse,
                    (None, _) => lacks.push(format!(
                        "service `{name}` refuses nobody on it: it cannot refuse connections, and \
                         `drop_servers` names no sink of that family (see `sluice drop-server`)"
                    )),
                    (_, None) => lacks.push(format!(
                        "service `{name}` refuses nobody on it: it has no weights, so that no \
                         share of the connections can be sent to a drop server"
                    )),
                }
            }
            let serving =
                |phase: Phase, weight: u16| if phase == Phase::Serve { weight } else { 0 };
            let given: Vec<_> = servers.iter().map(|(_, b)| serving(b.phase, b.weight)).collect();
            let (scaled, sink) = match shape.capabilities.weights {
                Some(most) => weights::fit(&given, sunk, most),
                None => (given.iter().map(|&w| u32::from(w > 0)).collect(), 0),
            };
            for ((address, binding), weight) in servers.into_iter().zip(scaled) {
                service.servers.insert(address, PlannedServer { weight, phase: binding.phase });
            }
            if let (Some(address), true) = (shape.drop_server(service.address), sink > 0) {
                let server = PlannedServer { weight: sink, phase: Phase::Serve };
                service.servers.insert(address, server);
            }
            plan.services.insert(name.clone(), service);
        }
        (plan, lacks)
    }
}

/// Why a service cannot be on such a device.
fn unfit(spec: &crate::model::ServiceSpec, shape: &Shape) -> Option<&'static str> {
    if spec.address.is_prefix() {
        Some("its address is a prefix")
    } else if spec.address.port().is_none() {
        Some("it takes any port")
    } else if !spec.address.is_ipv4() && !shape.capabilities.ipv6 {
        Some("the switch has no IPv6")
    } else if spec.protocol.has_udp() && !shape.capabilities.udp {
        Some("the switch has no UDP")
    } else {
        None
    }
}

/// What a service refuses of clients that are in no class: an external switch knows
/// no classes.
fn refusal(state: &SwitchState, service: &Name, lacks: &mut Vec<String>) -> (Share, Verdict) {
    let mut refused = (Share::NONE, Verdict::default());
    for ((_, class), policy) in state.policies.iter().filter(|((of, _), _)| of == service) {
        if class.as_str() == DEFAULT_CLASS {
            refused = (policy.refuse, policy.verdict);
        }
    }
    for ((_, class), policy) in state.policies.iter().filter(|((of, _), _)| of == service) {
        if class.as_str() != DEFAULT_CLASS && policy.refuse != refused.0 {
            lacks.push(format!(
                "class `{class}` of service `{service}` is refused {}% there, as class \
                 `{DEFAULT_CLASS}` is, and not {}%: it knows no classes",
                refused.0.percent(),
                policy.refuse.percent()
            ));
        }
    }
    refused
}
