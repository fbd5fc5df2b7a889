//! The roles that go on until they are told to stop.

mod agent;
mod drop_server;
mod edge;
mod run;
mod signals;

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::{runtime::Builder, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::{
    agent::{agent, settings as agent_settings},
    drop_server::drop_server,
    edge::{detach, edge},
    run::{manager, run},
};
use super::{Failure, args::Global, block_on, client};
use crate::config::{self, EdgeSettings, Settings};

/// The file of a daemon that cannot do without one; flags come before what it
/// says.
fn settings(global: &Global, command: &str) -> Result<(PathBuf, Settings), Failure> {
    let path = global
        .config
        .clone()
        .ok_or_else(|| Failure::Usage(format!("`sluice {command}` needs a file: --config FILE")))?;
    let mut settings = config::load(&path)?;
    if let Some(tls) = client::tls(global)? {
        settings.tls = Some(tls);
    }
    Ok((path, settings))
}

/// The file and its edge.
pub(super) fn edge_settings(
    global: &Global,
    command: &str,
) -> Result<(PathBuf, Settings, EdgeSettings), Failure> {
    let (path, settings) = settings(global, command)?;
    let edge = settings.edge.clone().ok_or_else(|| {
        Failure::Failed(format!(
            "{}: `sluice {command}` needs an [edge] table with the interfaces to attach to",
            path.display()
        ))
    })?;
    Ok((path, settings, edge))
}

/// Runs what goes on, on as many threads as there are CPUs.
fn go_on(role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    block_on(Builder::new_multi_thread(), role)
}

/// Runs until all parts have ended. The first that ends before `shutdown`,
/// well or not, ends the others, and is why it all failed.
async fn together(
    mut parts: JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(end) = parts.join_next().await {
        let early = !shutdown.is_cancelled();
        shutdown.cancel();
        let end = end.context("a part of the process failed unexpectedly").and_then(|end| end);
        let end = match end {
            Ok(()) if early => Err(anyhow::anyhow!("a part of the process ended by itself")),
            end => end,
        };
        outcome = outcome.and(end);
    }
    outcome
}

#[cfg(test)]
mod tests;
