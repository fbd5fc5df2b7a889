//! The manager's surroundings: sessions, probes, the tick, a disk that can fail
//! or hang, and the process that dies and comes back.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lb_control::{
    config::HealthSettings,
    core::{Core, Input, Intent, Output, SessionId},
    model::{FromAgent, FromSwitch, ProbeId, ToSwitch},
};

use crate::{
    history,
    judge::{Outcome, host_of},
    mutants::Mutant,
    network::{Message, Who},
    scene,
    world::{Event, World},
};

/// The only thing that outlives a manager.
#[derive(Debug)]
pub struct Disk {
    pub intent: Intent,
    pub fails: bool,
    pub hangs: bool,
    /// The newest intent that is to be written.
    pending: Option<(u64, Intent)>,
    writing: bool,
}

#[derive(Debug)]
pub struct Manager {
    pub core: Option<Core>,
    /// The core has heard what it has not decided about yet.
    unsettled: bool,
    /// Tells one manager from the one before it.
    pub life: u64,
    started: Duration,
    paused_until: Duration,
    pub disk: Disk,
    probes: BTreeMap<ProbeId, (SocketAddr, HealthSettings)>,
}

impl Manager {
    pub fn new(intent: Intent) -> Self {
        Self {
            core: None,
            unsettled: false,
            life: 0,
            started: Duration::ZERO,
            paused_until: Duration::ZERO,
            disk: Disk { intent, fails: false, hangs: false, pending: None, writing: false },
            probes: BTreeMap::new(),
        }
    }

    /// Until when a manager that was stopped hears nothing.
    pub fn paused_until(&self, now: Duration) -> Option<Duration> {
        (self.paused_until > now).then_some(self.paused_until)
    }

    pub fn listens(&self, now: Duration) -> bool {
        self.core.is_some() && self.paused_until <= now
    }

    /// It listens, and has decided about all that it has heard.
    pub fn has_settled(&self, now: Duration) -> bool {
        self.listens(now) && !self.unsettled
    }
}

impl World {
    /// When the core needs a tick.
    pub fn wakeup(&self) -> Option<Duration> {
        if self.mutant == Mutant::TicksWithheld && self.now > Duration::from_secs(6) {
            return None;
        }
        let at = self.manager.started + self.manager.core.as_ref()?.next_wakeup()?;
        Some(at.max(self.manager.paused_until))
    }

    pub fn tick(&mut self) -> Outcome {
        self.feed(Input::Tick)
    }

    /// Hands the core an input, and does what it asks. Now and then more is heard
    /// before the core settles.
    pub fn feed(&mut self, mut input: Input) -> Outcome {
        if let Some(line) = self.is_watched().then(|| history::input(&input)).flatten() {
            self.note(|| line);
        }
        self.judge.hears(&input, self.now)?;
        if !self.reaches(&mut input) {
            return Ok(());
        }
        let Some(core) = &mut self.manager.core else { return Ok(()) };
        let outputs = core.hear(input, self.now - self.manager.started);
        self.obey(outputs, false)?;
        self.manager.unsettled = true;
        if self.chance(30) {
            let (delay, life) = (self.between(0, 2), self.manager.life);
            self.after(delay, Event::Settle { life });
            return Ok(());
        }
        self.settle(self.manager.life)
    }

    /// What follows from all that was heard.
    pub fn settle(&mut self, life: u64) -> Outcome {
        if let Some(later) = self.manager.paused_until(self.now) {
            self.at(later, Event::Settle { life });
            return Ok(());
        }
        let Some(core) = self.manager.core.as_mut().filter(|_| life == self.manager.life) else {
            return Ok(());
        };
        let outputs = core.settle();
        self.manager.unsettled = false;
        self.obey(outputs, true)
    }

    fn obey(&mut self, mut outputs: Vec<Output>, settled: bool) -> Outcome {
        self.alter(&mut outputs);
        for output in &outputs {
            self.note(|| format!("    {}", history::output(output)));
        }
        let Some(core) = &self.manager.core else { return Ok(()) };
        self.judge.decides(core, &outputs, &self.manager.disk.intent, &self.edges, settled)?;
        outputs.into_iter().try_for_each(|output| self.act(output))
    }

