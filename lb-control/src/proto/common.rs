//! `common.proto`.

use super::{
    v1,
    wire::{WireError, each, key, name, parse, required, server_id, server_id_text, share, weight},
};
use crate::model::{
    Affinity, Binding, BindingKey, Change, ClassSpec, Mode, Name, Phase, Policy, Protocol, Scope,
    ServiceSpec, SwitchState, Udp, Verdict,
};

impl From<Mode> for v1::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::L2 => Self::L2,
            Mode::Nat => Self::Nat,
            Mode::Ipip => Self::Ipip,
            Mode::Gue => Self::Gue,
        }
    }
}

impl From<Protocol> for v1::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::TcpAndUdp => Self::TcpAndUdp,
        }
    }
}

impl From<Affinity> for v1::Affinity {
    fn from(affinity: Affinity) -> Self {
        match affinity {
            Affinity::Flow => Self::Flow,
            Affinity::Client => Self::Client,
        }
    }
}

impl From<Udp> for v1::Udp {
    fn from(udp: Udp) -> Self {
        match udp {
            Udp::Stateless => Self::Stateless,
            Udp::Tracked => Self::Tracked,
            Udp::Quic => Self::Quic,
        }
    }
}

impl From<Phase> for v1::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Serve => Self::Serve,
            Phase::Drain => Self::Drain,
            Phase::Break => Self::Break,
        }
    }
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Reset => Self::Reset,
            Verdict::Silent => Self::Silent,
        }
    }
}

impl From<Scope> for v1::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Flow => Self::Flow,
            Scope::Client => Self::Client,
        }
    }
}

fn unknown(field: &str, value: i32) -> WireError {
    WireError::new(field, format!("missing, or {value}, which this version does not know"))
}

pub(super) fn mode(value: i32) -> Result<Mode, WireError> {
    match v1::Mode::try_from(value) {
        Ok(v1::Mode::L2) => Ok(Mode::L2),
        Ok(v1::Mode::Nat) => Ok(Mode::Nat),
        Ok(v1::Mode::Ipip) => Ok(Mode::Ipip),
        Ok(v1::Mode::Gue) => Ok(Mode::Gue),
        Ok(v1::Mode::Unspecified) | Err(_) => Err(unknown("mode", value)),
    }
}

fn protocol(value: i32) -> Result<Protocol, WireError> {
    match v1::Protocol::try_from(value) {
        Ok(v1::Protocol::Tcp) => Ok(Protocol::Tcp),
        Ok(v1::Protocol::Udp) => Ok(Protocol::Udp),
        Ok(v1::Protocol::TcpAndUdp) => Ok(Protocol::TcpAndUdp),
        Ok(v1::Protocol::Unspecified) | Err(_) => Err(unknown("protocol", value)),
    }
}

/// What is not said is `flow`.
fn affinity(value: i32) -> Result<Affinity, WireError> {
    match v1::Affinity::try_from(value) {
        Ok(v1::Affinity::Unspecified | v1::Affinity::Flow) => Ok(Affinity::Flow),
        Ok(v1::Affinity::Client) => Ok(Affinity::Client),
        Err(_) => Err(unknown("affinity", value)),
    }
}

/// What is not said is `stateless`.
fn udp(value: i32) -> Result<Udp, WireError> {
    match v1::Udp::try_from(value) {
        Ok(v1::Udp::Unspecified | v1::Udp::Stateless) => Ok(Udp::Stateless),
        Ok(v1::Udp::Tracked) => Ok(Udp::Tracked),
        Ok(v1::Udp::Quic) => Ok(Udp::Quic),
        Err(_) => Err(unknown("udp", value)),
    }
}

fn phase(value: i32) -> Result<Phase, WireError> {
    match v1::Phase::try_from(value) {
        Ok(v1::Phase::Serve) => Ok(Phase::Serve),
        Ok(v1::Phase::Drain) => Ok(Phase::Drain),
        Ok(v1::Phase::Break) => Ok(Phase::Break),
        Ok(v1::Phase::Unspecified) | Err(_) => Err(unknown("phase", value)),
    }
}

