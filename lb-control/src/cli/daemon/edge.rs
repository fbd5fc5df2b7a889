//! `sluice edge` and `sluice detach`, and what `sluice run` shares with them.

use std::path::Path;

use anyhow::Context as _;
use tokio::task::{JoinSet, spawn_blocking};
use tracing::info;

use super::{Failure, edge_settings, signals, together};
use crate::{
    cli::args::{EdgeArgs, Global},
    config::EdgeSettings,
    edge::{self, Edge, remote},
};

/// An edge whose program is in the kernel.
pub(super) struct Attached {
    pub(super) edge: Edge,
    settings: EdgeSettings,
}

impl Attached {
    pub(super) async fn open(settings: EdgeSettings) -> anyhow::Result<Self> {
        let wanted = settings.clone();
        let edge = spawn_blocking(move || Edge::open(&wanted))
            .await?
            .with_context(|| format!("edge `{}`", settings.name))?;
        info!("edge `{}`: {}", settings.name, edge.description());
        Ok(Self { edge, settings })
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
        remove(self.settings).await?;
        info!("stopped; nothing is left in the kernel");
        Ok(())
    }
}

pub async fn edge(global: &Global, args: &EdgeArgs) -> Result<(), Failure> {
    let (path, settings, edge_settings) = edge_settings(global, "edge")?;
    let manager =
        global.manager.clone().or_else(|| edge_settings.manager.clone()).ok_or_else(|| {
            Failure::Usage(format!(
                "`sluice edge` needs a manager: --manager HOST:PORT, or edge.manager in {}",
                path.display()
            ))
        })?;
    let shutdown = signals::shutdown()?;
    let name = edge_settings.name.clone();
    let attached = Attached::open(edge_settings).await?;
    let mut parts = JoinSet::new();
    let edge = attached.edge.clone();
    let token = shutdown.clone();
    parts.spawn(async move { edge.maintain(token).await });
    let edge = attached.edge.clone();
    let token = shutdown.clone();
    parts.spawn(async move {
        let session = move |to_manager, from_manager| {
            let edge = edge.clone();
            async move { edge.session(to_manager, from_manager).await }
        };
        remote::run(name, &manager, settings.tls.as_ref(), session, token).await
    });
    together(parts, &shutdown).await?;
    attached.close(&path, args.detach_on_exit).await
}

pub async fn detach(global: &Global) -> Result<(), Failure> {
    let (_, _, settings) = edge_settings(global, "detach")?;
    Ok(remove(settings).await?)
}

async fn remove(settings: EdgeSettings) -> anyhow::Result<()> {
    spawn_blocking(move || edge::detach(&settings)).await?
}
