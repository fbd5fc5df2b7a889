//! Everything that is known of one binding, and what a monitor asks for.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    BackendView, Core, Deltas, Drifts,
    agents::Agent,
    clock::Timer,
    switches::{SLOW, Switch},
};
use crate::model::{Application, BackendCount, Binding, BindingKey, Counters, Name, Stamp};

/// One agent with a session.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    pub name: Name,
    /// Since its last heartbeat, or its hello.
    pub heard: Duration,
    /// It is lost after this silence.
    pub timeout: Duration,
    /// Bindings that it asks for.
    pub binds: usize,
    /// It said that it leaves.
    pub leaving: bool,
}

/// The manager's own probe of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeView {
    pub address: SocketAddr,
    /// None before the first.
    pub last: Option<Result<(), String>>,
    /// Outcomes in a row that were like the last one.
    pub run: u32,
}

/// What one switch holds of a binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub switch: Name,
    pub connected: bool,
    /// It holds what it should.
    pub in_step: bool,
    /// None: nothing.
    pub binding: Option<Binding>,
    /// The delta that brought it, and the generation; None where it is not live,
    /// was there before, or is too long ago to be known.
    pub live: Option<Live>,
    /// As last reported.
    pub counts: Option<BackendCount>,
}

/// When something became live on a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    pub stamp: Stamp,
    pub generation: u64,
    /// Since then.
    pub age: Duration,
    /// From the delta's being sent; None where the switch had it already.
    pub after: Option<Duration>,
}

/// Everything that is known of one binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    pub view: BackendView,
    /// Who has it: `agent`, `command`, `file`; `nobody` where it was found on a
    /// switch, is removed, or its agent is gone.
    pub source: &'static str,
    pub agent: Option<AgentView>,
    /// What the agent's check says; None before its first report.
    pub check: Option<Result<(), String>>,
    pub application: Option<Application>,
    /// None where the manager does not probe it.
    pub probe: Option<ProbeView>,
    pub held: Vec<Held>,
}

/// What one switch adds to the totals.
#[derive(Clone, Debug)]
pub struct SwitchTotals {
    pub name: Name,
    pub connected: bool,
    pub in_step: bool,
    pub generation: u64,
    pub deltas: Deltas,
    pub drifts: Drifts,
    pub counters: Option<Arc<Counters>>,
}

/// Counts since the manager's start, and what stands now.
#[derive(Clone, Debug)]
pub struct Totals {
    pub sessions: usize,
    pub probes: usize,
    /// Commands that wait for switches or the disk.
    pub waiting: usize,
    pub saves: u64,
    pub saves_failed: u64,
    pub events: BTreeMap<&'static str, u64>,
    /// Of peers, by the kind of event that tells of it; also those not told of.
    pub refusals: BTreeMap<&'static str, u64>,
    /// How many bindings each frozen service keeps that may be gone.
    pub frozen: BTreeMap<Name, usize>,
    pub switches: Vec<SwitchTotals>,
}

impl Core {
    /// Everything that is known of one binding, as of `now`.
    ///
    /// # Errors
    /// There is no such binding; says which there are.
    pub fn inspect(&self, key: &BindingKey, now: Duration) -> Result<Inspection, String> {
        self.check_service(&key.service).map_err(|refusal| refusal.message)?;
        let record = self.check_binding(key).map_err(|refusal| refusal.message)?;
        let agent = record.agent.as_ref().and_then(|name| self.agents.get_key_value(name));
        let claim = agent.and_then(|(_, agent)| agent.binds.get(key));
        let source = if self.intent.removals.contains_key(key) {
            "nobody"
        } else if agent.is_some() {
            "agent"
        } else if self.intent.adds.contains_key(key) {
            "command"
        } else if self.in_file(key) {
            "file"
        } else {
            "nobody"
        };
        let held = self
            .switches
            .iter()
            .map(|(name, switch)| self.held(key, record.version, name, switch, now));
        Ok(Inspection {
            view: self.view_of(key, record, now),
            source,
            agent: agent.map(|(name, agent)| self.agent_view(name, agent, now)),
            check: claim.and_then(|claim| claim.health.clone()),
            application: claim.map(|claim| claim.application.clone()),
            probe: record.probe.as_ref().map(|probe| probe.view(self.probed_at(key))),
            held: held.collect(),
        })
    }

    fn held(
        &self,
        key: &BindingKey,
        version: u64,
        name: &Name,
        switch: &Switch,
        now: Duration,
    ) -> Held {
        let binding = switch.holds.bindings.get(key).copied();
        let in_step = binding == self.desired.bindings.get(key).copied();
        let moment = switch.history.of(version).filter(|_| in_step && version > 0);
        Held {
            switch: name.clone(),
            connected: switch.session.is_some(),
            in_step,
            binding,
            live: moment.map(|moment| Live {
                stamp: moment.stamp,
                generation: moment.generation,
                age: now.saturating_sub(moment.at),
                after: moment.live_after,
            }),
            counts: switch
                .counters
                .as_ref()
                .and_then(|c| c.backends.iter().find(|count| count.key == *key).cloned()),
        }
    }

    /// Every agent with a session, as of `now`.
    pub fn agents(&self, now: Duration) -> Vec<AgentView> {
        self.agents.iter().map(|(name, agent)| self.agent_view(name, agent, now)).collect()
    }

    fn agent_view(&self, name: &Name, agent: &Agent, now: Duration) -> AgentView {
        let due = self.clock.at(&Timer::Silence(name.clone()));
        let heard = due.map_or(now, |due| due.saturating_sub(agent.timeout));
        AgentView {
            name: name.clone(),
            heard: now.saturating_sub(heard),
            timeout: agent.timeout,
            binds: agent.binds.len(),
            leaving: agent.leaving,
        }
    }

    /// Counts since the manager's start, and what stands now.
    pub fn totals(&self) -> Totals {
        let switch = |(name, switch): (&Name, &Switch)| SwitchTotals {
            name: name.clone(),
            connected: switch.session.is_some(),
            in_step: self.in_step(switch),
            generation: switch.generation,
            deltas: switch.deltas.clone(),
            drifts: switch.drifts.clone(),
            counters: switch.counters.clone(),
        };
        Totals {
            sessions: self.sessions.len(),
            probes: self.probes.len(),
            waiting: self.requests.len(),
            saves: self.saving.tried,
            saves_failed: self.saving.failed,
            events: self.trail.kinds().clone(),
            refusals: self.refusals.clone(),
            frozen: self.frozen_services().map(|(name, _, kept)| (name.clone(), kept)).collect(),
            switches: self.switches.iter().map(switch).collect(),
        }
    }

    /// Connected, and not behind for longer than a delta may take.
    fn in_step(&self, switch: &Switch) -> bool {
        let late = |sent_at| self.now.saturating_sub(sent_at) >= SLOW;
        switch.session.is_some()
            && switch.refused.is_none()
            && !switch.flight.as_ref().is_some_and(|flight| late(flight.sent_at))
    }

    /// What a manager must have done before it can be relied on, and whether it
    /// has; if not, why.
    pub fn readiness(&self) -> [(&'static str, Result<(), String>); 3] {
        let learned =
            if self.learning() { Err("it still learns who is there".to_owned()) } else { Ok(()) };
        let saved = self.saving.error.clone().map_or(Ok(()), Err);
        let switch = if self.switches.values().any(|switch| self.in_step(switch)) {
            Ok(())
        } else {
            Err("no switch is connected and takes changes".to_owned())
        };
        [("learned", learned), ("intent-saved", saved), ("switch-in-step", switch)]
    }
}
