//! The XDP edge.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::EdgeSettings,
    model::{FromSwitch, ToSwitch},
};

pub mod remote;

#[derive(Clone)]
pub struct Edge;

impl Edge {
    pub fn open(_: &EdgeSettings) -> anyhow::Result<Self> {
        anyhow::bail!("built without an edge")
    }
    pub async fn maintain(&self, _: CancellationToken) -> anyhow::Result<()> {
        Ok(())
    }
    pub async fn session(
        &self,
        _: mpsc::Sender<FromSwitch>,
        _: mpsc::Receiver<ToSwitch>,
    ) -> anyhow::Result<()> {
        Ok(())
    }
    pub fn description(&self) -> String {
        String::new()
    }
}

pub fn detach(_: &EdgeSettings) -> anyhow::Result<()> {
    anyhow::bail!("built without an edge")
}
