//! The XDP edge: every change is one new generation. After a reboot it is a new
//! edge, with nothing pinned.

use std::time::Duration;

use anyhow::Result;
use lb_control::model::Change;
use tokio::runtime::Runtime;

use super::{
    Took, binds, service,
    trial::{COUNTS, SERVERS, WEIGHT, changes, median},
};
use crate::{
    bench::commits::{introduce_servers, with_edge, with_pins},
    packet::routed,
};

/// Edges that are filled.
const EDGES: usize = 5;

pub(super) fn measure() -> Result<Took> {
    let mut refills = Vec::new();
    for _ in 1..EDGES {
        refills.push(routed(|| edge(false))?.0);
    }
    let (refill, changes) = routed(|| edge(true))?;
    refills.push(refill);
    Ok(Took { changes, refill: median(refills) })
}

/// Fills an edge in this thread's network namespace, and then changes it if that is asked for.
fn edge(changed: bool) -> Result<(Duration, [Duration; COUNTS.len()])> {
    introduce_servers()?;
    with_pins(|settings, _| {
        Runtime::new()?.block_on(with_edge(&settings, async |manager| {
            let mut all = vec![Change::PutService(service()?)];
            all.extend(binds(SERVERS, WEIGHT));
            let refill = manager.commit(all).await?;
            if !changed {
                return Ok((refill, Default::default()));
            }
            let commit = async |servers, weight| manager.commit(binds(servers, weight)).await;
            Ok((refill, changes(commit).await?))
        }))
    })
}
