//! Probes of backends: a TCP connection at each interval.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use super::engine::Message;
use crate::{config::HealthSettings, core::Input, model::ProbeId, probe::connect};

/// The probes that run.
#[derive(Debug, Default)]
pub(super) struct Probes(HashMap<ProbeId, AbortHandle>);

impl Probes {
    pub(super) fn start(
        &mut self,
        probe: ProbeId,
        backend: SocketAddr,
        health: HealthSettings,
        to: mpsc::Sender<Message>,
    ) {
        self.0.insert(probe, tokio::spawn(run(probe, backend, health, to)).abort_handle());
    }

    pub(super) fn stop(&mut self, probe: ProbeId) {
        if let Some(task) = self.0.remove(&probe) {
            task.abort();
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
    }
}

async fn run(
    probe: ProbeId,
    backend: SocketAddr,
    health: HealthSettings,
    to: mpsc::Sender<Message>,
) {
    // An interval of zero would be a flood.
    let mut turns = interval(health.interval.max(Duration::from_millis(10)));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let outcome = connect(backend, health.timeout).await;
        if to.send(Message::Input(Input::Probed { probe, outcome })).await.is_err() {
            return;
        }
    }
}
