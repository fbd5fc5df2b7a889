//! What the operator sees.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    Core, DriftView,
    bindings::{Record, State},
    counters,
    switches::{SLOW, full_message},
};
use crate::model::{
    BindingKey, ClassSpec, Counters, DEFAULT_CLASS, Name, Policy, ServerId, ServiceSpec, Stamp,
    Weight,
};

/// The manager at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusView {
    pub term: u64,
    pub learning_left: Duration,
    pub services: usize,
    pub backends_active: usize,
    pub backends_total: usize,
    pub agents: usize,
    pub switches_connected: usize,
    pub switches_total: usize,
    /// What an operator should look at.
    pub alarms: Vec<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    pub spec: ServiceSpec,
    pub active: usize,
    pub total: usize,
    /// By class.
    pub policies: Vec<(Name, Policy)>,
    /// Some switch tracks connections that a change has put at risk.
    pub moving: bool,
}

/// One binding.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendView {
    pub service: Name,
    pub backend: SocketAddr,
    pub weight: Weight,
    /// What the switches hold: less where its application asks for a share, or
    /// it starts slowly.
    pub effective_weight: Weight,
    pub state: &'static str,
    pub reason: String,
    /// How long it has been in this state.
    pub age: Duration,
    pub agent: Option<Name>,
    pub connections: u64,
    /// As its agent reports it.
    pub load: Option<f64>,
    /// Left until a binding that flaps may serve again.
    pub hold_left: Option<Duration>,
    /// Removed, and no switch sends its server anything any more: no connection
    /// is left, or what was left is broken.
    pub removable: bool,
    /// Left until a drain breaks what remains.
    pub deadline_left: Option<Duration>,
    pub server_id: Option<ServerId>,
    /// Which switch cannot send packets to it, and why.
    pub unreachable: Option<String>,
}

/// One switch.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchView {
    pub name: Name,
    pub description: String,
    pub connected: bool,
    pub generation: u64,
    pub live: Stamp,
    pub sequence_sent: u64,
    pub last_live: Duration,
    pub last_error: String,
    /// How long it has not held what it should; None: it does.
    pub lag: Option<Duration>,
    /// How long ago it was last filled or brought up to date from a full read, and
    /// by how many changes.
    pub refill: Option<(Duration, usize)>,
    /// What it should do and has no way to.
    pub lacks: Vec<String>,
    /// How often it was found changed behind the manager's back.
    pub drifts: u64,
    pub drift: Option<DriftView>,
}

/// One class and what became of its new connections.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassView {
    pub class: ClassSpec,
    pub admitted: u64,
    pub refused: u64,
}

impl Core {
    pub fn status(&self) -> StatusView {
        let active = self.bindings.values().filter(|record| record.state == State::Active).count();
        StatusView {
            term: self.intent.term,
            learning_left: if self.learning() {
                self.settings.learning.saturating_sub(self.now)
            } else {
                Duration::ZERO
            },
            services: self.settings.services.len(),
            backends_active: active,
            backends_total: self.bindings.len(),
            agents: self.agents.len(),
            switches_connected: self
                .switches
                .values()
                .filter(|switch| switch.session.is_some())
                .count(),
            switches_total: self.switches.len(),
            alarms: self.alarms(),
        }
    }

    pub fn services(&self) -> Vec<ServiceView> {
        let view = |spec: &ServiceSpec| {
            let of_service = || self.of_service(&spec.name);
            let policies =
                self.desired.policies.iter().filter(|((service, _), _)| *service == spec.name);
            ServiceView {
                spec: spec.clone(),
                active: of_service().filter(|(_, record)| record.state == State::Active).count(),
                total: of_service().count(),
                policies: policies.map(|((_, class), policy)| (class.clone(), *policy)).collect(),
                moving: self
                    .all_counters()
                    .any(|c| c.services.iter().any(|s| s.service == spec.name && s.moving)),
            }
        };
        self.desired.services.values().map(view).collect()
    }

