//! Probes of backends: a TCP connection at each interval.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::AbortHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::engine::Message;
use crate::{
    config::HealthSettings,
    core::{Input, ProbeId},
};

/// Connections that probes may have under way together.
const AT_ONCE: usize = 512;
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

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

/// Whether a backend takes a TCP connection in time; the cause if not.
async fn connect(backend: SocketAddr, within: Duration) -> Result<(), String> {
    let _turn = TURNS.acquire().await;
    match timeout(within, TcpStream::connect(backend)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err("connection refused".to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {within:?}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_healthy_and_a_closed_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(connect(address, second).await, Ok(()));
        drop(listener);
        assert_eq!(connect(address, second).await, Err("connection refused".to_owned()));
    }
}
