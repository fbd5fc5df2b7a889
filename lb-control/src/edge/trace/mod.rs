//! What the XDP program does with a packet, and why, told by the program
//! itself: the same object, over the same pinned maps, loaded once more for
//! another purpose (`lb-ebpf/src/trace.rs`).

mod frame;
mod names;
mod watch;

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use aya::{
    maps::PerCpuArray,
    programs::{TestRun as _, TestRunOptions},
};
use lb_common::abi::{Reason, Trace, maps, owner};
use serde::Serialize;

use self::names::Names;
pub use self::{frame::Kind, watch::Watch};
use super::{mapping::decode, object::Loaded, pins::Pins};
use crate::{config::EdgeSettings, model::Protocol};

/// Values of the program's `PURPOSE`.
const WATCH: u32 = 1;
const ASK: u32 = 2;

/// A packet that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub client: SocketAddr,
    pub service: SocketAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    pub kind: Kind,
    pub dscp: u8,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub client: SocketAddr,
    pub address: SocketAddr,
    pub protocol: &'static str,
    pub generation: u64,
    pub service: Option<String>,
    /// The service has connections at risk.
    pub moving: bool,
    /// And so may this slot; others are as at rest.
    pub touched: bool,
    /// Of a packet that asked for admission.
    pub class: Option<String>,
    /// Share that the class is refused, in percent, and whether this flow is
    /// within it.
    pub refused_percent: f64,
    /// Ring slot, and the backends that it names.
    pub slot: Option<u32>,
    pub current: Option<SocketAddr>,
    pub settled: Option<SocketAddr>,
    /// Who takes the packet.
    pub backend: Option<SocketAddr>,
    /// Who named that backend.
    pub owner: Option<&'static str>,
    /// Reason for which it left, and what that means.
    pub reason: &'static str,
    pub fate: &'static str,
    /// Interface and Ethernet address that it goes out to.
    pub interface: Option<String>,
    pub next_hop: Option<String>,
}

/// Asks the program, which neither counts nor remembers anything for it.
///
/// # Errors
/// Without an edge on this host, or privileges.
pub fn ask(settings: &EdgeSettings, question: &Question) -> anyhow::Result<Report> {
    let mut loaded = load(settings, ASK)?;
    let names = Names::read(&mut loaded, settings)?;
    let traces: PerCpuArray<_, [u8; size_of::<Trace>()]> = loaded.take(maps::TRACE)?.try_into()?;
    let packet = frame::bytes(question)?;
    let options = TestRunOptions { data_in: Some(&packet), ..TestRunOptions::default() };
    loaded.program()?.test_run(options).context("the program cannot be asked")?;
    let values = traces.get(&0, 0).context("the program's account cannot be read")?;
    // The others are of CPUs that it did not run on.
    let told = values.iter().filter_map(|bytes| decode::<Trace>(bytes)).max_by_key(|t| t.time_ns);
    let told = told.filter(|trace| trace.time_ns != 0).context("the program told nothing")?;
    Ok(names.report(&told))
}

/// Loads the object over an edge's maps.
fn load(settings: &EdgeSettings, purpose: u32) -> anyhow::Result<Loaded> {
    let Some(dir) = Pins::current(&settings.pin) else {
        bail!(
            "no edge of this version has anything pinned in {}: is this the edge's host, and \
             `pin` in [edge] the right one?",
            settings.pin.display()
        );
    };
    Loaded::load_for(settings, &dir, purpose)
}

/// In words for people.
fn owner_name(owner: u8) -> Option<&'static str> {
    Some(match owner {
        owner::CURRENT => "the slot's current backend: a connection begins",
        owner::SETTLED => "the slot's settled backend",
        owner::REMEMBERED => "a remembered flow",
        owner::BEGUN => "a flow remembered by its first packet",
        owner::TRACKED => "a tracked UDP flow",
        owner::SERVER_ID => "the server id in the QUIC connection id",
        owner::REPLY => "the backend itself: a reply",
        _ => return None,
    })
}

fn reason_of(number: u32) -> (&'static str, &'static str) {
    match Reason::ALL.get(number as usize) {
        Some(reason) => (reason.name(), super::counters::fate_name(reason.fate())),
        None => ("unknown", "unknown"),
    }
}