    /// One binding, as of `now`.
    pub(super) fn view_of(&self, key: &BindingKey, record: &Record, now: Duration) -> BackendView {
        let counts = self.all_counters().flat_map(|counters| &counters.backends);
        let flows = counts.filter(|count| count.key == *key).map(|c| c.remembered_flows).sum();
        let unreachable = self.out_of_reach().remove(key);
        BackendView { unreachable, ..self.backend(key, record, flows, now) }
    }

    /// One service's bindings, or all. Ages are as of `now`.
    pub fn backends(&self, service: Option<&Name>, now: Duration) -> Vec<BackendView> {
        let mut flows = BTreeMap::new();
        for count in self.all_counters().flat_map(|counters| &counters.backends) {
            *flows.entry(&count.key).or_default() += count.remembered_flows;
        }
        let lost = self.out_of_reach();
        let view = |(key, record)| {
            let flows = flows.get(key).copied().unwrap_or(0);
            let unreachable = lost.get(key).cloned();
            BackendView { unreachable, ..self.backend(key, record, flows, now) }
        };
        match service {
            Some(service) => self.of_service(service).map(view).collect(),
            None => self.bindings.iter().map(view).collect(),
        }
    }

    /// Bindings that a switch cannot send packets to: which one, and why.
    fn out_of_reach(&self) -> BTreeMap<&BindingKey, String> {
        let connected = self.switches.iter().filter(|(_, switch)| switch.session.is_some());
        let counts = connected
            .filter_map(|(name, switch)| Some((name, &switch.counters.as_ref()?.backends)));
        let lost = counts.flat_map(|(name, counts)| {
            counts.iter().filter_map(move |count| {
                let why = count.unreachable.as_ref()?;
                Some((&count.key, format!("switch `{name}` cannot reach it: {why}")))
            })
        });
        lost.collect()
    }

    fn backend(&self, key: &BindingKey, record: &Record, flows: u64, now: Duration) -> BackendView {
        let claim = record.agent.as_ref().and_then(|name| self.agents.get(name)?.binds.get(key));
        let deadline_left = match record.state {
            State::Draining { until } => Some(until.saturating_sub(now)),
            _ => None,
        };
        BackendView {
            service: key.service.clone(),
            backend: key.backend,
            weight: record.weight,
            effective_weight: self.effective_weight(key, record.weight),
            state: record.state.name(),
            reason: record.reason.clone(),
            age: now.saturating_sub(record.since),
            agent: record.agent.clone(),
            load: claim.and_then(|claim| claim.load),
            hold_left: self.damped(key).and_then(|_| self.hold_left(key)),
            connections: claim.and_then(|claim| claim.connections).unwrap_or(flows),
            removable: self.is_removable(key),
            deadline_left,
            server_id: self.server_id(key),
            unreachable: None,
        }
    }

    /// Every switch, as of `now`.
    pub fn switches(&self, now: Duration) -> Vec<SwitchView> {
        let view = |(name, switch): (&Name, &super::Switch)| SwitchView {
            name: name.clone(),
            description: switch.description.clone(),
            connected: switch.session.is_some(),
            generation: switch.generation,
            live: switch.stamp,
            sequence_sent: switch.sent,
            last_live: switch.last_live,
            last_error: switch
                .trouble
                .as_ref()
                .or(switch.refused.as_ref().map(|(_, why)| why))
                .cloned()
                .unwrap_or_default(),
            lag: switch.behind.map(|since| now.saturating_sub(since)),
            refill: switch.refilled.map(|(at, changes)| (now.saturating_sub(at), changes)),
            lacks: switch.lacks.clone(),
            drifts: switch.drifts.times,
            drift: switch.drifts.view(now),
        };
        self.switches.iter().map(view).collect()
    }

    /// Every class, the default class last.
    pub fn class_views(&self) -> Vec<ClassView> {
        let counts = self.counters(None).unwrap_or_default().classes;
        let default = DEFAULT_CLASS.parse().ok().map(|name| ClassSpec {
            name,
            sources: Vec::new(),
            dscp: Vec::new(),
        });
        let view = |class: ClassSpec| {
            let count = counts.iter().find(|count| count.class == class.name);
            let (admitted, refused) = count.map_or((0, 0), |count| (count.admitted, count.refused));
            ClassView { class, admitted, refused }
        };
        self.settings.classes.iter().cloned().chain(default).map(view).collect()
    }

