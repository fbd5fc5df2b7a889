//! The manager's decisions: a pure state machine.
//!
//! [`Core::hear`] takes what happened and the time since the start, and
//! [`Core::settle`] says what the switches are to do about all that was heard. The
//! core knows no clock, socket, thread or file, so a test runs it through any history
//! in no time. Every public moment and period is counted from the start, on a clock
//! that never goes back.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `authority` | who may do what; `crowd` counts sessions, `notices` says which refusals are told of |
//! | `agents` | sessions of agents: hello, heartbeats, silence, leave |
//! | `twins` | two agents with one name; heartbeats that are repeated |
//! | `applications` | what applications say of themselves |
//! | `feedback` | weights that DFP agents report |
//! | `agent_check` | how a binding stands, for a balancer that asks |
//! | `bindings` | the states of a binding and what moves it from one to another |
//! | `sources` | who stands for a binding, and whose weight and server id count |
//! | `freeze` | what is lost together is not believed at once; `standing` counts what is left |
//! | `adopt` | bindings found on a switch that nobody vouches for |
//! | `health` | the verdict over all who vouch for a binding |
//! | `probing` | who probes a binding, and what the probes say together |
//! | `drain` | when a draining binding has no connection left |
//! | `damping` | bindings that are lost over and over |
//! | `slow_start` | bindings that have just begun to serve |
//! | `closing` | the server's side of connections that are broken |
//! | `operator` | commands; `requests` waits until they are live and answers |
//! | `declare` | the whole intent at once: export, diff and apply |
//! | `switches` | what each switch says and holds, and the delta that brings it to desired |
//! | `drift` | switches that were changed behind the manager's back |
//! | `beside` | what a switch holds beside what it should |
//! | `why` | events: their numbers, and what follows from what |
//! | `live` | since when a switch has had what live |
//! | `inspect` | everything that is known of one binding; agents |
//! | `clock` | what falls due when |

mod adopt;
mod agent_check;
mod agents;
mod applications;
mod authority;
mod beside;
mod bindings;
mod clock;
mod closing;
mod counters;
mod crowd;
mod damping;
mod declare;
mod drain;
mod drift;
mod feedback;
mod freeze;
mod health;
mod input;
mod inspect;
mod intent;
mod live;
mod notices;
mod operator;
mod output;
mod probing;
mod requests;
mod settings;
mod setup;
mod slow_start;
mod sources;
mod standing;
mod switches;
mod twins;
mod view;
mod why;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

pub use declare::{Action, Alteration, Declared, Withdrawal};
pub use drift::{DriftView, Drifts};
pub use feedback::DfpView;
pub use input::{Command, Input, RequestId, SessionId};
pub use inspect::{AgentView, Held, Inspection, Live, ProbeView, SwitchTotals, Totals};
pub use intent::{Intent, Removal};
pub use live::{BUCKETS, Deltas};
pub use output::{Carried, Done, Event, Output, Refusal, RefusalKind, SwitchOutcome};
pub use settings::{CoreSettings, ServicePlan, SetupError};
pub use view::{BackendView, ClassView, ServiceView, StatusView, SwitchView};

use self::{
    agents::Agent,
    authority::Authority,
    bindings::Record,
    clock::{Clock, Timer},
    closing::Closing,
    damping::Flaps,
    feedback::Feedback,
    freeze::Losses,
    probing::Orders,
    requests::Waiting,
    standing::Standings,
    switches::Switch,
    why::Trail,
};
use crate::model::{BindingKey, Name, ProbeId, SwitchState};

/// How long after a failed save the next is tried.
const SAVE_RETRY: Duration = Duration::from_secs(5);

/// The state of the connection manager.
#[derive(Clone, Debug)]
pub struct Core {
    /// Services as they are now.
    settings: CoreSettings,
    /// Services of the configuration file.
    filed: BTreeMap<Name, ServicePlan>,
    intent: Intent,
    saving: Saving,
    now: Duration,
    clock: Clock,
    /// Every binding there is, on the switches or not: what may be added is
    /// checked against it, so that `desired` is always part of it.
    known: SwitchState,
    /// What every switch should hold.
    desired: SwitchState,
    /// Grows with each change of `desired`.
    version: u64,
    bindings: BTreeMap<BindingKey, Record>,
    /// Those that drain.
    draining: BTreeSet<BindingKey>,
    losses: BTreeMap<Name, Losses>,
    standings: Standings,
    agents: BTreeMap<Name, Agent>,
    /// DFP agents of the settings.
    feedback: BTreeMap<Name, Feedback>,
    /// Boot and last heartbeat of agents that are gone.
    heard: BTreeMap<Name, (u64, u64)>,
    /// Of bindings that were lost a while ago, known still or not.
    flaps: BTreeMap<BindingKey, Flaps>,
    switches: BTreeMap<Name, Switch>,
    sessions: BTreeMap<SessionId, Peer>,
    authority: Authority,
    probes: BTreeMap<ProbeId, BindingKey>,
    /// What switches are to be told of probes.
    orders: BTreeMap<SessionId, Orders>,
    /// What agents were asked to close.
    closing: BTreeMap<BindingKey, Closing>,
    last_probe: u64,
    requests: BTreeMap<RequestId, Waiting>,
    /// Parts of the intent that do not fit the configuration file.
    misfits: Vec<String>,
    trail: Trail,
    /// Peers and binds that were refused, by kind.
    refusals: BTreeMap<&'static str, u64>,
    out: Vec<Output>,
}

/// Who is at the other end of a session.
#[derive(Clone, Debug)]
enum Peer {
    Agent(Name),
    Switch(Name),
}

