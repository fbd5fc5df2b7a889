//! Carries the changes of a run out, by the command line and by SIGKILL.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::{
    changes::{Change, NO_DEADLINE, Step, Whom},
    ledger::Binding,
    world::World,
};
use crate::{Flood, Lab, Process};

/// Exit statuses of the command line.
const DONE: Option<i32> = Some(0);
const REFUSED: Option<i32> = Some(1);
const NOT_LIVE: Option<i32> = Some(4);

const POLL: Duration = Duration::from_millis(50);

/// What was done, and what the logs say of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub by_kind: BTreeMap<&'static str, u64>,
    pub restarts: u64,
    /// Connections open after each step.
    pub open: Vec<usize>,
    pub logged: Logged,
}

/// Lines in the logs that show which way connections took through a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logged {
    /// An edge came back and lacked changes.
    pub behind: usize,
    /// A drained server was let go because its agent saw no connection left.
    pub emptied: usize,
    /// The idle limit settled slots.
    pub settled: usize,
}

/// See the module.
pub(super) struct Operator<'a> {
    lab: &'a mut Lab,
    services: &'a [String],
    world: Arc<World>,
    flood: &'a Flood,
    idle: Duration,
    record: Record,
    /// When the connections of a drained server are to end.
    emptying: Vec<(Instant, Binding)>,
}

impl<'a> Operator<'a> {
    pub(super) fn new(
        lab: &'a mut Lab,
        services: &'a [String],
        world: Arc<World>,
        flood: &'a Flood,
        idle: Duration,
    ) -> Self {
        let (record, emptying) = (Record::default(), Vec::new());
        Self { lab, services, world, flood, idle, record, emptying }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// When `sluice` refuses a change, or does not come back.
    pub(super) fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Changes(changes) => match changes[..] {
                [Change::Agent(server)] => {
                    self.lab.kill_agent(server)?;
                    self.lab.start_agent(server)?;
                    self.count(&changes[0]);
                }
                _ => drop(self.carry_out(changes, None)?),
            },
            Step::Kill { changes, whom, after, away } => {
                let unheard = self.carry_out(changes, Some((*whom, *after)))?;
                self.pause(*away);
                self.revive(*whom)?;
                for change in unheard {
                    self.say_again(&change)?;
                }
            }
            Step::Calm => self.calm(),
        }
        self.record.open.push(self.world.open());
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            for (when, binding) in mem::take(&mut self.emptying) {
                if when <= now {
                    self.world.empty(binding);
                } else {
                    self.emptying.push((when, binding));
                }
            }
            if now >= until {
                return;
            }
            thread::sleep(POLL.min(until - now));
        }
    }

    /// What was done so far.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn finish(mut self) -> Result<Record> {
        self.record.logged = self.logged();
        Ok(self.record)
    }

    fn count(&mut self, change: &Change) {
        *self.record.by_kind.entry(change.kind()).or_default() += 1;
    }

    /// All of them at once; somebody is killed meanwhile. Returns those that
    /// nobody is known to have heard.
    fn carry_out(
        &mut self,
        changes: &[Change],
        kill: Option<(Whom, Duration)>,
    ) -> Result<Vec<Change>> {
        let (lab, world, services) = (&*self.lab, &*self.world, self.services);
        let statuses: Vec<_> = thread::scope(|scope| {
            let say = |change| move || say(lab, world, services, change);
            let saying: Vec<_> = changes.iter().map(|change| scope.spawn(say(change))).collect();
            if let Some((whom, after)) = kill {
                thread::sleep(after);
                for process in victims(lab, whom) {
                    process.signal(Signal::SIGKILL)?;
                }
            }
            let heard = saying.into_iter().map(|one| one.join().expect("it does not panic"));
            heard.collect::<Result<_>>()
        })?;
        let manager_died = kill.is_some_and(|(whom, _)| whom != Whom::Edge);
        let mut unheard = Vec::new();
        for (change, (status, words)) in changes.iter().zip(statuses) {
            self.count(change);
            let shows = matches!(change, Change::Refuse(_, 0));
            match status {
                DONE => self.note(change),
                NOT_LIVE if !shows && !manager_died => self.note(change),
                NOT_LIVE => unheard.push(*change),
                _ if manager_died => unheard.push(*change),
                // Its agent started anew, and has brought it back already.
                REFUSED if let Change::Add(binding, _) = *change => {
                    let now = Instant::now();
                    self.world.ledger().back(binding, now, now);
                    self.note(change);
                }
                _ => bail!("{change:?} was refused: {words}"),
            }
        }
        Ok(unheard)
    }

    /// Says what may not have been heard; if it was, that is well too.
    fn say_again(&mut self, change: &Change) -> Result<()> {
        let (status, words) = say(self.lab, &self.world, self.services, change)?;
        match (status, change) {
            (DONE | NOT_LIVE, _) => {}
            (REFUSED, Change::Add(binding, _)) => {
                let now = Instant::now();
                self.world.ledger().back(*binding, now, now);
            }
            (REFUSED, Change::Drain(..) | Change::Deadline(..) | Change::Force(_)) => {}
            _ => bail!("{change:?} was refused: {words}"),
        }
        self.note(change);
        Ok(())
    }

    fn note(&mut self, change: &Change) {
        match *change {
            Change::Drain(binding, Some(after)) => {
                self.emptying.push((Instant::now() + after, binding));
            }
            // Its new connections are to stay.
            Change::Add(binding, _) => self.emptying.retain(|&(_, other)| other != binding),
            _ => {}
        }
    }

    fn revive(&mut self, whom: Whom) -> Result<()> {
        self.record.restarts += 1;
        if whom != Whom::Edge {
            self.lab.kill_manager()?;
            self.lab.start_manager()?;
        }
        if whom != Whom::Manager {
            self.lab.kill_edge()?;
            self.lab.start_edge(&[])?;
        }
        self.lab.wait_switch_in_step()
    }

    /// Waits until slots have settled because their old owners were silent,
    /// but not for ever: there may be nothing to settle. Without the flood: its
    /// ACKs cannot be told from those of a connection that was silent.
    fn calm(&mut self) {
        self.flood.pause(true);
        let before = self.logged().settled;
        let until = Instant::now() + self.idle * 2;
        while Instant::now() < until && self.logged().settled == before {
            self.pause(POLL * 10);
        }
        self.flood.pause(false);
    }

    fn logged(&self) -> Logged {
        let log = |process: &Option<Process>| process.as_ref().map(Process::log);
        let manager = log(&self.lab.sluice).unwrap_or_default();
        let edge = log(&self.lab.edge_role).unwrap_or_default();
        Logged {
            behind: manager.matches("bring it up to date").count(),
            emptied: manager.matches("no connection is left").count(),
            settled: edge.matches("slots settle").count(),
        }
    }
}

