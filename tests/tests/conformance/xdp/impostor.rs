//! Who speaks to the manager as the edge, and talks nonsense.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use lab::Host;
use lb_control::{
    proto::v1::{EdgeHello, EdgeMessage, edge_message::Kind, edges_client::EdgesClient},
    transport,
};
use tokio_stream::{StreamExt as _, iter};

use super::NAME;
use crate::switch::{Noise, make_noise};

/// What every connection of HTTP/2 begins with (RFC 9113 section 3.4), and no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Of a session.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two sessions.
const PAUSE: Duration = Duration::from_millis(100);
/// More than the manager takes of a switch.
const HUGE: usize = 40 << 20;

/// Begins a session whenever one is ended, until it is dropped.
pub struct Impostor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    /// With noise, or with a name that looks like the end of something.
    pub fn start(host: &Host, manager: SocketAddr, noise: Option<Noise>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (host, stopped) = (host.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                // How each ends is the manager's to say.
                drop(host.netns().enter(|| session(manager, noise, &stopped)));
                thread::sleep(PAUSE);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // It ends with its session.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn session(manager: SocketAddr, noise: Option<Noise>, stop: &Arc<AtomicBool>) -> Result<()> {
    let hello = |name: &str, description| {
        let name = name.to_owned();
        Kind::Hello(EdgeHello { name, description, ..EdgeHello::default() })
    };
    let said = match noise {
        Some(Noise::Binary) => {
            let mut stream = TcpStream::connect(manager)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(PREFACE)?;
            return Ok(make_noise(Noise::Binary, stream)?);
        }
        Some(Noise::Huge) => hello(NAME, "A".repeat(HUGE)),
        Some(Noise::Endless) => hello(NAME, "says hello without end".to_owned()),
        None => hello("trial\n> ", "> ".to_owned()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = transport::connect(&manager.to_string(), None).await?;
        let stop = Arc::clone(stop);
        let times = if noise == Some(Noise::Endless) { u64::MAX } else { 1 };
        let messages = iter(0..times)
            .map_while(move |_| (!stop.load(Ordering::SeqCst)).then(|| said.clone()))
            .map(|kind| EdgeMessage { kind: Some(kind) });
        let mut client = EdgesClient::new(channel);
        let talk = async {
            let mut replies = client.session(messages).await?.into_inner();
            while replies.message().await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, talk).await?
    })
}
