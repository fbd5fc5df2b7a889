//! The decapsulating program of servers, attached to nothing.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{
        HashMap, PerCpuArray,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use lb_common::abi::decap::{Reason, maps};

use super::{Action, world::octets};

pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SLUICE_OBJECTS"), "/sluice-decap"));

/// The program and its maps.
pub struct Decapsulator(Ebpf);

/// Whose tunnels are opened, and what may be inside.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Tunnels are from these prefixes,
    pub(super) sources: Vec<(IpAddr, u8)>,
    /// to these addresses,
    pub(super) servers: Vec<IpAddr>,
    /// with packets to these prefixes inside.
    pub(super) vips: Vec<(IpAddr, u8)>,
}

impl Allowed {
    /// # Panics
    /// When a text is no prefix or address.
    pub fn new(sources: &[&str], servers: &[&str], vips: &[&str]) -> Self {
        let prefix = |text: &&str| {
            let parts = text.split_once('/');
            let read = parts.and_then(|(ip, len)| Some((ip.parse().ok()?, len.parse().ok()?)));
            read.unwrap_or_else(|| panic!("`{text}` is no prefix"))
        };
        let ip = |text: &&str| text.parse().unwrap_or_else(|_| panic!("`{text}` is no address"));
        Self {
            sources: sources.iter().map(prefix).collect(),
            servers: servers.iter().map(ip).collect(),
            vips: vips.iter().map(prefix).collect(),
        }
    }
}

impl Decapsulator {
    /// Loads it.
    ///
    /// # Errors
    /// As [`Program::load`](super::Program::load).
    pub fn load(allowed: &Allowed) -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT).context("loading the maps; this needs root")?;
        let program = ebpf.program_mut("sluice_decap").context("no `sluice_decap`")?;
        lb_control::xdp::load_program(program.try_into()?).context("the kernel refused it")?;
        let mut decapsulator = Self(ebpf);
        decapsulator.prefixes(maps::SOURCES, &allowed.sources)?;
        decapsulator.prefixes(maps::VIPS, &allowed.vips)?;
        let map = decapsulator.0.map_mut(maps::SERVERS).context("no map")?;
        let mut map: HashMap<_, [u8; 16], u8> = map.try_into()?;
        for &server in &allowed.servers {
            map.insert(octets(server), 1, 0)?;
        }
        Ok(decapsulator)
    }

    fn prefixes(&mut self, map: &str, prefixes: &[(IpAddr, u8)]) -> Result<()> {
        let map = self.0.map_mut(map).context("no map")?;
        let mut map: LpmTrie<_, [u8; 16], u8> = map.try_into()?;
        for &(addr, len) in prefixes {
            let len = if addr.is_ipv4() { 96 + len } else { len };
            map.insert(&Key::new(len.into(), octets(addr)), 1, 0)?;
        }
        Ok(())
    }

    fn xdp(&self) -> &Xdp {
        let program = self.0.program("sluice_decap").expect("loaded");
        program.try_into().expect("an XDP program")
    }

    /// Runs it once over a frame: action, the one reason that was counted, and
    /// the frame as it left.
    pub fn send(&mut self, frame: &[u8]) -> (Action, Reason, Vec<u8>) {
        let before = self.counts();
        let mut out = vec![0; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..Default::default() };
        let result = self.xdp().test_run(options).expect("the kernel runs the program");
        out.truncate(result.data_size_out as usize);
        let action = if result.return_value == 2 { Action::Pass } else { Action::Drop };
        let after = self.counts();
        let moved = |reason: &&Reason| after[**reason as usize] > before[**reason as usize];
        let reasons: Vec<_> = Reason::ALL.iter().filter(moved).collect();
        let [reason] = reasons[..] else { panic!("counted as {reasons:?}") };
        (action, *reason, out)
    }

    fn counts(&self) -> Vec<u64> {
        let map = self.0.map(maps::COUNTERS).expect("in the object");
        let counters: PerCpuArray<_, u64> = map.try_into().expect("a per-CPU array");
        let count = |index: u32| counters.get(&index, 0).expect("in it").iter().sum();
        (0..Reason::ALL.len() as u32).map(count).collect()
    }
}
