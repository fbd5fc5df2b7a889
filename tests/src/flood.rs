//! A flood of segments that belong to no connection, from sources that do not
//! exist: SYNs, and ACKs beside them.
//!
//! It leaves from one client of a lab, goes to VIPs of that lab only, and
//! claims addresses of the clients' own networks that no host has. What the
//! servers answer travels back to the client it came from, which drops it, as
//! with spoofed sources that exist.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::{
    Lab, plan,
    wire::{ACK, SYN, Segment, Wire},
};

/// Between two bursts: short, since a veth's queue has room for 256 frames.
const TICK: Duration = Duration::from_millis(2);
/// The flood leaves the machine at least this many times the time that it takes:
/// a segment's whole way to a server and back is work of the thread that sends it.
const REST: u32 = 3;
/// Of ten segments, those that are SYNs.
const SYNS: u8 = 6;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Segments a second, at most: a machine that has other work gets fewer.
    pub rate: u32,
    /// Decides every segment.
    pub seed: u64,
}

/// Segments that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub syns: u64,
    pub acks: u64,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    paused: AtomicBool,
    syns: AtomicU64,
    acks: AtomicU64,
}

/// A flood that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Starts one from the client with this index, which should be no other's,
    /// against every service of the lab.
    pub fn start(lab: &Lab, client: usize, storm: Storm) -> Result<Self> {
        let host = lab.clients().get(client).context("no such client")?;
        sink(lab, client)?;
        let wire = Wire::of(host)?;
        let macs = [wire.mac(), lab.edge().mac()?];
        let vips = lab.vips();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || run(&wire, macs, &vips, storm, &theirs));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        Sent { syns: self.shared.syns.load(Relaxed), acks: self.shared.acks.load(Relaxed) }
    }

    /// Has it rest, or go on.
    pub fn pause(&self, paused: bool) {
        self.shared.paused.store(paused, Relaxed);
    }

    /// Ends it.
    pub fn stop(mut self) -> Sent {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, it sends no more either.
            let _ = thread.join();
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.end();
    }
}

/// Leads answers to the flood's sources back to the client that it comes from.
fn sink(lab: &Lab, client: usize) -> Result<()> {
    let host = &lab.clients()[client];
    for (v6, sources) in [(false, plan::FLOOD_V4), (true, plan::FLOOD_V6)] {
        let via = host.address(v6).to_string();
        let family = if v6 { "-6" } else { "-4" };
        let line = [family, "route", "replace", sources, "via", &via, "dev", "eth0", "onlink"];
        lab.edge().run("ip", &line)?.stdout()?;
        for server in lab.servers() {
            let table = ["table", plan::VIP_TABLE];
            server.run("ip", &[&line[..], &table].concat())?.stdout()?;
        }
    }
    Ok(())
}

fn run(wire: &Wire, macs: [[u8; 6]; 2], vips: &[SocketAddr], storm: Storm, shared: &Shared) {
    let mut rng = Rng::with_seed(storm.seed);
    let burst = (storm.rate / (1000 / TICK.as_millis() as u32)).max(1);
    while !shared.stop.load(Relaxed) {
        let begun = Instant::now();
        let burst = if shared.paused.load(Relaxed) { 0 } else { burst };
        for _ in 0..burst {
            let syn = rng.u8(..10) < SYNS;
            let to = vips[rng.usize(..vips.len())];
            let segment = Segment {
                macs,
                from: source(&mut rng, to.is_ipv6()),
                to,
                flags: if syn { SYN } else { ACK },
                sequence: rng.u32(..),
                acknowledged: if syn { 0 } else { rng.u32(..) },
            };
            // A full queue loses it: so it is with floods.
            if wire.send(&segment.frame()).is_ok() {
                let count = if syn { &shared.syns } else { &shared.acks };
                count.fetch_add(1, Relaxed);
            }
        }
        let took = begun.elapsed();
        thread::sleep(TICK.saturating_sub(took).max(took * REST));
    }
}

fn source(rng: &mut Rng, v6: bool) -> SocketAddr {
    let ip: IpAddr =
        if v6 { plan::flood_v6(rng.u16(..)).into() } else { plan::flood_v4(rng.u8(..)).into() };
    SocketAddr::new(ip, rng.u16(1024..))
}
