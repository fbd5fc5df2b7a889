//! A drop server: takes every connection and resets it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use nix::sys::socket::{setsockopt, sockopt::Linger};

use crate::Host;

/// Resets what it accepts, until it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Sink {
    /// Listens on a free port of a host's own address.
    pub fn start(host: &Host, v6: bool) -> Result<Self> {
        let listener = host.netns().enter(|| Ok(TcpListener::bind((host.address(v6), 0))?))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (taken, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&taken), Arc::clone(&stop));
        thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        counter.fetch_add(1, Ordering::SeqCst);
                        reset(&stream);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Ok(Self { address, taken, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far, health checks included.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

/// Has the close that follows send an RST (socket(7), `SO_LINGER` of 0).
fn reset(stream: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // A connection that is gone already needs no reset.
    let _ = setsockopt(stream, Linger, &at_once);
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
