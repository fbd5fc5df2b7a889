//! What random packets have met, so that one can see what they have not.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use lb_common::abi::{Fate, Reason, decap, mode};

use crate::packet::{Exit, model::Lane};

/// Fewer packets than these prove nothing by what they have not met.
const ENOUGH: u64 = 1_000_000;

/// Reasons that no packet leads to: defects, and a driver without headroom.
const ELSEWHERE: [Reason; 2] = [Reason::Inconsistent, Reason::RewriteFailed];

const MODES: [(u8, &str); 4] =
    [(mode::L2, "l2"), (mode::NAT, "nat"), (mode::IPIP, "ipip"), (mode::GUE, "gue")];

/// Counts of packets.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    packets: u64,
    reasons: BTreeMap<u32, u64>,
    lanes: BTreeMap<Lane, u64>,
    /// That would have left otherwise, had nothing been remembered.
    remembered: u64,
    /// At servers.
    decapsulated: BTreeMap<u32, u64>,
}

impl Coverage {
    /// Notes how a packet left, by which way, and how it would have left
    /// without memory.
    pub(super) fn note(&mut self, exit: &Exit, lane: Option<Lane>, forgetful: &Exit) {
        self.packets += 1;
        let reason = exit.reasons[0];
        *self.reasons.entry(reason as u32).or_default() += 1;
        if let Some(lane) = lane.filter(|_| reason.fate() == Fate::Forward) {
            *self.lanes.entry(lane).or_default() += 1;
        }
        self.remembered += u64::from(exit != forgetful);
    }

    /// Notes what became of a packet at a server.
    pub(super) fn note_server(&mut self, reason: decap::Reason) {
        *self.decapsulated.entry(reason as u32).or_default() += 1;
    }

    /// What was never met.
    fn gaps(&self) -> Vec<String> {
        let reasons = Reason::ALL.iter().filter(|reason| {
            !ELSEWHERE.contains(reason) && !self.reasons.contains_key(&(**reason as u32))
        });
        let reasons = reasons.map(|reason| reason.name().to_owned());
        let lanes = lanes().filter(|lane| !self.lanes.contains_key(lane)).map(|lane| told(&lane));
        let servers = decap::Reason::ALL.iter();
        let servers = servers.filter(|reason| !self.decapsulated.contains_key(&(**reason as u32)));
        let servers = servers.map(|reason| format!("{} at a server", reason.name()));
        let memory = (self.remembered == 0).then(|| "a remembered flow".to_owned());
        reasons.chain(lanes).chain(servers).chain(memory).collect()
    }

    /// # Errors
    /// When so many packets have left something out.
    pub fn check(&self) -> Result<()> {
        let gaps = self.gaps();
        ensure!(
            self.packets < ENOUGH || gaps.is_empty(),
            "no packet of {} has met: {}",
            self.packets,
            gaps.join(", ")
        );
        // The list is of what cannot be met.
        let met = ELSEWHERE.iter().filter(|reason| self.reasons.contains_key(&(**reason as u32)));
        let met: Vec<_> = met.map(|reason| reason.name()).collect();
        ensure!(met.is_empty(), "{} can be met after all: take it off the list", met.join(", "));
        Ok(())
    }
}

/// Every way, of every protocol.
fn lanes() -> impl Iterator<Item = Lane> {
    const BOTH: [bool; 2] = [false, true];
    let ends = BOTH.into_iter().flat_map(|v6| BOTH.map(|to_v6| (v6, to_v6)));
    let protocols = [6, 17].into_iter().flat_map(|protocol| BOTH.map(|quoted| (protocol, quoted)));
    let all = MODES.into_iter().flat_map(move |(mode, _)| {
        let protocols = protocols.clone();
        ends.clone().flat_map(move |(v6, to_v6)| {
            protocols.clone().map(move |(protocol, quoted)| Lane {
                mode,
                v6,
                to_v6,
                protocol,
                quoted,
            })
        })
    });
    // Only tunnels go from one family to the other.
    all.filter(|lane| lane.v6 == lane.to_v6 || [mode::IPIP, mode::GUE].contains(&lane.mode))
}

fn told(lane: &Lane) -> String {
    let name = MODES.iter().find(|(mode, _)| *mode == lane.mode).map_or("?", |(_, name)| name);
    let family = |v6| if v6 { "IPv6" } else { "IPv4" };
    let protocol = if lane.protocol == 6 { "TCP" } else { "UDP" };
    let quoted = if lane.quoted { ", quoted" } else { "" };
    format!("{name}, {} to {}, {protocol}{quoted}", family(lane.v6), family(lane.to_v6))
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |counts: &BTreeMap<u32, u64>, of: u32| counts.get(&of).copied().unwrap_or(0);
        for reason in Reason::ALL {
            let count = counted(&self.reasons, *reason as u32);
            writeln!(f, "{:32}  {count:>10}", reason.name())?;
        }
        for lane in lanes() {
            let count = self.lanes.get(&lane).copied().unwrap_or(0);
            writeln!(f, "{:32}  {count:>10}", told(&lane))?;
        }
        writeln!(f, "{:32}  {:>10}", "because of a remembered flow", self.remembered)?;
        for reason in decap::Reason::ALL {
            let count = counted(&self.decapsulated, reason as u32);
            writeln!(f, "{:32}  {count:>10}", format!("{} at a server", reason.name()))?;
        }
        Ok(())
    }
}