fn victims(lab: &Lab, whom: Whom) -> impl Iterator<Item = &Process> {
    let manager = lab.sluice.iter().filter(move |_| whom != Whom::Edge);
    manager.chain(lab.edge_role.iter().filter(move |_| whom != Whom::Manager))
}

/// Gives a command, and writes down what it may break. Returns its exit status
/// and its words.
fn say(
    lab: &Lab,
    world: &World,
    services: &[String],
    change: &Change,
) -> Result<(Option<i32>, String)> {
    let name = |&(service, _): &Binding| services[service].as_str();
    let address =
        |&(service, server): &Binding| lab.backend(&services[service], server).to_string();
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    let args: Vec<String> = match change {
        Change::Add(binding, weight) => {
            let weight = weight.to_string();
            ["add", name(binding), &address(binding), "--weight", &weight].map(str::to_owned).into()
        }
        Change::Weight(binding, weight) => {
            ["weight", name(binding), &address(binding), &weight.to_string()]
                .map(str::to_owned)
                .into()
        }
        Change::Drain(binding, _) => {
            let deadline = seconds(NO_DEADLINE);
            ["remove", name(binding), &address(binding), "--deadline", &deadline]
                .map(str::to_owned)
                .into()
        }
        Change::Deadline(binding, left) => {
            let deadline = seconds(*left);
            ["remove", name(binding), &address(binding), "--deadline", &deadline]
                .map(str::to_owned)
                .into()
        }
        Change::Force(binding) => {
            ["remove", name(binding), &address(binding), "--force"].map(str::to_owned).into()
        }
        Change::Refuse(service, percent) => {
            ["drop", &services[*service], &percent.to_string()].map(str::to_owned).into()
        }
        Change::Agent(_) => bail!("an agent is restarted by nobody's command"),
    };
    let asked = Instant::now();
    match *change {
        Change::Force(binding) => world.ledger().force(binding, asked),
        Change::Deadline(binding, left) => world.ledger().deadline(binding, asked, left),
        Change::Refuse(service, 1..) => world.ledger().refuse(service, true, asked, asked),
        _ => {}
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = lab.sluice(&args).context("running the command line")?;
    let done = Instant::now();
    match (*change, outcome.status) {
        (Change::Force(binding), DONE) => world.ledger().forced(binding, done),
        (Change::Add(binding, _), DONE | NOT_LIVE) => world.ledger().back(binding, asked, done),
        (Change::Refuse(service, 0), DONE) => world.ledger().refuse(service, false, asked, done),
        _ => {}
    }
    Ok((outcome.status, outcome.stdout + &outcome.stderr))
}