/// What is not said is `reset`.
pub(super) fn verdict(value: i32) -> Result<Verdict, WireError> {
    match v1::Verdict::try_from(value) {
        Ok(v1::Verdict::Unspecified | v1::Verdict::Reset) => Ok(Verdict::Reset),
        Ok(v1::Verdict::Silent) => Ok(Verdict::Silent),
        Err(_) => Err(unknown("verdict", value)),
    }
}

/// What is not said is `flow`.
pub(super) fn scope(value: i32) -> Result<Scope, WireError> {
    match v1::Scope::try_from(value) {
        Ok(v1::Scope::Unspecified | v1::Scope::Flow) => Ok(Scope::Flow),
        Ok(v1::Scope::Client) => Ok(Scope::Client),
        Err(_) => Err(unknown("scope", value)),
    }
}

impl From<&ServiceSpec> for v1::Service {
    fn from(spec: &ServiceSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            address: spec.address.to_string(),
            protocol: v1::Protocol::from(spec.protocol).into(),
            mode: v1::Mode::from(spec.mode).into(),
            ring_size: spec.ring_size,
            affinity: v1::Affinity::from(spec.affinity).into(),
            udp: v1::Udp::from(spec.udp).into(),
            udp_idle: spec.udp_idle,
            echo: spec.echo,
            server_id_bytes: spec.server_id_bytes.into(),
            probe_path: spec.probe_path,
        }
    }
}

impl TryFrom<v1::Service> for ServiceSpec {
    type Error = WireError;

    fn try_from(service: v1::Service) -> Result<Self, WireError> {
        let ring_size = match service.ring_size {
            0 => lb_common::abi::DEFAULT_RING,
            size if size <= SwitchState::MAX_RING => size,
            size => {
                let most = SwitchState::MAX_RING;
                return Err(WireError::new(
                    "ring_size",
                    format!("a ring has 1 to {most} slots, not {size}"),
                ));
            }
        };
        Ok(Self {
            name: name("name", &service.name)?,
            address: parse("address", &service.address)?,
            protocol: protocol(service.protocol)?,
            mode: mode(service.mode)?,
            ring_size,
            affinity: affinity(service.affinity)?,
            udp: udp(service.udp)?,
            udp_idle: match service.udp_idle {
                0 => ServiceSpec::UDP_IDLE,
                seconds => seconds,
            },
            server_id_bytes: u8::try_from(service.server_id_bytes).map_err(|_| {
                WireError::new("server_id_bytes", "a server id has 8 bytes at the most")
            })?,
            echo: service.echo,
            probe_path: service.probe_path,
        })
    }
}

pub(super) fn binding_to(key: &BindingKey, binding: Binding) -> v1::Binding {
    v1::Binding {
        service: key.service.to_string(),
        backend: key.backend.to_string(),
        weight: binding.weight.into(),
        phase: v1::Phase::from(binding.phase).into(),
        server_id: server_id_text(binding.server_id),
    }
}

fn binding_from(binding: v1::Binding) -> Result<(BindingKey, Binding), WireError> {
    let key = key(&binding.service, &binding.backend)?;
    let (weight, phase) = (weight(binding.weight)?, phase(binding.phase)?);
    Ok((key, Binding { weight, phase, server_id: server_id(&binding.server_id)? }))
}

pub(super) fn policy_to(service: &Name, class: &Name, policy: Policy) -> v1::Policy {
    v1::Policy {
        service: service.to_string(),
        class: class.to_string(),
        refuse_ppm: policy.refuse.ppm(),
        verdict: v1::Verdict::from(policy.verdict).into(),
        scope: v1::Scope::from(policy.scope).into(),
    }
}

fn policy_from(policy: v1::Policy) -> Result<((Name, Name), Policy), WireError> {
    let key = (name("service", &policy.service)?, name("class", &policy.class)?);
    let policy = Policy {
        refuse: share(policy.refuse_ppm)?,
        verdict: verdict(policy.verdict)?,
        scope: scope(policy.scope)?,
    };
    Ok((key, policy))
}

