//! An agent gone mad: heartbeats as fast as the manager takes them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow};
use lb_control::{
    config::TlsSettings,
    proto::v1::{
        AgentHello, AgentMessage, Heartbeat, agent_message::Kind, agents_client::AgentsClient,
    },
    transport,
};
use tokio_stream::{StreamExt as _, iter};

use crate::Host;

/// What has been sent.
#[derive(Clone, Copy, Debug)]
pub struct Mad {
    pub sessions: u64,
    pub messages: u64,
}

/// A running flood, which begins a new session whenever one is ended.
#[derive(Debug)]
pub struct HeartbeatFlood {
    stop: Arc<AtomicBool>,
    sessions: Arc<AtomicU64>,
    messages: Arc<AtomicU64>,
    task: JoinHandle<Result<()>>,
}

impl HeartbeatFlood {
    /// From a host, as agent `name` with the certificate of this name.
    pub fn start(host: &Host, manager: &str, certificates: &Path, name: &str) -> Result<Self> {
        let tls = TlsSettings {
            ca: certificates.join("ca.pem"),
            cert: certificates.join(format!("{name}.pem")),
            key: certificates.join(format!("{name}.key")),
            server_name: None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (sessions, messages) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (host, manager, name) = (host.clone(), manager.to_owned(), name.to_owned());
        let task = thread::spawn({
            let (stop, sessions) = (Arc::clone(&stop), Arc::clone(&sessions));
            let messages = Arc::clone(&messages);
            move || {
                host.netns().enter(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        while !stop.load(Ordering::Relaxed) {
                            sessions.fetch_add(1, Ordering::Relaxed);
                            let session = rage(&manager, &tls, &name, &messages, &stop);
                            // How each ends is not of interest; that a new one begins is.
                            drop(tokio::time::timeout(Duration::from_secs(5), session).await);
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Ok(())
                    })
                })
            }
        });
        Ok(Self { stop, sessions, messages, task })
    }

    /// Ends it.
    pub fn stop(self) -> Result<Mad> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.join().map_err(|_| anyhow!("the flood panicked"))??;
        Ok(Mad {
            sessions: self.sessions.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
        })
    }
}

async fn rage(
    manager: &str,
    tls: &TlsSettings,
    name: &str,
    messages: &Arc<AtomicU64>,
    stop: &Arc<AtomicBool>,
) -> Result<()> {
    let channel = transport::connect(manager, Some(tls)).await?;
    let hello = AgentHello { name: name.to_owned(), boot_id: 7, interval_ms: 250, binds: vec![] };
    let message = |kind| AgentMessage { kind: Some(kind) };
    let (counter, stop) = (Arc::clone(messages), Arc::clone(stop));
    let beats = iter(1..u64::MAX).map_while(move |sequence| {
        counter.fetch_add(1, Ordering::Relaxed);
        let beat = Heartbeat { sequence, backends: vec![] };
        (!stop.load(Ordering::Relaxed)).then(|| message(Kind::Heartbeat(beat)))
    });
    let outbound = iter([message(Kind::Hello(hello))]).chain(beats);
    let mut replies = AgentsClient::new(channel).session(outbound).await?.into_inner();
    while replies.message().await?.is_some() {}
    Ok(())
}