    /// One switch's counters, or the sum over all that have sent any.
    ///
    /// # Errors
    /// There is no such switch; says which there are.
    pub fn counters(&self, switch: Option<&Name>) -> Result<Counters, String> {
        let Some(name) = switch else {
            let mut sum = Counters::default();
            self.all_counters().for_each(|counters| counters::add(&mut sum, counters));
            return Ok(sum);
        };
        Ok(self.switch(name)?.counters.as_deref().cloned().unwrap_or_default())
    }

    /// A switch that has been heard of.
    ///
    /// # Errors
    /// Says which there are.
    pub(super) fn switch(&self, name: &Name) -> Result<&super::Switch, String> {
        self.switches.get(name).ok_or_else(|| {
            format!(
                "there is no switch `{name}`; this manager has: {}",
                Self::list(self.switches.keys())
            )
        })
    }

    /// Whether a service exists.
    ///
    /// # Errors
    /// Says which there are.
    pub fn has_service(&self, service: &Name) -> Result<(), String> {
        self.check_service(service).map_err(|refusal| refusal.message)
    }

    /// One service's bindings.
    pub(super) fn of_service<'a>(
        &'a self,
        service: &'a Name,
    ) -> impl Iterator<Item = (&'a BindingKey, &'a Record)> {
        let first =
            BindingKey { service: service.clone(), backend: SocketAddr::from(([0, 0, 0, 0], 0)) };
        self.bindings.range(first..).take_while(|(key, _)| key.service == *service)
    }

    fn all_counters(&self) -> impl Iterator<Item = &Counters> {
        self.switches.values().filter_map(|switch| switch.counters.as_deref())
    }

    fn alarms(&self) -> Vec<String> {
        let mut alarms = self.misfits.clone();
        if let Some(error) = &self.saving.error {
            alarms.push(format!("the operator's commands cannot be saved: {error}"));
        }
        alarms.extend(
            self.twins()
                .map(|name| format!("two agents are named `{name}`: give each a name of its own")),
        );
        for (name, switch) in &self.switches {
            if switch.session.is_none() {
                let why = switch.trouble.iter().map(|why| format!(" ({why})")).collect::<String>();
                alarms.push(format!(
                    "switch `{name}` is not connected{why}; it goes on with what it holds"
                ));
            }
            alarms.extend(switch.lacks.iter().map(|what| format!("switch `{name}`: {what}")));
            alarms.extend(switch.drifts.alarm(name, self.now));
            if let Some((_, why)) = &switch.refused {
                alarms.push(format!("switch `{name}` refuses changes: {why}"));
            }
            if switch
                .flight
                .as_ref()
                .is_some_and(|flight| self.now.saturating_sub(flight.sent_at) >= SLOW)
            {
                alarms.push(format!("switch `{name}` does not acknowledge changes"));
            }
            let unreachable = |c: &Counters| {
                let mut lost = c.backends.iter().filter(|count| count.unreachable.is_some());
                let (key, why) =
                    lost.next().and_then(|c| Some((&c.key, c.unreachable.as_ref()?)))?;
                let others = match lost.count() {
                    0 => String::new(),
                    others => format!(" (and {others} more)"),
                };
                Some(format!(
                    "switch `{name}` cannot reach {} of service `{}`: {why}{others}",
                    key.backend, key.service
                ))
            };
            alarms.extend(switch.counters.as_deref().and_then(unreachable));
            if let Some(counters) = switch.counters.as_ref().filter(|_| switch.full) {
                let (flows, room) = (counters.remembered_flows, counters.remembered_capacity);
                alarms.push(format!("switch `{name}`: {}", full_message(flows, room)));
            }
        }
        for (service, why, kept) in self.frozen_services() {
            alarms.push(format!(
                "service `{service}` is frozen: {why}; {kept} binding(s) serve that may be gone: \
                 `sluice thaw {service}` lets them go"
            ));
        }
        for service in self.services() {
            if service.active == 0 && service.total > 0 && !self.learning() {
                alarms.push(format!("service `{}` has no active backend", service.spec.name));
            }
        }
        alarms
    }
}
