//! Packets as they pass.

use anyhow::{Context as _, bail};
use aya::maps::{Map, MapData, ProgramArray, RingBuf};
use lb_common::abi::{Trace, maps, words};

use super::{Report, WATCH, load, names::Names};
use crate::{
    config::EdgeSettings,
    edge::{mapping::decode, object::Loaded},
};

/// A look at the packets of an edge. While it lives, packets go through the
/// program that tells of them; then again through the one that does not.
pub struct Watch {
    names: Names,
    watcher: ProgramArray<MapData>,
    traces: RingBuf<MapData>,
    _loaded: Loaded,
}

impl Watch {
    /// Begins to watch the flows of a service (without one: of all), a share
    /// `0.0..=1.0` of them.
    ///
    /// # Errors
    /// Without an edge or that service on this host, or privileges.
    pub fn begin(
        settings: &EdgeSettings,
        service: Option<&str>,
        share: f64,
    ) -> anyhow::Result<Self> {
        let mut loaded = load(settings, WATCH)?;
        let names = Names::read(&mut loaded, settings)?;
        let only = match service {
            None => 0,
            Some(name) => match names.service_id(name) {
                Some(id) => u64::from(id) + 1,
                None => bail!("this edge has no service `{name}`"),
            },
        };
        let Map::ProgramArray(watcher) = loaded.take(maps::WATCHER)? else {
            bail!("map {} is of another type", maps::WATCHER);
        };
        let mut watcher = ProgramArray::try_from(Map::ProgramArray(watcher))?;
        let mut traces = RingBuf::try_from(loaded.take(maps::TRACES)?)?;
        // What an earlier look has left.
        while traces.next().is_some() {}
        let program = loaded.program()?.fd()?.try_clone()?;
        watcher.set(0, &program, 0).context("the program that watches cannot be put in place")?;
        let threshold = (share.clamp(0.0, 1.0) * (1u64 << 32) as f64).max(1.0) as u64;
        names.set_word(words::WATCH_SERVICE, only);
        names.set_word(words::WATCH, threshold);
        Ok(Self { names, watcher, traces, _loaded: loaded })
    }

    /// Every packet that was told of since the last call.
    pub fn take(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(item) = self.traces.next() {
            reports.extend(decode::<Trace>(&item).map(|trace| self.names.report(&trace)));
        }
        reports
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.names.set_word(words::WATCH, 0);
        // An entry that stays is used by no packet.
        let _ = self.watcher.clear_index(&0);
    }
}
