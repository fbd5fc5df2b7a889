//! The one task that owns the core, and the handle that others hold.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{events::EventLog, intent::IntentFile, outbox::Outbox, probe::Probes};
use crate::{
    core::{Command, Core, Done, Input, Intent, Output, Refusal, RequestId, SessionId},
    model::Origin,
};

/// Messages that may wait for the core; who has more to say waits.
const QUEUE: usize = 4096;

/// Of them, those that the core hears before it decides: few enough that what the
/// first of them changes does not wait for the last.
const HEARING: usize = 128;

/// A process that stood still, or got no processor, wakes to a tick that is later than
/// this, and what its peers said meanwhile is still in their sockets.
const LATE: Duration = Duration::from_millis(100);
/// For so long that is then heard before time passes.
const CATCH_UP: Duration = Duration::from_millis(250);

/// What the engine is handed.
pub(super) enum Message {
    Input(Input),
    /// A connection is there; its first message is yet to come.
    Open {
        session: SessionId,
        outbox: Outbox,
        origin: Origin,
    },
    Operator {
        by: Origin,
        command: Command,
        reply: oneshot::Sender<Result<Done, Refusal>>,
    },
    Query(Look),
}

/// Looks at the core, at a moment since the start, and passes on what it sees.
type Look = Box<dyn FnOnce(&Core, Duration) + Send>;

/// How the rest of the manager reaches the core.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    messages: mpsc::Sender<Message>,
    sessions: Arc<AtomicU64>,
    pub(super) events: Arc<EventLog>,
    pub(super) started: Instant,
    /// Cancelled when the manager stops.
    pub(super) stopped: CancellationToken,
}

/// The core has stopped.
fn stopped<T>(_: T) -> Status {
    Status::unavailable("the manager is stopping")
}

impl Handle {
    /// Begins a session.
    pub(super) async fn open(&self, outbox: Outbox, origin: Origin) -> Result<SessionId, Status> {
        let session = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        self.messages.send(Message::Open { session, outbox, origin }).await.map_err(stopped)?;
        Ok(session)
    }

    pub(super) async fn input(&self, input: Input) -> Result<(), Status> {
        self.messages.send(Message::Input(input)).await.map_err(stopped)
    }

    /// Carries out a command and waits for its answer.
    pub(super) async fn command(
        &self,
        by: Origin,
        command: Command,
    ) -> Result<Result<Done, Refusal>, Status> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Operator { by, command, reply }).await.map_err(stopped)?;
        answer.await.map_err(stopped)
    }

    /// Looks at the core, at a moment since the start.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core, Duration) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let (seen, answer) = oneshot::channel();
        // Who asked may be gone by the time it is answered.
        let look: Look = Box::new(move |core, now| drop(seen.send(look(core, now))));
        self.messages.send(Message::Query(look)).await.map_err(stopped)?;
        answer.await.map_err(stopped)
    }
}

/// The core and what its outputs act on.
pub(super) struct Engine {
    core: Core,
    started: Instant,
    messages: mpsc::Receiver<Message>,
    /// For probes and the saver, which must not keep the engine alive.
    to_self: mpsc::WeakSender<Message>,
    peers: HashMap<SessionId, Outbox>,
    probes: Probes,
    replies: HashMap<RequestId, oneshot::Sender<Result<Done, Refusal>>>,
    last_request: u64,
    saves: watch::Sender<Option<(u64, Box<Intent>)>>,
    events: Arc<EventLog>,
    stop: CancellationToken,
}

impl Engine {
    /// The saver becomes one of `tasks`: it ends after the engine, when
    /// everything is saved.
    pub(super) fn new(
        core: Core,
        file: IntentFile,
        keep_events: usize,
        stop: &CancellationToken,
        tasks: &mut JoinSet<anyhow::Result<()>>,
    ) -> (Self, Handle) {
        let (to_self, messages) = mpsc::channel(QUEUE);
        let (saves, to_save) = watch::channel(None);
        let events = Arc::new(EventLog::new(keep_events));
        let started = Instant::now();
        tasks.spawn(save(file, to_save, to_self.downgrade()));
        let handle = Handle {
            messages: to_self.clone(),
            sessions: Arc::default(),
            events: Arc::clone(&events),
            started,
            stopped: stop.clone(),
        };
        let engine = Self {
            core,
            started,
            messages,
            to_self: to_self.downgrade(),
            peers: HashMap::new(),
            probes: Probes::default(),
            replies: HashMap::new(),
            last_request: 0,
            saves,
            events,
            stop: stop.clone(),
        };
        (engine, handle)
    }

