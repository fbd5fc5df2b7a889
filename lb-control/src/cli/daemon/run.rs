//! `sluice run` and `sluice manager`.

use tokio::{sync::mpsc, task::JoinSet};

use super::{Failure, edge::Attached, edge_settings, go_on, settings, signals, together};
use crate::{
    cli::args::{EdgeArgs, Global},
    manager, privilege,
};

/// Messages between manager and edge that may wait.
const QUEUE: usize = 64;

pub fn run(global: &Global, args: &EdgeArgs) -> Result<(), Failure> {
    let (path, settings, edge_settings) = edge_settings(global, "run")?;
    let held = signals::hold()?;
    let attached = Attached::open(edge_settings)?;
    privilege::keep_only(&[privilege::EDGE, &privilege::manager(&settings)].concat());
    go_on(async {
        let shutdown = held.release()?;
        let (to_manager, from_switch) = mpsc::channel(QUEUE);
        let (to_switch, from_manager) = mpsc::channel(QUEUE);
        let mut parts = JoinSet::new();
        attached.tend(&mut parts, &shutdown);
        // Ends when the manager drops its side.
        let edge = attached.edge.clone();
        parts.spawn(async move { edge.session(to_manager, from_manager).await });
        parts.spawn(manager::run(settings, Some((from_switch, to_switch)), shutdown.clone()));
        together(parts, &shutdown).await?;
        attached.close(&path, args.detach_on_exit).await
    })
}

pub fn manager(global: &Global) -> Result<(), Failure> {
    let (_, settings) = settings(global, "manager")?;
    privilege::keep_only(&privilege::manager(&settings));
    go_on(async {
        let shutdown = signals::shutdown()?;
        Ok(manager::run(settings, None, shutdown).await?)
    })
}