/// How far the intent is on disk.
#[derive(Clone, Debug, Default)]
struct Saving {
    /// There is something newer than `asked`.
    dirty: bool,
    asked: u64,
    /// The last number that was answered for, well or badly.
    answered: u64,
    /// How many were tried, and how many of them failed.
    tried: u64,
    failed: u64,
    error: Option<String>,
}

impl Core {
    /// What happened, and the time since the start → what to do.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        let mut outputs = self.hear(input, now);
        outputs.append(&mut self.settle());
        outputs
    }

    /// Takes in what happened, and the time since the start → what to do about that
    /// alone.
    ///
    /// Nothing falls due but by [`Input::Tick`]: messages that wait in a queue
    /// are to be handed in before it, so that nobody is declared silent whose
    /// word is already here.
    pub fn hear(&mut self, input: Input, now: Duration) -> Vec<Output> {
        self.now = self.now.max(now);
        self.trail.turn();
        match input {
            Input::Tick => self.expire(),
            Input::Opened { session, origin } => self.opened(session, origin),
            Input::Stranger { source, reason } => self.stranger(source, &reason),
            Input::Excess { session } => self.excess(session),
            Input::Agent { session, .. } | Input::Switch { session, .. }
                if self.authority.has_ended(session) => {}
            Input::Agent { session, message } => self.agent_message(session, message),
            Input::Switch { session, message } => self.switch_message(session, message),
            Input::Unreachable { switch, why } => self.unreachable(switch, why),
            Input::Closed { session } => self.closed(session),
            Input::Dfp { agent, message } => self.dfp_message(&agent, message),
            Input::Probed { probe, outcome } => self.probed(probe, outcome),
            Input::Saved { number, outcome } => self.saved(number, outcome),
            Input::Operator { request, by, command } => self.operator(request, &by, command),
        }
        mem::take(&mut self.out)
    }

    /// What is to follow from all that was heard since the last time: deltas, saves,
    /// and the answers that waited for them. Much that is heard at once makes one
    /// delta for each switch, so that the more happens, the less of it costs.
    pub fn settle(&mut self) -> Vec<Output> {
        self.review_frozen();
        self.save();
        self.pump();
        self.send_orders();
        self.answer();
        mem::take(&mut self.out)
    }

    /// When [`Input::Tick`] is next needed.
    pub fn next_wakeup(&self) -> Option<Duration> {
        self.clock.next()
    }

    /// The operator's commands as they stand.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// What every switch should hold.
    pub fn desired(&self) -> &SwitchState {
        &self.desired
    }

    fn expire(&mut self) {
        while let Some(timer) = self.clock.pop(self.now) {
            self.trail.turn();
            match timer {
                Timer::Learned => self.learned(),
                Timer::Silence(name) => self.silent(&name),
                Timer::Stage(key) => self.stage_over(&key),
                Timer::Step(key) => self.step(&key),
                Timer::Flap(key) => self.flap_over(&key),
                Timer::Retry(name) => self.retry(&name),
                Timer::Patience(request) => self.impatient(request),
                Timer::Save => self.saving.dirty = true,
                Timer::Thaw(service) => {
                    self.thaw(&service, "only a few were missing for a while");
                }
                Timer::Close(key) => self.close_expired(&key),
                Timer::Inherited => self.inherited_over(),
            }
        }
    }

    fn closed(&mut self, session: SessionId) {
        self.authority.forget(session);
        match self.sessions.remove(&session) {
            Some(Peer::Agent(name)) => self.agent_closed(&name),
            Some(Peer::Switch(name)) => self.switch_closed(&name),
            None => {}
        }
    }

    /// Ends a session from our side.
    fn close(&mut self, session: SessionId, reason: String) {
        self.sessions.remove(&session);
        self.authority.end(session);
        self.out.push(Output::Close { session, reason });
    }

    /// Nothing is removed for want of a voucher before this is over.
    fn learning(&self) -> bool {
        self.clock.at(&Timer::Learned).is_some()
    }

    fn learned(&mut self) {
        let unvouched: Vec<_> = self.unvouched().collect();
        self.publish(Event {
            kind: "manager.learned",
            message: format!(
                "the learning period is over; {} binding(s) have no voucher",
                unvouched.len()
            ),
            ..Event::default()
        });
        self.lose_unvouched(unvouched);
    }

    fn save(&mut self) {
        if !mem::take(&mut self.saving.dirty) {
            return;
        }
        self.saving.asked += 1;
        self.clock.cancel(&Timer::Save);
        let intent = Box::new(self.intent.clone());
        self.out.push(Output::Save { number: self.saving.asked, intent });
    }

    fn saved(&mut self, number: u64, outcome: Result<(), String>) {
        self.saving.answered = self.saving.answered.max(number);
        self.saving.tried += 1;
        match outcome {
            Ok(()) if self.saving.error.take().is_some() => self.publish(Event {
                kind: "intent.saved",
                message: "the operator's commands are saved again".to_owned(),
                ..Event::default()
            }),
            Ok(()) => {}
            Err(error) => {
                self.saving.failed += 1;
                self.clock.set(Timer::Save, self.now + SAVE_RETRY);
                if self.saving.error.as_ref() != Some(&error) {
                    self.publish(Event {
                        kind: "intent.unsaved",
                        message: format!("the operator's commands cannot be saved: {error}"),
                        ..Event::default()
                    });
                }
                self.saving.error = Some(error);
            }
        }
    }

    /// The number under which what is decided now will have been saved.
    fn save_number(&self) -> u64 {
        self.saving.asked + u64::from(self.saving.dirty)
    }
}

#[cfg(test)]
mod tests;
