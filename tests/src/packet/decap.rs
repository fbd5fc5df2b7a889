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

impl Decapsulator {
    /// Loads it for tunnels from these prefixes to these addresses, with
    /// packets to these prefixes inside.
    ///
    /// # Errors
    /// As [`Program::load`](super::Program::load).
    pub fn load(sources: &[&str], servers: &[&str], vips: &[&str]) -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT).context("loading the maps; this needs root")?;
        let program = ebpf.program_mut("sluice_decap").context("no `sluice_decap`")?;
        lb_control::xdp::load_program(program.try_into()?).context("the kernel refused it")?;
        let mut decapsulator = Self(ebpf);
        decapsulator.prefixes(maps::SOURCES, sources)?;
        decapsulator.prefixes(maps::VIPS, vips)?;
        let map = decapsulator.0.map_mut(maps::SERVERS).context("no map")?;
        let mut map: HashMap<_, [u8; 16], u8> = map.try_into()?;
        for server in servers {
            map.insert(octets(server.parse()?), 1, 0)?;
        }
        Ok(decapsulator)
    }

    fn prefixes(&mut self, map: &str, prefixes: &[&str]) -> Result<()> {
        let map = self.0.map_mut(map).context("no map")?;
        let mut map: LpmTrie<_, [u8; 16], u8> = map.try_into()?;
        for prefix in prefixes {
            let (addr, len) = prefix.split_once('/').context("no prefix")?;
            let (addr, len): (IpAddr, u32) = (addr.parse()?, len.parse()?);
            let len = if addr.is_ipv4() { 96 + len } else { len };
            map.insert(&Key::new(len, octets(addr)), 1, 0)?;
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
