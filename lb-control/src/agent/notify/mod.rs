//! Application events: what the application beside an agent says of itself, over
//! two sockets of this host. `examples/notify` describes both for programmers.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `request` | the lines that applications send |
//! | `stream` | the socket that takes them, and answers |
//! | `systemd` | the socket for programs that speak `sd_notify` |

pub(crate) mod request;
mod stream;
mod systemd;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

use self::request::{Event, Request, Share};
use super::word::{By, Said, Word};
use crate::{
    config::{AgentBind, NotifySettings},
    model::{Availability, Name},
};

/// Takes events and notes them for the heartbeats.
#[derive(Clone)]
pub(super) struct Notes {
    binds: Arc<[(Name, SocketAddr)]>,
    words: watch::Sender<Vec<Word>>,
    /// Whether a manager hears the agent now.
    heard: Arc<AtomicBool>,
    quota: Arc<Mutex<Quota>>,
}

impl Notes {
    pub(super) fn new(
        binds: &[AgentBind],
        words: watch::Sender<Vec<Word>>,
        heard: Arc<AtomicBool>,
    ) -> Self {
        let binds = binds.iter().map(|bind| (bind.service.clone(), bind.address)).collect();
        Self { binds, words, heard, quota: Arc::default() }
    }

    /// Notes an event; says what was done, for people.
    ///
    /// # Errors
    /// It names what is not bound here; nothing was noted.
    fn take(&self, request: &Request, from: &str) -> Result<String, String> {
        let meant: Vec<_> = (0..self.binds.len())
            .filter(|&index| request.means(&self.binds[index].0, self.binds[index].1))
            .collect();
        if meant.is_empty() {
            let binds: Vec<_> = self
                .binds
                .iter()
                .map(|(service, address)| format!("{service}/{address}"))
                .collect();
            return Err(format!(
                "nothing bound here is {}; this agent binds: {}",
                request.target(),
                binds.join(", ")
            ));
        }
        let changed = self.words.send_if_modified(|words| {
            let before = words.clone();
            for &index in &meant {
                words[index].say(By::Application, |said| note(said, &request.event));
            }
            *words != before
        });
        if changed {
            self.tell(request, from);
        }
        let count = match meant.len() {
            1 => "1 binding".to_owned(),
            many => format!("{many} bindings"),
        };
        if self.heard.load(Ordering::Relaxed) {
            return Ok(count);
        }
        Ok(format!("{count}; no manager is connected: it is told as soon as one is"))
    }

    /// One line for each event, but not for each of a flood.
    fn tell(&self, request: &Request, from: &str) {
        match self.quota.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            Some(0) => info!("{request}, by {from}"),
            Some(left_out) => {
                info!("{request}, by {from}; {left_out} events before it were not told")
            }
            None => {}
        }
    }

    /// What the application said last of the first bind.
    fn last(&self) -> Availability {
        self.words.borrow().first().map(|word| word.said().availability.clone()).unwrap_or_default()
    }
}

/// How many events are logged in a second.
const LOGGED: u32 = 20;

/// Events that were logged in a second, and those that were not.
#[derive(Default)]
struct Quota {
    begun: Option<Instant>,
    logged: u32,
    left_out: u32,
}

impl Quota {
    /// Whether one more is logged, and how many before it were not.
    fn take(&mut self, now: Instant) -> Option<u32> {
        if self.begun.is_none_or(|begun| now - begun >= Duration::from_secs(1)) {
            (self.begun, self.logged) = (Some(now), 0);
        }
        if self.logged >= LOGGED {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn note(said: &mut Said, event: &Event) {
    match event.clone() {
        Event::Ready => said.availability = Availability::Ready,
        Event::Drain { cause } => said.availability = Availability::Drain { cause },
        Event::Leave { cause } => said.availability = Availability::Leave { cause },
        Event::Failed { cause } => said.availability = Availability::Failed { cause },
        Event::Weight(Share::Whole(weight)) => {
            (said.weight, said.percent) = (Some(weight), None);
        }
        Event::Weight(Share::Percent(percent)) => said.percent = Some(percent),
        Event::Load(load) => said.load = Some(load),
    }
}

/// Opens the sockets and serves them within `tasks`.
///
/// # Errors
/// A socket that the settings name cannot be opened. One that they do not name
/// is only warned about: not every host has its place, or needs it.
pub(super) fn serve(
    settings: Option<&NotifySettings>,
    notes: &Notes,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let open = |settings: &NotifySettings| {
        anyhow::Ok((stream::Listener::open(settings)?, systemd::Listener::open(settings)?))
    };
    let (stream, datagrams) = match settings {
        Some(settings) => open(settings)?,
        None => match open(&NotifySettings::default()) {
            Ok(open) => open,
            Err(error) => {
                warn!(
                    "applications cannot send events: {error:#}; [agent.notify] in a file names other sockets"
                );
                return Ok(());
            }
        },
    };
    tasks.spawn(stream.serve(notes.clone()));
    tasks.spawn(datagrams.serve(notes.clone()));
    Ok(())
}

#[cfg(test)]
mod tests;