impl From<&ClassSpec> for v1::Class {
    fn from(class: &ClassSpec) -> Self {
        Self {
            name: class.name.to_string(),
            sources: class.sources.iter().map(ToString::to_string).collect(),
            dscp: class.dscp.iter().copied().map(u32::from).collect(),
        }
    }
}

impl TryFrom<v1::Class> for ClassSpec {
    type Error = WireError;

    fn try_from(class: v1::Class) -> Result<Self, WireError> {
        let dscp = |dscp: u32| match u8::try_from(dscp) {
            Ok(dscp) if dscp <= 63 => Ok(dscp),
            _ => Err(WireError::new("dscp", format!("DSCP is 0 to 63, not {dscp}"))),
        };
        Ok(Self {
            name: name("name", &class.name)?,
            sources: class.sources.iter().map(|s| parse("sources", s)).collect::<Result<_, _>>()?,
            dscp: class.dscp.into_iter().map(dscp).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&SwitchState> for v1::SwitchState {
    fn from(state: &SwitchState) -> Self {
        Self {
            services: state.services.values().map(v1::Service::from).collect(),
            bindings: state
                .bindings
                .iter()
                .map(|(key, binding)| binding_to(key, *binding))
                .collect(),
            policies: state
                .policies
                .iter()
                .map(|((service, class), p)| policy_to(service, class, *p))
                .collect(),
            classes: state.classes.iter().map(v1::Class::from).collect(),
        }
    }
}

impl TryFrom<v1::SwitchState> for SwitchState {
    type Error = WireError;

    fn try_from(state: v1::SwitchState) -> Result<Self, WireError> {
        let services = each("services", state.services, ServiceSpec::try_from)?;
        Ok(Self {
            services: services.into_iter().map(|spec| (spec.name.clone(), spec)).collect(),
            bindings: each("bindings", state.bindings, binding_from)?.into_iter().collect(),
            policies: each("policies", state.policies, policy_from)?.into_iter().collect(),
            classes: each("classes", state.classes, ClassSpec::try_from)?,
        })
    }
}

impl From<&Change> for v1::Change {
    fn from(change: &Change) -> Self {
        use v1::change::Kind;
        let kind = match change {
            Change::PutService(spec) => Kind::PutService(spec.into()),
            Change::DeleteService(name) => Kind::DeleteService(name.to_string()),
            Change::PutBinding(key, binding) => Kind::PutBinding(binding_to(key, *binding)),
            Change::DeleteBinding(key) => Kind::DeleteBinding(v1::Binding {
                service: key.service.to_string(),
                backend: key.backend.to_string(),
                ..v1::Binding::default()
            }),
            Change::PutPolicy { service, class, policy } => {
                Kind::PutPolicy(policy_to(service, class, *policy))
            }
            Change::PutClasses(classes) => Kind::PutClasses(v1::Classes {
                classes: classes.iter().map(v1::Class::from).collect(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Change> for Change {
    type Error = WireError;

    fn try_from(change: v1::Change) -> Result<Self, WireError> {
        use v1::change::Kind;
        let within = |kind: &'static str| move |error: WireError| error.within(kind);
        Ok(match required("kind", change.kind)? {
            Kind::PutService(service) => {
                Self::PutService(service.try_into().map_err(within("put_service"))?)
            }
            Kind::DeleteService(service) => Self::DeleteService(name("delete_service", &service)?),
            Kind::PutBinding(binding) => {
                let (key, binding) = binding_from(binding).map_err(within("put_binding"))?;
                Self::PutBinding(key, binding)
            }
            Kind::DeleteBinding(binding) => {
                let key =
                    key(&binding.service, &binding.backend).map_err(within("delete_binding"))?;
                Self::DeleteBinding(key)
            }
            Kind::PutPolicy(policy) => {
                let ((service, class), policy) =
                    policy_from(policy).map_err(within("put_policy"))?;
                Self::PutPolicy { service, class, policy }
            }
            Kind::PutClasses(classes) => Self::PutClasses(
                each("classes", classes.classes, ClassSpec::try_from)
                    .map_err(within("put_classes"))?,
            ),
        })
    }
}
