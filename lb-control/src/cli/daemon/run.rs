//! `sluice run` and `sluice manager`.

use tokio::{sync::mpsc, task::JoinSet};

use super::{Failure, edge::Attached, edge_settings, settings, signals, together};
use crate::{
    cli::args::{EdgeArgs, Global},
    manager,
};

/// Messages between manager and edge that may wait.
const QUEUE: usize = 64;

pub async fn run(global: &Global, args: &EdgeArgs) -> Result<(), Failure> {
    let (path, settings, edge_settings) = edge_settings(global, "run")?;
    let shutdown = signals::shutdown()?;
    let attached = Attached::open(edge_settings).await?;
    let (to_manager, from_switch) = mpsc::channel(QUEUE);
    let (to_switch, from_manager) = mpsc::channel(QUEUE);
    let mut parts = JoinSet::new();
    let edge = attached.edge.clone();
    let token = shutdown.clone();
    parts.spawn(async move { edge.maintain(token).await });
    // Ends when the manager drops its side.
    let edge = attached.edge.clone();
    parts.spawn(async move { edge.session(to_manager, from_manager).await });
    parts.spawn(manager::run(settings, Some((from_switch, to_switch)), shutdown.clone()));
    together(parts, &shutdown).await?;
    attached.close(&path, args.detach_on_exit).await
}

pub async fn manager(global: &Global) -> Result<(), Failure> {
    let (_, settings) = settings(global, "manager")?;
    let shutdown = signals::shutdown()?;
    Ok(manager::run(settings, None, shutdown).await?)
}
