//! The manager.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Settings,
    model::{FromSwitch, ToSwitch},
};

pub type LocalSwitch = (mpsc::Receiver<FromSwitch>, mpsc::Sender<ToSwitch>);

pub async fn run(
    _: Settings,
    _: Option<LocalSwitch>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    shutdown.cancelled().await;
    Ok(())
}