    /// Runs until it is told to stop. Sessions, probes and waiting commands end with it.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        self.hear(Input::Tick);
        self.settle();
        let (mut waiting, mut heard) = (Vec::with_capacity(HEARING), 0);
        let mut catching_up = None;
        loop {
            let due = self.core.next_wakeup().map(|at| self.started + at);
            let is_late = || due.is_some_and(|due| due + LATE < Instant::now());
            catching_up = catching_up.filter(|_| is_late());
            let due = due.max(catching_up);
            // What waits is heard before time passes, so that nobody is
            // declared silent whose heartbeat is already here; but once
            // through the queue is enough.
            let overdue = due.is_some_and(|due| due <= Instant::now());
            if overdue && heard >= QUEUE {
                (heard, catching_up) = (0, None);
                self.hear(Input::Tick);
                self.settle();
                continue;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                1.. = self.messages.recv_many(&mut waiting, HEARING) => {
                    heard += if overdue { waiting.len() } else { 0 };
                    waiting.drain(..).for_each(|message| self.message(message));
                    self.settle();
                }
                () = sleep_until(due.unwrap_or_else(far)), if due.is_some() => {
                    if catching_up.is_none() && is_late() {
                        catching_up = Some(Instant::now() + CATCH_UP);
                        continue;
                    }
                    (heard, catching_up) = (0, None);
                    self.hear(Input::Tick);
                    self.settle();
                }
            }
        }
        for outbox in self.peers.values() {
            outbox.close(Status::unavailable("the manager is stopping"));
        }
        Ok(())
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.hear(input),
            Message::Open { session, outbox, origin } => {
                self.peers.insert(session, outbox);
                self.hear(Input::Opened { session, origin });
            }
            Message::Operator { by, command, reply } => {
                self.last_request += 1;
                let request = RequestId(self.last_request);
                self.replies.insert(request, reply);
                self.hear(Input::Operator { request, by, command });
            }
            Message::Query(look) => {
                self.settle();
                look(&self.core, self.started.elapsed());
            }
        }
    }

    /// Hands the core an input, and those that come of its answer.
    fn hear(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if let Input::Closed { session } = &input {
                self.peers.remove(session);
            }
            for output in self.core.hear(input, self.started.elapsed()) {
                inputs.extend(self.act(output));
            }
        }
    }

    /// Does what follows from all that the core has heard.
    fn settle(&mut self) {
        loop {
            let outputs = self.core.settle();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                if let Some(input) = self.act(output) {
                    self.hear(input);
                }
            }
        }
    }

    /// Does what the core asks; returns what comes of it at once.
    fn act(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::ToAgent { session, message } => {
                return self.deliver(session, |outbox| outbox.agent(message));
            }
            Output::ToSwitch { session, message } => {
                return self.deliver(session, |outbox| outbox.switch(message));
            }
            Output::Close { session, reason } => {
                if let Some(outbox) = self.peers.remove(&session) {
                    outbox.close(Status::aborted(reason));
                }
            }
            Output::StartProbe { probe, backend, health } => {
                if let Some(to) = self.to_self.upgrade() {
                    self.probes.start(probe, backend, health, to);
                }
            }
            Output::StopProbe { probe } => self.probes.stop(probe),
            Output::Reply { request, reply } => {
                if let Some(waiting) = self.replies.remove(&request) {
                    // Who asked may be gone.
                    drop(waiting.send(reply));
                }
            }
            Output::Publish(event) => self.events.publish(event),
            Output::Save { number, intent } => {
                self.saves.send_replace(Some((number, intent)));
            }
        }
        None
    }

    /// Puts a message in a peer's outbox; a peer that does not read is cut off.
    fn deliver(
        &mut self,
        session: SessionId,
        send: impl FnOnce(&Outbox) -> Result<(), super::outbox::Undelivered>,
    ) -> Option<Input> {
        let error = send(self.peers.get(&session)?).err()?;
        tracing::warn!(session = session.0, "a session is ended: {error}");
        if let Some(outbox) = self.peers.remove(&session) {
            outbox.close(Status::resource_exhausted(error.to_string()));
        }
        Some(Input::Closed { session })
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

/// Saves the newest intent, whenever there is one, and says how it went.
async fn save(
    file: IntentFile,
    mut to_save: watch::Receiver<Option<(u64, Box<Intent>)>>,
    to: mpsc::WeakSender<Message>,
) -> anyhow::Result<()> {
    let file = Arc::new(file);
    while to_save.changed().await.is_ok() {
        let Some((number, intent)) = to_save.borrow_and_update().clone() else {
            continue;
        };
        let file = Arc::clone(&file);
        let saved = tokio::task::spawn_blocking(move || file.save(&intent)).await?;
        let outcome = saved.map_err(|error| format!("{error:#}"));
        if let Err(error) = &outcome {
            tracing::error!("{error}");
        }
        if let Some(to) = to.upgrade() {
            // Nobody hears it once the engine has ended.
            drop(to.send(Message::Input(Input::Saved { number, outcome })).await);
        }
    }
    Ok(())
}
