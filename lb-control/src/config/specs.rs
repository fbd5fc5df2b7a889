//! What the file says, as the model has it.

use super::{ClassSettings, Echo, PolicySettings, ProbeKind, ServiceSettings, StaticBackend};
use crate::model::{Binding, BindingKey, ClassSpec, Phase, Policy, ServiceSpec, Share};

impl ServiceSettings {
    /// The service, as every switch is told of it.
    pub fn spec(&self) -> ServiceSpec {
        ServiceSpec {
            name: self.name.clone(),
            address: self.address,
            protocol: self.protocol,
            mode: self.mode,
            ring_size: self.ring_size,
            affinity: self.affinity,
            udp: self.udp,
            udp_idle: u32::try_from(self.udp_idle.as_secs()).unwrap_or(u32::MAX),
            server_id_bytes: self.server_id_bytes,
            echo: self.echo == Echo::Answer,
            probe_path: self.health.kind() == ProbeKind::Path,
        }
    }

    /// What a static backend of this service is once it serves.
    pub fn binding(&self, backend: &StaticBackend) -> (BindingKey, Binding) {
        let key = BindingKey { service: self.name.clone(), backend: backend.address };
        let StaticBackend { weight, server_id, .. } = *backend;
        let binding = Binding { weight, phase: Phase::Serve, server_id };
        (key, binding)
    }
}

impl ClassSettings {
    /// The class, as every switch is told of it.
    pub fn spec(&self) -> ClassSpec {
        ClassSpec {
            name: self.name.clone(),
            sources: self.sources.clone(),
            dscp: self.dscp.clone(),
        }
    }
}

impl PolicySettings {
    /// The policy, or nothing where the percentage is not 0 to 100.
    pub fn policy(&self) -> Option<Policy> {
        Some(Policy {
            refuse: Share::from_percent(self.refuse_percent)?,
            verdict: self.verdict,
            scope: self.scope,
        })
    }
}
