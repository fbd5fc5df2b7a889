//! What must hold, judged by what was delivered to the manager and by what is
//! so in the world: never by what the core thinks of it.
//!
//! | file | invariants |
//! | --- | --- |
//! | `vouching` | 1: no vouched binding is removed; 2: none serves unvouched, or stays past its time |
//! | `probing` | 1, 2: what probes have found |
//! | `sessions` | 1: which starts and sessions of agents count |
//! | `freezing` | 1, 2: but what is lost together is kept |
//! | `switches` | 3: an edge holds exactly what was decided; 7: stamps, one delta at a time |
//! | `closing` | 6: no connection of a binding that serves again is closed |
//! | `operators` | 5: intent is never lost; 7: every command is answered, once |
//! | `end` | 4: every edge converges once faults stop |

mod closing;
mod end;
mod freezing;
mod operators;
mod probing;
mod sessions;
mod switches;
mod vouching;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use lb_control::{
    core::{Core, Input, Intent, Output, RequestId, SessionId},
    model::{AgentHello, BindingKey, Name, Phase},
};

use self::{
    freezing::Lost,
    operators::{Asked, Promises},
    probing::Probing,
    switches::Known,
    vouching::Voucher,
};
use crate::{edges::Edge, scene};

/// What every history must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    VouchedStays,
    UnvouchedGoes,
    EdgesExact,
    Converges,
    IntentKept,
    CloseInTime,
    InOrder,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VouchedStays => "1: no vouched binding is removed",
            Self::UnvouchedGoes => "2: no unvouched binding is kept past its time",
            Self::EdgesExact => "3: an edge holds exactly what was decided",
            Self::Converges => "4: every edge converges once faults stop",
            Self::IntentKept => "5: intent is never lost",
            Self::CloseInTime => "6: no connection of a binding that serves is closed",
            Self::InOrder => "7: stamps grow, and every command is answered in time",
        })
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

pub type Outcome<T = ()> = Result<T, Violation>;

pub fn violates<T>(invariant: Invariant, what: impl Into<String>) -> Outcome<T> {
    Err(Violation { invariant, what: what.into() })
}

/// What is known of one binding.
#[derive(Debug, Default)]
struct Facts {
    /// When the manager was last told something for which it must or may take
    /// the binding from serving, and what.
    excused: Option<(Duration, &'static str)>,
    /// When it was last lost, and the loss for which it was taken from serving.
    lost: Option<Lost>,
    went: Option<Lost>,
    /// By an operator: out, in, and the last command of any kind.
    removed: bool,
    added: bool,
    commanded: u64,
    removed_at: Duration,
    /// The boot of the agent that it was removed from: that one alone does not
    /// bring it back.
    removed_boot: Option<u64>,
    /// Its time to drain, as last asked for.
    deadline: Duration,
    /// An agent last asked for it with its hello.
    claimed: u64,
    /// As it is decided, since when, and when something last prolonged that.
    phase: Option<Phase>,
    since: Duration,
    /// When an edge was last found with it, not serving.
    found: Duration,
    /// When it last began to serve.
    served: u64,
}

#[derive(Debug, Default)]
pub struct Judge {
    now: Duration,
    /// Counts what the core was handed.
    step: u64,
    started: Duration,
    /// It has listened for long enough, and was told that time has passed.
    learned: bool,
    learned_at: Duration,
    /// When it last went on after it was stopped.
    resumed: Duration,
    keys: BTreeMap<BindingKey, Facts>,
    vouchers: BTreeMap<Name, Voucher>,
    /// Boot and last heartbeat of agents whose session is over.
    gone: BTreeMap<Name, (u64, u64)>,
    /// A hello that is being answered.
    hello: Option<(SessionId, AgentHello)>,
    probings: BTreeMap<BindingKey, Probing>,
    edges: BTreeMap<Name, Known>,
    requests: BTreeMap<RequestId, Asked>,
    last_request: u64,
    promises: Promises,
    /// Whether services may be frozen, and which are, and which have just thawed.
    freezes: bool,
    frozen: BTreeSet<Name>,
    thawed: BTreeSet<Name>,
    /// Bindings that the edge that says hello serves.
    found: Vec<BindingKey>,
    /// What agents were asked to close, and until when they may.
    closes: BTreeMap<BindingKey, Duration>,
}

/// The agent on the host of a server.
pub fn host_of(server: SocketAddr) -> Option<usize> {
    let residents = &scene::agents()[..scene::RESIDENTS];
    residents.iter().position(|(_, binds)| binds.iter().any(|key| key.backend == server))
}

impl Judge {
    pub fn new(freezes: bool) -> Self {
        Self { freezes, ..Self::default() }
    }

