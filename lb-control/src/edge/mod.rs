//! The XDP edge: loads or adopts the program and its maps, and keeps them as
//! the manager says.
//!
//! | room | what is in it |
//! | --- | --- |
//! | `plane` | what the edge holds; a delta becomes one commit |
//! | `tables`, `pool`, `classes`, `memory` | its parts |
//! | `grace` | when no packet reads what was replaced |
//! | `flows`, `sweep` | remembered flows, and how services come to rest |
//! | `hops` | next hops, from the kernel's tables |
//! | `counters` | per-CPU counters, by name |
//! | `session`, `remote` | one manager's session, in this process or over the network |
//! | `monitor` | `/metrics`, `/healthz`, `/readyz` |
//! | `alone` | probing its backends while no manager is there |
//! | `survey` | what an edge has in the kernel, for somebody who only looks |
//! | `trace` | what the program does with a packet, told by itself |
//! | `object`, `layout`, `pins` | program, maps and links in the kernel |
//! | `upgrade` | in the place of an older version |
//! | `verify` | whether the kernel still has all of it |
//! | `mapping`, `sys` | the only unsafe rooms: shared memory and raw system calls |

mod alone;
mod classes;
mod counters;
mod flow_key;
mod flows;
mod grace;
mod hops;
mod layout;
mod mapping;
mod memory;
mod monitor;
mod object;
mod open;
mod pins;
mod plane;
mod pool;
pub mod remote;
mod session;
mod shared;
pub mod survey;
mod sweep;
mod sys;
mod tables;
pub mod trace;
mod upgrade;
mod verify;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::shared::Shared;
use crate::{
    config::EdgeSettings,
    model::{FromSwitch, ToSwitch},
};

pub use open::detach;

/// Between two passes over the remembered flows.
const SWEEP: Duration = Duration::from_secs(1);
/// Between two looks whether an older version can be taken over from.
const UPGRADE: Duration = Duration::from_millis(250);
/// Before netlink is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A running edge. Clones are the same edge; what it put in the kernel stays
/// there when the last one is gone.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

impl Edge {
    /// Loads the program and attaches it to the configured interfaces, or takes
    /// over from an earlier process without losing a packet. Blocks for some
    /// tens of milliseconds.
    ///
    /// # Errors
    /// Says what is missing and what to do: privilege, a bpffs, an interface, a
    /// kernel feature, or pins that cannot be adopted.
    pub fn open(settings: &EdgeSettings) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(open::open(settings)?)))
    }

    /// Follows next hops, looks after remembered flows, turns the admission
    /// epoch, probes backends while no manager is there, and puts right what
    /// somebody else has changed, until `shutdown`.
    ///
    /// # Errors
    /// When a task of ours fails.
    pub async fn maintain(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            () = self.follow_hops() => Ok(()),
            result = self.sweep() => result,
            () = self.turn_epoch() => Ok(()),
            result = self.upgrade() => result,
            result = verify::run(&self.0) => result,
            () = alone::run(&self.0) => Ok(()),
        };
        // From here on nothing attaches it again.
        self.0.let_go();
        outcome
    }

    /// Serves one manager: a full read first, then its deltas and, once a
    /// second, counters, until `from_manager` closes.
    ///
    /// # Errors
    /// When a task of ours fails.
    pub async fn session(
        &self,
        to_manager: mpsc::Sender<FromSwitch>,
        from_manager: mpsc::Receiver<ToSwitch>,
    ) -> anyhow::Result<()> {
        session::run(Arc::clone(&self.0), to_manager, from_manager).await
    }

    /// Answers monitors where the settings say so, until `shutdown`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn monitor(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        monitor::run(Arc::clone(&self.0), shutdown).await
    }

    /// For people, such as `xdp native eth0`.
    pub fn description(&self) -> String {
        self.0.description.clone()
    }

    async fn follow_hops(&self) {
        loop {
            if let Err(error) = hops::watch(&self.0).await {
                warn!("next hops are not followed: {error:#}; trying again");
            }
            sleep(RETRY).await;
        }
    }

    async fn sweep(&self) -> anyhow::Result<()> {
        let mut tick = interval(SWEEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let shared = Arc::clone(&self.0);
            let pass = tokio::task::spawn_blocking(move || shared.sweep());
            if let Err(error) = pass.await.context("looking after remembered flows failed")? {
                warn!("remembered flows cannot be looked at: {error}");
            }
        }
    }

    /// Takes over from an older version when it is time; returns only when it
    /// fails for good.
    async fn upgrade(&self) -> anyhow::Result<()> {
        let mut tick = interval(UPGRADE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let shared = Arc::clone(&self.0);
            let step = tokio::task::spawn_blocking(move || shared.go_on_upgrading());
            match step.await.context("taking over from an older version failed")? {
                Ok(true) => return std::future::pending().await,
                Ok(false) => {}
                Err(error) => warn!("an older version's program steers on: {error:#}"),
            }
        }
    }

    /// All edges of a site turn together, by the time of day: a client gets the
    /// same answer from each.
    async fn turn_epoch(&self) {
        let length = self.0.settings.admission_epoch.as_secs().max(1);
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.0.set_epoch(now.as_secs() / length);
        }
    }
}
