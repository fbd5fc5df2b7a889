//! An agent whose every word the scenario chooses.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
};

use anyhow::{Result, anyhow};
use lb_control::{
    proto::v1::{AgentHello, AgentMessage, agent_message::Kind, agents_client::AgentsClient},
    transport,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::Host;

/// A session, until this is dropped or the manager ends it.
#[derive(Debug)]
pub struct Puppet {
    words: UnboundedSender<AgentMessage>,
    ended: Arc<OnceLock<String>>,
    task: JoinHandle<Result<()>>,
}

impl Puppet {
    /// Begins a session from a host, without a certificate.
    pub fn start(host: &Host, manager: SocketAddr, hello: AgentHello) -> Self {
        let (words, spoken) = unbounded_channel();
        let ended = Arc::new(OnceLock::new());
        let task = thread::spawn({
            let (host, ended) = (host.clone(), Arc::clone(&ended));
            move || {
                host.netns().enter(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    let why = runtime.block_on(session(&manager.to_string(), spoken)).err();
                    let why = why.map_or("its end".to_owned(), |error| format!("{error:#}"));
                    ended.set(why).map_err(|_| anyhow!("a session ends once"))
                })
            }
        });
        let puppet = Self { words, ended, task };
        puppet.say(Kind::Hello(hello));
        puppet
    }

    /// Says something; who is not there any more does not hear it.
    pub fn say(&self, kind: Kind) {
        drop(self.words.send(AgentMessage { kind: Some(kind) }));
    }

    /// Why the session has ended, if it has.
    pub fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Ends the session.
    pub fn stop(self) -> Result<()> {
        drop(self.words);
        self.task.join().map_err(|_| anyhow!("the puppet panicked"))?
    }
}

async fn session(manager: &str, spoken: UnboundedReceiver<AgentMessage>) -> Result<()> {
    let channel = transport::connect(manager, None).await?;
    let spoken = UnboundedReceiverStream::new(spoken);
    let mut replies = AgentsClient::new(channel).session(spoken).await?.into_inner();
    while replies.message().await?.is_some() {}
    Ok(())
}
