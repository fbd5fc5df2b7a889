use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::TlsSettings,
    model::{FromSwitch, Name, ToSwitch},
};

pub async fn run<F, Fut>(
    _: Name,
    _: &str,
    _: Option<&TlsSettings>,
    _: F,
    _: CancellationToken,
) -> anyhow::Result<()>
where
    F: Fn(mpsc::Sender<FromSwitch>, mpsc::Receiver<ToSwitch>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    Ok(())
}
