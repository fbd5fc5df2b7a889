//! What the manager measures. Names and units follow Prometheus' conventions:
//! seconds and bytes, `_total` for what only grows.
//!
//! What switches count has a label `switch`: a sum over switches would jump back
//! whenever one begins anew.

mod switches;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    core::{AgentView, BackendView, Core, ServiceView, StatusView, Totals},
    metrics::Page,
};

/// The states of a binding, in `core/bindings/state.rs`.
const STATES: [&str; 6] = ["pending", "active", "draining", "down", "broken", "unknown"];

/// The core at one moment.
pub(super) struct Snapshot {
    status: StatusView,
    ready: Vec<(&'static str, bool)>,
    services: Vec<ServiceView>,
    backends: Vec<BackendView>,
    agents: Vec<AgentView>,
    totals: Totals,
}

impl Snapshot {
    pub(super) fn take(core: &Core, now: Duration) -> Self {
        let ready = core.readiness().map(|(condition, holds)| (condition, holds.is_ok()));
        Self {
            status: core.status(),
            ready: ready.into(),
            services: core.services(),
            backends: core.backends(None, now),
            agents: core.agents(now),
            totals: core.totals(),
        }
    }

    pub(super) fn page(&self) -> Page {
        let mut page = Page::default();
        self.manager(&mut page);
        self.services(&mut page);
        self.backends(&mut page);
        self.agents(&mut page);
        switches::switches(&mut page, &self.totals.switches);
        page
    }

    fn manager(&self, page: &mut Page) {
        let (status, totals) = (&self.status, &self.totals);
        page.gauge("sluice_build_info", "The manager's version; always 1.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
        page.gauge("sluice_term", "Fencing number of this manager's leadership.")
            .sample(&[], status.term);
        page.gauge(
            "sluice_learning_remaining_seconds",
            "Until the manager removes what nobody vouches for; 0 when it has learned.",
        )
        .sample(&[], status.learning_left);
        let mut ready = page.gauge("sluice_ready", "Whether each condition of /readyz holds.");
        for (condition, holds) in &self.ready {
            ready.sample(&[("condition", condition)], *holds);
        }
        page.gauge("sluice_alarms", "What `sluice status` shows as alarms.")
            .sample(&[], status.alarms.len());
        page.gauge("sluice_sessions", "Sessions of agents and switches.")
            .sample(&[], totals.sessions);
        page.gauge("sluice_agents", "Agents that have a session.").sample(&[], status.agents);
        page.gauge(
            "sluice_probes",
            "Probes of backends that run, the manager's and those that edges were asked for.",
        )
        .sample(&[], totals.probes);
        page.gauge("sluice_commands_waiting", "Commands that wait for switches or the disk.")
            .sample(&[], totals.waiting);
        page.counter("sluice_intent_saves_total", "Attempts to save the operators' commands.")
            .sample(&[], totals.saves);
        page.counter("sluice_intent_save_failures_total", "Those attempts that failed.")
            .sample(&[], totals.saves_failed);
        let mut events = page.counter("sluice_events_total", "Events of `sluice events`.");
        for (kind, count) in &totals.events {
            events.sample(&[("kind", kind)], *count);
        }
        let mut refusals = page.counter(
            "sluice_peer_refusals_total",
            "What peers were refused, also where no event tells of it.",
        );
        for (kind, count) in &totals.refusals {
            refusals.sample(&[("kind", kind)], *count);
        }
    }

    fn services(&self, page: &mut Page) {
        let mut counts = BTreeMap::<_, usize>::new();
        for backend in &self.backends {
            *counts.entry((&backend.service, backend.state)).or_default() += 1;
        }
        let mut states =
            page.gauge("sluice_service_backends", "Backends of a service in each state.");
        for view in &self.services {
            let service = view.spec.name.as_str();
            for state in STATES {
                let count = counts.get(&(&view.spec.name, state)).copied().unwrap_or(0);
                states.sample(&[("service", service), ("state", state)], count);
            }
        }
        let mut frozen = page.gauge(
            "sluice_service_frozen",
            "Whether a service keeps what it has because too much was lost at once.",
        );
        for view in &self.services {
            let service = &view.spec.name;
            let holds = self.totals.frozen.contains_key(service);
            frozen.sample(&[("service", service.as_str())], holds);
        }
        let mut kept = page.gauge(
            "sluice_service_kept_backends",
            "Backends of a frozen service that serve and may be gone.",
        );
        for view in &self.services {
            let service = &view.spec.name;
            let count = self.totals.frozen.get(service).copied().unwrap_or(0);
            kept.sample(&[("service", service.as_str())], count);
        }
        let mut refused = page.gauge(
            "sluice_service_refused_ratio",
            "Share of a class's new connections that a service is set to refuse, 0 to 1.",
        );
        for view in &self.services {
            for (class, policy) in &view.policies {
                let labels = [("service", view.spec.name.as_str()), ("class", class.as_str())];
                refused.sample(&labels, policy.refuse.percent() / 100.0);
            }
        }
    }

    fn backends(&self, page: &mut Page) {
        let backends: Vec<_> =
            self.backends.iter().map(|view| (view, view.backend.to_string())).collect();
        let mut gauge = |name, help, value: &dyn Fn(&BackendView) -> Option<f64>| {
            let mut family = page.gauge(name, help);
            for (view, backend) in &backends {
                let labels = [("service", view.service.as_str()), ("backend", backend.as_str())];
                if let Some(value) = value(view) {
                    family.sample(&labels, value);
                }
            }
        };
        gauge("sluice_backend_active", "Whether a backend serves.", &|view| {
            Some(f64::from(u8::from(view.state == "active")))
        });
        gauge("sluice_backend_state_age_seconds", "Since when it is in its state.", &|view| {
            Some(view.age.as_secs_f64())
        });
        gauge("sluice_backend_weight", "The weight that it was given.", &|view| {
            Some(view.weight.into())
        });
        gauge("sluice_backend_effective_weight", "The weight that switches hold.", &|view| {
            Some(view.effective_weight.into())
        });
        gauge(
            "sluice_backend_connections",
            "Connections, as its agent or, without one, the switches report them.",
            &|view| Some(view.connections as f64),
        );
        gauge("sluice_backend_load", "Load, as its agent reports it.", &|view| view.load);
        gauge("sluice_backend_held_out", "Whether it flaps and may not serve yet.", &|view| {
            Some(f64::from(u8::from(view.hold_left.is_some())))
        });
    }

    fn agents(&self, page: &mut Page) {
        let mut heard =
            page.gauge("sluice_agent_heartbeat_age_seconds", "Since an agent's last heartbeat.");
        for agent in &self.agents {
            heard.sample(&[("agent", agent.name.as_str())], agent.heard);
        }
        let mut timeout =
            page.gauge("sluice_agent_timeout_seconds", "Silence after which an agent is lost.");
        for agent in &self.agents {
            timeout.sample(&[("agent", agent.name.as_str())], agent.timeout);
        }
        let mut binds = page.gauge("sluice_agent_bindings", "Bindings that an agent asks for.");
        for agent in &self.agents {
            binds.sample(&[("agent", agent.name.as_str())], agent.binds);
        }
    }
}
