//! `sluice edge` and `sluice detach`, and what `sluice run` shares with them.

use std::path::Path;

use anyhow::Context as _;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Failure, edge_settings, go_on, signals, together};
use crate::{
    cli::args::{EdgeArgs, Global},
    config::{EdgeSettings, TlsSettings},
    edge::{self, Edge, remote},
    privilege,
};

/// An edge whose program is in the kernel.
pub(super) struct Attached {
    pub(super) edge: Edge,
    settings: EdgeSettings,
}

impl Attached {
    /// Before there are other threads: they would keep the privileges that are
    /// given up afterwards.
    pub(super) fn open(settings: EdgeSettings) -> anyhow::Result<Self> {
        let edge = Edge::open(&settings).with_context(|| format!("edge `{}`", settings.name))?;
        info!("edge `{}`: {}", settings.name, edge.description());
        Ok(Self { edge, settings })
    }

    /// Keeps what the edge has in the kernel, and answers monitors, until `shutdown`.
    pub(super) fn tend(
        &self,
        parts: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) {
        let (edge, token) = (self.edge.clone(), shutdown.clone());
        parts.spawn(async move { edge.maintain(token).await });
        let (edge, token) = (self.edge.clone(), shutdown.clone());
        parts.spawn(async move { edge.monitor(token).await });
    }

    /// After a proper stop: the program goes, or stays and steers as it did
    /// last.
    pub(super) async fn close(self, config: &Path, detach_on_exit: bool) -> Result<(), Failure> {
        drop(self.edge);
        if !detach_on_exit {
            info!(
                "stopped; the XDP program keeps steering: `sluice detach --config {}` removes it",
                config.display()
            );
            return Ok(());
        }
        let settings = self.settings;
        spawn_blocking(move || edge::detach(&settings)).await.context("detaching")??;
        info!("stopped; nothing is left in the kernel");
        Ok(())
    }
}

pub fn edge(global: &Global, args: &EdgeArgs) -> Result<(), Failure> {
    let (path, settings, edge_settings) = edge_settings(global, "edge")?;
    let manager =
        global.manager.clone().or_else(|| edge_settings.manager.clone()).ok_or_else(|| {
            Failure::Usage(format!(
                "`sluice edge` needs a manager: --manager HOST:PORT, or edge.manager in {}",
                path.display()
            ))
        })?;
    let held = signals::hold()?;
    let attached = Attached::open(edge_settings)?;
    privilege::keep_only(privilege::EDGE);
    go_on(async {
        let shutdown = held.release()?;
        let detach = args.detach_on_exit;
        work(&attached, manager, settings.tls, &shutdown).await?;
        attached.close(&path, detach).await
    })
}

/// Keeps the edge, and its session with the manager.
async fn work(
    attached: &Attached,
    manager: String,
    tls: Option<TlsSettings>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let name = attached.settings.name.clone();
    let mut parts = JoinSet::new();
    attached.tend(&mut parts, shutdown);
    let edge = attached.edge.clone();
    let token = shutdown.clone();
    parts.spawn(async move {
        let session = move |to_manager, from_manager| {
            let edge = edge.clone();
            async move { edge.session(to_manager, from_manager).await }
        };
        remote::run(name, &manager, tls.as_ref(), session, token).await
    });
    together(parts, shutdown).await
}

pub fn detach(global: &Global) -> Result<(), Failure> {
    let (_, _, settings) = edge_settings(global, "detach")?;
    Ok(edge::detach(&settings)?)
}
