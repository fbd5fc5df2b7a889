//! A switch that keeps what it is told in memory, and an agent over gRPC.

use std::sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering};

use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::model::{
    AgentBinding, AgentHello, BackendCount, BackendReport, Counters, FromAgent, Heartbeat, Hello,
    Stamp, SwitchState, Weight,
};

/// A switch whose state outlives its sessions.
#[derive(Clone)]
pub(super) struct FakeSwitch {
    name: &'static str,
    held: Arc<Mutex<Held>>,
    sessions: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Held {
    state: SwitchState,
    stamp: Stamp,
    deltas: usize,
    counted: bool,
}

impl FakeSwitch {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, held: Arc::default(), sessions: Arc::default() }
    }

    /// Its session in the manager's process.
    pub(super) fn local(&self) -> LocalSwitch {
        let (to_manager, from_switch) = mpsc::channel(16);
        let (to_switch, from_manager) = mpsc::channel(16);
        tokio::spawn(self.clone().session(to_manager, from_manager));
        (from_switch, to_switch)
    }

    /// Hello, then deltas, each followed by counters, until the manager ends it.
    pub(super) async fn session(
        self,
        to: mpsc::Sender<FromSwitch>,
        mut from: mpsc::Receiver<ToSwitch>,
    ) -> anyhow::Result<()> {
        self.sessions.fetch_add(1, Ordering::SeqCst);
        let _open = Open(Arc::clone(&self.sessions));
        to.send(FromSwitch::Hello(self.hello())).await?;
        while let Some(message) = from.recv().await {
            let ToSwitch::Apply(delta) = message else { panic!("{message:?}") };
            let stamp = delta.stamp;
            {
                let mut held = self.held.lock().unwrap();
                assert!(stamp > held.stamp, "{stamp:?} is not newer than {:?}", held.stamp);
                for change in delta.changes.iter() {
                    held.state.apply(change).unwrap();
                }
                held.stamp = stamp;
                held.deltas += 1;
            }
            let applied =
                FromSwitch::Applied { stamp, generation: 1, live_after: Duration::from_micros(9) };
            to.send(applied).await?;
            to.send(FromSwitch::Counters(self.counters())).await?;
            self.held.lock().unwrap().counted = true;
        }
        Ok(())
    }

    fn hello(&self) -> Hello {
        let held = self.held.lock().unwrap();
        Hello {
            name: self.name.parse().unwrap(),
            stamp: held.stamp,
            generation: 0,
            state: held.state.clone(),
            description: "fake".to_owned(),
            probes: false,
        }
    }

    fn counters(&self) -> Counters {
        let count = |key: &BindingKey| BackendCount {
            key: key.clone(),
            packets: 42,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: 0,
            remembered_flows: 0,
            unreachable: None,
        };
        let held = self.held.lock().unwrap();
        Counters {
            backends: held.state.bindings.keys().map(count).collect(),
            ..Counters::default()
        }
    }

    pub(super) fn holds(&self, key: &BindingKey) -> Option<(Weight, Phase)> {
        let held = self.held.lock().unwrap();
        held.state.bindings.get(key).map(|binding| (binding.weight, binding.phase))
    }

    pub(super) fn state(&self) -> SwitchState {
        self.held.lock().unwrap().state.clone()
    }

    pub(super) fn deltas(&self) -> usize {
        // Without the one that filled the empty switch.
        self.held.lock().unwrap().deltas - 1
    }

    pub(super) fn counted(&self) -> bool {
        self.held.lock().unwrap().counted
    }

    pub(super) fn sessions_open(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An agent that binds one backend and heartbeats until it is hung up.
pub(super) struct Agent {
    stop: CancellationToken,
    heard: Arc<Mutex<Vec<v1::AgentReply>>>,
    task: JoinHandle<()>,
}

impl Agent {
    pub(super) async fn start(target: &str, name: &str, boot: u64) -> Self {
        let channel = transport::connect(target, None).await.unwrap();
        let (messages, outbound) = mpsc::channel(16);
        let interval = Duration::from_millis(20);
        let hello = AgentHello {
            name: name.parse().unwrap(),
            boot,
            binds: vec![AgentBinding { key: web(), weight: 100, server_id: None }],
            // Far more than what a busy test machine delays.
            interval: Duration::from_secs(5),
        };
        messages.send(FromAgent::Hello(hello).into()).await.unwrap();
        let mut client = v1::agents_client::AgentsClient::new(channel);
        let mut replies = client.session(ReceiverStream::new(outbound)).await.unwrap().into_inner();
        let stop = CancellationToken::new();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let (stop, heard) = (stop.clone(), Arc::clone(&heard));
            async move {
                let mut sequence = 0;
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        reply = replies.message() => match reply {
                            Ok(Some(reply)) => heard.lock().unwrap().push(reply),
                            Ok(None) | Err(_) => return,
                        },
                        () = sleep(interval) => {
                            sequence += 1;
                            let report = BackendReport {
                                key: web(),
                                health: Ok(()),
                                connections: 3,
                                load: 0.1,
                                application: Default::default(),
                            };
                            let beat = Heartbeat { sequence, reports: vec![report] };
                            if messages.send(FromAgent::Heartbeat(beat).into()).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
        });
        Self { stop, heard, task }
    }

    /// The manager said that the binding is in that state.
    pub(super) fn told(&self, state: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|reply| {
            matches!(&reply.kind, Some(v1::agent_reply::Kind::Notice(notice)) if notice.state == state)
        })
    }

    pub(super) async fn hang_up(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Waits until the manager ends the session.
    pub(super) async fn ended(self) {
        self.task.await.unwrap();
    }
}