    /// Whether the core gets to hear it: where no bug is planted it always does.
    fn reaches(&self, input: &mut Input) -> bool {
        match (self.mutant, input) {
            (Mutant::Deaf, Input::Agent { message: FromAgent::Heartbeat(_), .. }) => {
                self.now.as_secs() % 10 < 6
            }
            (Mutant::OldIsNew, Input::Agent { message: FromAgent::Heartbeat(heartbeat), .. }) => {
                heartbeat.sequence = self.judge.step();
                true
            }
            (Mutant::StartsAlike, Input::Agent { message: FromAgent::Hello(hello), .. }) => {
                hello.boot = 1;
                true
            }
            (Mutant::ProbesFlatter, Input::Probed { outcome, .. }) => {
                *outcome = Ok(());
                true
            }
            (Mutant::EdgesFlatter, Input::Switch { message: FromSwitch::Probed(reports), .. }) => {
                for report in reports {
                    report.outcome = Ok(());
                }
                true
            }
            (Mutant::PathIgnored, Input::Switch { message: FromSwitch::Hello(hello), .. }) => {
                hello.probes = false;
                true
            }
            _ => true,
        }
    }

    /// What the core says is altered where a bug is planted.
    fn alter(&mut self, outputs: &mut Vec<Output>) {
        let planted = self.mutant != Mutant::None && self.chance(20);
        match self.mutant {
            Mutant::ReplyLost if planted => {
                outputs.retain(|output| !matches!(output, Output::Reply { .. }));
            }
            Mutant::StampReused if planted => {
                for output in outputs {
                    if let Output::ToSwitch { message: ToSwitch::Apply(delta), .. } = output {
                        delta.stamp.sequence = delta.stamp.sequence.saturating_sub(1);
                    }
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, output: Output) -> Outcome {
        match output {
            Output::ToAgent { session, message } => {
                let step = self.judge.step();
                self.send(session.0 as usize, false, Message::ToAgent(message, step));
            }
            Output::ToSwitch { session, message } => return self.send_delta(session, message),
            Output::Close { session, .. } => self.hang_up(session.0 as usize, true),
            Output::StartProbe { probe, backend, health } => {
                self.manager.probes.insert(probe, (backend, health));
                let life = self.manager.life;
                let delay = self.delay();
                self.after(delay, Event::Probe { probe, life });
            }
            Output::StopProbe { probe } => drop(self.manager.probes.remove(&probe)),
            Output::Reply { .. } | Output::Publish(_) => {}
            Output::Save { number, intent } => {
                self.manager.disk.pending = Some((number, *intent));
                self.write();
            }
        }
        Ok(())
    }

    fn send_delta(&mut self, session: SessionId, message: ToSwitch) -> Outcome {
        let stream = session.0 as usize;
        let ToSwitch::Apply(mut delta) = message else {
            self.send(stream, false, Message::ToSwitch(message));
            return Ok(());
        };
        let planted =
            self.mutant != Mutant::None && self.now > Duration::from_secs(4) && self.chance(25);
        match self.mutant {
            Mutant::DeltaLost if planted => return Ok(()),
            Mutant::ChangeLost if planted => {
                let (_, left) = delta.changes.split_last().expect("a delta has changes");
                delta.changes = left.into();
            }
            Mutant::EarlyAck if planted => {
                let stamp = delta.stamp;
                let live_after = Duration::ZERO;
                let message = FromSwitch::Applied { stamp, generation: 1, live_after };
                self.send(stream, false, Message::ToSwitch(ToSwitch::Apply(delta)));
                return self.feed(Input::Switch { session, message });
            }
            _ => {}
        }
        self.send(stream, false, Message::ToSwitch(ToSwitch::Apply(delta)));
        Ok(())
    }

    pub fn probe(&mut self, probe: ProbeId, life: u64) -> Outcome {
        let Some(&(backend, health)) = self.manager.probes.get(&probe) else { return Ok(()) };
        if life != self.manager.life {
            return Ok(());
        }
        let cut = host_of(backend).is_some_and(|agent| self.cut.contains(&Who::Agent(agent)));
        let dead = cut || self.dead.contains(&backend);
        let outcome = if dead { Err("no answer".to_owned()) } else { Ok(()) };
        let delay = if cut { health.timeout } else { self.delay() };
        self.after(delay, Event::Probed { probe, life, outcome });
        self.after(health.interval.max(delay), Event::Probe { probe, life });
        Ok(())
    }

    pub fn probed(&mut self, probe: ProbeId, life: u64, outcome: Result<(), String>) -> Outcome {
        if life != self.manager.life || self.manager.core.is_none() {
            return Ok(());
        }
        if let Some(later) = self.manager.paused_until(self.now) {
            self.at(later, Event::Probed { probe, life, outcome });
            return Ok(());
        }
        self.feed(Input::Probed { probe, outcome })
    }

    fn write(&mut self) {
        if !std::mem::replace(&mut self.manager.disk.writing, true) {
            let delay = self.between(0, 20);
            let life = self.manager.life;
            self.after(delay, Event::Written { life });
        }
    }

    pub fn written(&mut self, life: u64) -> Outcome {
        if life != self.manager.life || self.manager.core.is_none() {
            return Ok(());
        }
        if self.manager.disk.hangs || self.manager.paused_until(self.now).is_some() {
            self.after(Duration::from_millis(100), Event::Written { life });
            return Ok(());
        }
        self.manager.disk.writing = false;
        let Some((number, intent)) = self.manager.disk.pending.take() else { return Ok(()) };
        let outcome = if self.manager.disk.fails { Err("no space".to_owned()) } else { Ok(()) };
        if outcome.is_ok() {
            self.put_on_disk(intent)?;
        }
        self.feed(Input::Saved { number, outcome })
    }

    fn put_on_disk(&mut self, mut intent: Intent) -> Outcome {
        match self.mutant {
            Mutant::SaveLost if self.rng.bool() => return Ok(()),
            Mutant::SaveTorn => intent.adds.extend(intent.removals.keys().map(|k| (k.clone(), 1))),
            _ => {}
        }
        self.judge.is_whole(&intent)?;
        self.manager.disk.intent = intent;
        Ok(())
    }

    /// The process is gone. What it was writing is on disk or is not.
    pub fn crash_manager(&mut self) -> Outcome {
        if self.manager.core.take().is_none() {
            return Ok(());
        }
        let disk = &mut self.manager.disk;
        disk.writing = false;
        let pending = disk.pending.take().filter(|_| !disk.fails && !disk.hangs);
        if let Some((_, intent)) = pending.filter(|_| self.rng.bool()) {
            self.put_on_disk(intent)?;
        }
        self.manager.probes.clear();
        self.judge.manager_ends();
        for stream in 0..self.streams.len() {
            if self.streams[stream].open_at_manager {
                self.hang_up(stream, true);
            }
        }
        Ok(())
    }

    /// A new process: its term is on disk before anything else.
    pub fn start_manager(&mut self) -> Outcome {
        if self.manager.core.is_some() {
            return Ok(());
        }
        if self.manager.disk.fails || self.manager.disk.hangs {
            self.after(Duration::from_millis(500), Event::StartManager);
            return Ok(());
        }
        let intent = &mut self.manager.disk.intent;
        intent.term += 1;
        let intent = intent.clone();
        self.note(|| format!("a manager starts with {intent:?}"));
        let mut settings = scene::settings().clone();
        if !self.freezes {
            settings.freeze_percent = 0.0;
        }
        match self.mutant {
            Mutant::NoLearning => settings.learning = Duration::ZERO,
            Mutant::FreezesNever => settings.freeze_percent = 0.0,
            Mutant::FreezesEasily => settings.freeze_percent = 1.0,
            _ => {}
        }
        self.manager.life += 1;
        self.manager.unsettled = false;
        self.manager.started = self.now;
        self.manager.paused_until = self.now;
        let core = Core::new(settings, intent.clone()).expect("a valid configuration");
        self.judge.manager_starts(&core, &intent, self.now)?;
        self.manager.core = Some(core);
        self.feed(Input::Tick)
    }

    /// The process is stopped for a while; what comes meanwhile waits.
    pub fn pause_manager(&mut self, pause: Duration) {
        self.note(|| format!("the manager is stopped for {pause:?}"));
        self.manager.paused_until = self.manager.paused_until.max(self.now + pause);
        let (at, life) = (self.manager.paused_until, self.manager.life);
        self.judge.manager_pauses(at);
        self.at(at, Event::Resume { life });
    }

    pub fn resume(&mut self, life: u64) -> Outcome {
        if life == self.manager.life && self.manager.listens(self.now) {
            self.note(|| "the manager goes on".to_owned());
        }
        Ok(())
    }
}
