//! An adapter that is changed, timed, and read back.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use lb_control::{
    config::SwitchSettings,
    model::{Binding, Change, Delta, Phase, Stamp, SwitchState},
    switch::{Adapter as _, Planned, Shape, dialects},
};
use serde_json::{Value, json};

use super::{SERVICE, Took, binds, key, service};

/// Bindings that the switch holds.
pub(super) const SERVERS: u16 = 1000;
/// Changes of one delta.
pub(super) const COUNTS: [u16; 4] = [1, 10, 100, 1000];
/// Of every server, at first; each delta gives a larger one, within HAProxy's 256.
pub(super) const WEIGHT: u16 = 100;
/// How often each is measured, unless that takes longer than [`ENOUGH`]; but what does not
/// take [`LONG`] is measured a [`FEW`] times at the least: a machine that halts for a moment
/// must not be taken for the adapter.
const ROUNDS: usize = 9;
const ENOUGH: Duration = Duration::from_secs(2);
const FEW: usize = 3;
const LONG: Duration = Duration::from_secs(10);

/// An external switch by its dialect.
pub(super) struct Trial {
    adapter: Planned,
    shape: Shape,
    sequence: u64,
}

impl Trial {
    /// # Errors
    /// Where the dialect does not take these options.
    pub(super) fn new(kind: &str, options: Value) -> Result<Self> {
        Self::with_drop_servers(kind, options, Vec::new())
    }

    /// Where it cannot refuse connections, they go there.
    ///
    /// # Errors
    /// Where the dialect does not take these options.
    pub(super) fn with_drop_servers(
        kind: &str,
        options: Value,
        drop_servers: Vec<SocketAddr>,
    ) -> Result<Self> {
        let settings: SwitchSettings = serde_json::from_value(json!({
            "name": "trial",
            "kind": kind,
            // It waits for other work on this machine too.
            "timeout": "30s",
            "options": options,
        }))?;
        let make = dialects::find(kind).map_err(|error| anyhow!(error))?.make;
        let device = make(&settings).map_err(|error| anyhow!(error))?;
        let capabilities = device.capabilities();
        let shape = Shape { capabilities, services: None, drop_servers };
        let pace = (settings.poll, settings.verify);
        let adapter = Planned::new(device, shape.clone(), pace, [service()?]);
        Ok(Self { adapter, shape, sequence: 0 })
    }

    /// What its plans are made for.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What it holds.
    pub(super) async fn read(&mut self) -> Result<SwitchState> {
        Ok(self.adapter.read().await?.state)
    }

    /// From the delta to the answer that it is live.
    pub(super) async fn apply(&mut self, changes: Vec<Change>) -> Result<Duration> {
        self.sequence += 1;
        let stamp = Stamp { term: 1, sequence: self.sequence };
        let delta = Delta { stamp, changes: changes.into() };
        let begun = Instant::now();
        let live = self.adapter.apply(&delta).await?;
        let took = begun.elapsed();
        ensure!(live.lacks.is_empty(), "it cannot: {}", live.lacks.join("; "));
        Ok(took)
    }

    /// Reads it: all servers are there, and the first ones have this weight.
    async fn check(&mut self, servers: u16, weight: u16) -> Result<()> {
        let held = self.read().await?.bindings;
        ensure!(held.len() == usize::from(SERVERS), "it holds {} bindings", held.len());
        for key in (0..servers).map(key) {
            let held = held.get(&key);
            let wanted = Binding::new(weight, Phase::Serve);
            ensure!(held == Some(&wanted), "{key} is not {wanted:?}: {held:?}");
        }
        Ok(())
    }

    /// Measures a switch that is read, and that `reboot` makes forget.
    pub(super) async fn measure(mut self, mut reboot: impl FnMut() -> Result<()>) -> Result<Took> {
        self.read().await?;
        self.apply(binds(1, WEIGHT)).await?;
        let refill = repeat(async || {
            reboot()?;
            // A session finds out so, and ends; the next one begins with a read.
            let noticed = self.adapter.poll().await;
            ensure!(noticed.is_err(), "a reboot is not noticed");
            let begun = Instant::now();
            let held = self.read().await?;
            ensure!(held.bindings.is_empty(), "it has not forgotten `{SERVICE}`");
            self.apply(binds(SERVERS, WEIGHT)).await?;
            let took = begun.elapsed();
            self.check(SERVERS, WEIGHT).await?;
            Ok(took)
        })
        .await?;
        let changes = changes(async |servers, weight| {
            let took = self.apply(binds(servers, weight)).await?;
            self.check(servers, weight).await?;
            Ok(took)
        })
        .await?;
        Ok(Took { changes, refill })
    }
}

/// Medians of what `commit` says that it takes to give so many servers a weight.
pub(super) async fn changes(
    mut commit: impl AsyncFnMut(u16, u16) -> Result<Duration>,
) -> Result<[Duration; COUNTS.len()]> {
    let mut weight = WEIGHT;
    let mut medians = [Duration::ZERO; COUNTS.len()];
    for (median, servers) in medians.iter_mut().zip(COUNTS) {
        *median = repeat(async || {
            weight += 1;
            commit(servers, weight).await
        })
        .await?;
    }
    Ok(medians)
}

/// The median of several times.
pub(super) async fn repeat(mut once: impl AsyncFnMut() -> Result<Duration>) -> Result<Duration> {
    let begun = Instant::now();
    let mut times = vec![once().await?];
    let more = |times: &[Duration]| match times.len() {
        ..FEW => begun.elapsed() < LONG,
        taken => taken < ROUNDS && begun.elapsed() < ENOUGH,
    };
    while more(&times) {
        times.push(once().await?);
    }
    Ok(median(times))
}

pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
