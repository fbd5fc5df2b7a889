//! Listens in on an edge's session.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lb_control::model::{Binding, BindingKey, Change, Delta, FromSwitch, ToSwitch};
use tokio::{
    sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// As in `sluice run`.
const QUEUE: usize = 64;

/// Binding by binding, what became live and when.
pub(super) struct Lives(UnboundedReceiver<(BindingKey, Binding, Instant)>);

/// Where they come from.
pub(super) type Tap = UnboundedSender<(BindingKey, Binding, Instant)>;

pub(super) fn tap() -> (Tap, Lives) {
    let (tap, lives) = mpsc::unbounded_channel();
    (tap, Lives(lives))
}

impl Lives {
    /// Waits for a binding to be as it should: the moment at which it was.
    pub(super) async fn next(
        &mut self,
        key: &BindingKey,
        is_so: impl Fn(&Binding) -> bool,
    ) -> Result<Instant> {
        let wait = async {
            loop {
                let (live, binding, at) = self.0.recv().await.context("the edge is gone")?;
                if live == *key && is_so(&binding) {
                    return Ok(at);
                }
            }
        };
        timeout(PATIENCE, wait).await.with_context(|| format!("{key} is not as it should"))?
    }
}

/// The edge's ends of a session whose other ends are these.
pub(super) fn between(
    tap: Tap,
    to_manager: Sender<FromSwitch>,
    mut from_manager: Receiver<ToSwitch>,
) -> (Sender<FromSwitch>, Receiver<ToSwitch>) {
    let (from_edge, mut answers) = mpsc::channel(QUEUE);
    let (commands, to_edge) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut flight = None;
        loop {
            tokio::select! {
                command = from_manager.recv() => {
                    let Some(command) = command else { break };
                    if let ToSwitch::Apply(delta) = &command {
                        flight = Some(delta.clone());
                    }
                    if commands.send(command).await.is_err() {
                        break;
                    }
                }
                answer = answers.recv() => {
                    let Some(answer) = answer else { break };
                    if let FromSwitch::Applied { stamp, .. } = &answer {
                        tell(&tap, flight.take_if(|delta: &mut Delta| delta.stamp == *stamp));
                    }
                    if to_manager.send(answer).await.is_err() {
                        break;
                    }
                }
            }
        }
    });
    (from_edge, to_edge)
}

fn tell(tap: &Tap, delta: Option<Delta>) {
    let now = Instant::now();
    for change in delta.iter().flat_map(|delta| delta.changes.iter()) {
        if let Change::PutBinding(key, binding) = change {
            // Nobody listens any more at the end.
            drop(tap.send((key.clone(), *binding, now)));
        }
    }
}
