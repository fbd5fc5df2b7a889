//! What the core takes from the configuration file.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::{
    config::{
        AllowSettings, ClassSettings, DfpSettings, Echo, FlapDamping, HealthSettings,
        LimitSettings, PolicySettings, ProbeKind, ServiceSettings, Settings, SlowStart,
        StaticBackend,
    },
    model::{ClassSpec, Name, Policy, ProbePath, ServerId, ServiceSpec, StateError, Weight},
};

/// Periods, services and classes.
#[derive(Clone, Debug, PartialEq)]
pub struct CoreSettings {
    /// How long a started manager listens before it removes anything.
    pub learning: Duration,
    /// An agent is lost after its interval times this of silence.
    pub missed_heartbeats: u32,
    /// The share of a service in percent that, when it is lost within
    /// `freeze_window`, freezes it; 0: none.
    pub freeze_percent: f64,
    pub freeze_window: Duration,
    /// How long a lost backend's connections go on.
    pub down_grace: Duration,
    /// How long a graceful removal lets connections go on.
    pub drain_deadline: Duration,
    /// How long a broken binding stays on the switches.
    pub break_linger: Duration,
    pub flap_damping: FlapDamping,
    pub services: BTreeMap<Name, ServicePlan>,
    pub classes: Vec<ClassSpec>,
    /// Who may do what. None: peers prove nothing, and may do everything.
    pub allow: Option<Vec<AllowSettings>>,
    pub limits: LimitSettings,
    /// DFP agents on servers.
    pub dfp: Vec<DfpSettings>,
}

/// One service, as the file or a declaration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePlan {
    pub spec: ServiceSpec,
    pub health: HealthSettings,
    pub slow_start: SlowStart,
    /// Backends without an agent.
    pub backends: BTreeMap<SocketAddr, (Weight, Option<ServerId>)>,
    /// By class.
    pub policies: BTreeMap<Name, Policy>,
}

impl ServicePlan {
    /// Whether this service's backends are verified by probes.
    pub(super) fn is_probed(&self) -> bool {
        self.health.kind() != ProbeKind::None
    }

    /// The way by which an edge is to verify a backend; None: the manager does.
    pub(super) fn path(&self, backend: SocketAddr) -> Option<ProbePath> {
        let wanted = self.health.kind() == ProbeKind::Path;
        wanted.then(|| ProbePath::of(&self.spec, backend, self.health.port)).flatten()
    }

    /// The service itself, with the backends and policies of another.
    pub(super) fn over(&self, other: Option<&Self>) -> Self {
        Self {
            backends: other.map(|other| other.backends.clone()).unwrap_or_default(),
            policies: other.map(|other| other.policies.clone()).unwrap_or_default(),
            ..self.clone()
        }
    }

    /// What makes such a plan.
    pub fn settings(&self) -> ServiceSettings {
        let (plan, spec) = (self, &self.spec);
        ServiceSettings {
            name: spec.name.clone(),
            address: spec.address,
            protocol: spec.protocol,
            mode: spec.mode,
            affinity: spec.affinity,
            udp: spec.udp,
            udp_idle: Duration::from_secs(spec.udp_idle.into()),
            server_id_bytes: spec.server_id_bytes,
            echo: if spec.echo { Echo::Answer } else { Echo::Pass },
            ring_size: spec.ring_size,
            health: plan.health,
            slow_start: plan.slow_start,
            backends: plan
                .backends
                .iter()
                .map(|(&address, &(weight, server_id))| StaticBackend {
                    address,
                    weight,
                    server_id,
                })
                .collect(),
            policies: plan
                .policies
                .iter()
                .map(|(class, policy)| PolicySettings {
                    class: class.clone(),
                    refuse_percent: policy.refuse.percent(),
                    verdict: policy.verdict,
                    scope: policy.scope,
                })
                .collect(),
        }
    }
}

/// Why the core cannot start with a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("service `{service}`: `refuse_percent` is 0 to 100, not {percent}")]
    Percent { service: Name, percent: f64 },
    #[error("service `{0}` is given twice")]
    Twice(Name),
    #[error(
        "service `{0}`: a backend without an agent needs `health.probe = \"path\"` or `\"backend\"`"
    )]
    Unprobed(Name),
}

impl TryFrom<&Settings> for CoreSettings {
    type Error = SetupError;

    fn try_from(settings: &Settings) -> Result<Self, SetupError> {
        let manager = &settings.manager;
        let mut services = BTreeMap::new();
        for service in &settings.services {
            if services.insert(service.name.clone(), service.try_into()?).is_some() {
                return Err(SetupError::Twice(service.name.clone()));
            }
        }
        Ok(Self {
            learning: manager.learning,
            missed_heartbeats: manager.missed_heartbeats,
            freeze_percent: manager.freeze_percent,
            freeze_window: manager.freeze_window,
            down_grace: manager.down_grace,
            drain_deadline: manager.drain_deadline,
            break_linger: manager.break_linger,
            flap_damping: manager.flap_damping,
            services,
            classes: settings.classes.iter().map(ClassSettings::spec).collect(),
            allow: settings.tls.is_some().then(|| manager.allow.clone()),
            limits: manager.limits.clone(),
            dfp: manager.dfp.clone(),
        })
    }
}

impl TryFrom<&ServiceSettings> for ServicePlan {
    type Error = SetupError;

    fn try_from(service: &ServiceSettings) -> Result<Self, SetupError> {
        let mut policies = BTreeMap::new();
        for policy in &service.policies {
            let percent = policy.refuse_percent;
            let checked = policy
                .policy()
                .ok_or_else(|| SetupError::Percent { service: service.name.clone(), percent })?;
            policies.insert(policy.class.clone(), checked);
        }
        let plan = ServicePlan {
            spec: service.spec(),
            health: service.health,
            slow_start: service.slow_start,
            backends: service
                .backends
                .iter()
                .map(|b| (b.address, (b.weight, b.server_id)))
                .collect(),
            policies,
        };
        if !plan.is_probed() && !plan.backends.is_empty() {
            return Err(SetupError::Unprobed(service.name.clone()));
        }
        Ok(plan)
    }
}