    /// The last thing that the core was handed.
    pub fn step(&self) -> u64 {
        self.step
    }

    fn facts(&mut self, key: &BindingKey) -> &mut Facts {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Facts::default());
        }
        self.keys.get_mut(key).expect("just made")
    }

    /// Takes note of what the core is about to be handed.
    pub fn hears(&mut self, input: &Input, now: Duration) -> Outcome {
        self.now = now;
        self.step += 1;
        self.found.clear();
        match input {
            Input::Tick => self.time_passes(),
            Input::Agent { session, message } => self.agent_speaks(*session, message),
            Input::Switch { session, message } => self.switch_speaks(*session, message),
            Input::Closed { session } => self.session_ends(*session, true),
            Input::Probed { probe, outcome } => self.probe_speaks(*probe, outcome.is_ok()),
            Input::Saved { .. } => {}
            Input::Operator { request, command, .. } => self.asked(*request, command),
            Input::Opened { .. }
            | Input::Stranger { .. }
            | Input::Excess { .. }
            | Input::Unreachable { .. }
            | Input::Dfp { .. } => {}
        }
        Ok(())
    }

    /// Judges what the core made of it, or of all since it `settled` last.
    pub fn decides(
        &mut self,
        core: &Core,
        outputs: &[Output],
        disk: &Intent,
        edges: &[Edge],
        settled: bool,
    ) -> Outcome {
        self.command_taken(outputs);
        self.hello_answered(outputs)?;
        for output in outputs {
            if let Output::Close { session, .. } = output {
                self.session_ends(*session, false);
            }
        }
        self.note_closes(outputs);
        self.freezing_said(outputs)?;
        self.note_phases(core)?;
        self.must_freeze()?;
        for output in outputs {
            match output {
                Output::ToSwitch { session, message } => self.told(*session, message, core)?,
                Output::Reply { request, reply } => {
                    self.answered(*request, reply, disk, edges)?;
                }
                Output::StartProbe { .. }
                | Output::StopProbe { .. }
                | Output::ToAgent { .. }
                | Output::Close { .. }
                | Output::Publish(_)
                | Output::Save { .. } => {}
            }
        }
        self.note_probes(outputs, settled);
        Ok(())
    }

    /// What must hold at any time, once all of a moment has happened.
    pub fn look(&mut self, now: Duration) -> Outcome {
        self.now = now;
        self.look_at_bindings()?;
        self.look_at_requests()?;
        self.look_at_edges();
        Ok(())
    }

    pub fn manager_starts(&mut self, core: &Core, intent: &Intent, now: Duration) -> Outcome {
        self.now = now;
        self.step += 1;
        (self.started, self.learned) = (now, false);
        for key in scene::keys() {
            let facts = self.facts(key);
            facts.removed = intent.removals.contains_key(key);
            facts.added = intent.adds.contains_key(key);
            if facts.removed {
                facts.excused = Some((now, "the operator had removed it"));
            }
            // A removal that was not saved is undone.
            let saved = intent.removals.get(key).and_then(|removal| removal.boot);
            facts.removed_boot = facts.removed_boot.filter(|boot| saved == Some(*boot));
            (facts.phase, facts.since) = (None, now);
            (facts.lost, facts.went) = (None, None);
        }
        self.promises_kept(intent, core)
    }

    /// It is stopped until then.
    pub fn manager_pauses(&mut self, until: Duration) {
        self.resumed = until;
    }

    pub fn manager_ends(&mut self) {
        self.vouchers.clear();
        self.closes.clear();
        self.gone.clear();
        self.frozen.clear();
        self.hello = None;
        self.probings.clear();
        self.requests.clear();
        for known in self.edges.values_mut() {
            known.disconnected();
            known.last_sent = Default::default();
            known.met = false;
        }
    }

    fn session_ends(&mut self, session: SessionId, by_peer: bool) {
        self.voucher_ends(session, by_peer);
        if let Some(known) = self.edges.values_mut().find(|known| known.session == Some(session)) {
            known.disconnected();
            self.prober_ends(session);
        }
    }
}
