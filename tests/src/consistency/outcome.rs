//! What came of a run, for people and for programs.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Options, operator::Record, world::Tally};
use crate::Sent;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub tracking: bool,
    pub took: Duration,
    /// Connections open at the same time: the least after any step.
    pub connections: usize,
    /// Connections opened in all.
    pub opened: u64,
    pub answers: u64,
    /// By kind; restarts are apart.
    pub changes: BTreeMap<&'static str, u64>,
    /// Edges, managers or both, killed in the middle of changes.
    pub restarts: u64,
    /// How often an edge came back and lacked changes.
    pub edges_behind: usize,
    /// Drained servers that were let go because no connection was left.
    pub emptied: usize,
    /// How often slots settled by the idle limit.
    pub settled_by_idle: usize,
    pub flood: Sent,
    /// Connections that broke and that no change was allowed to break.
    pub collateral_broken: u64,
    /// The first of them, for people.
    pub collateral: Vec<String>,
    pub broken_as_asked: u64,
    pub refused_as_asked: u64,
    /// Answers on connections that a removal by force should have broken.
    pub not_broken_as_asked: u64,
    /// Clients that the machine held up for as long as the idle limit.
    pub overslept: u64,
    /// From a question to its answer.
    pub longest_stall: Duration,
}

/// Where a run is.
pub(super) fn line(record: &Record, tally: &Tally, open: usize) -> String {
    format!(
        "{} changes, {} restarts; {open} connections, {} answers; {} broken as asked, {} collateral",
        record.by_kind.values().sum::<u64>(),
        record.restarts,
        tally.answers,
        tally.broken_as_asked,
        tally.collateral
    )
}

impl Outcome {
    pub(super) fn new(
        options: &Options,
        record: Record,
        tally: Tally,
        flood: Sent,
        took: Duration,
    ) -> Self {
        Self {
            seed: options.seed,
            tracking: options.tracking,
            took,
            connections: record.open.iter().copied().min().unwrap_or_default(),
            opened: tally.opened,
            answers: tally.answers,
            changes: record.by_kind,
            restarts: record.restarts,
            edges_behind: record.logged.behind,
            emptied: record.logged.emptied,
            settled_by_idle: record.logged.settled,
            flood,
            collateral_broken: tally.collateral,
            collateral: tally.told,
            broken_as_asked: tally.broken_as_asked,
            refused_as_asked: tally.refused_as_asked,
            not_broken_as_asked: tally.not_broken_as_asked,
            overslept: tally.overslept,
            longest_stall: tally.longest_stall,
        }
    }

    /// Changes and restarts.
    pub fn total_changes(&self) -> u64 {
        self.changes.values().sum::<u64>() + self.restarts
    }

    /// Fails when a connection broke that should not have, or one did not that
    /// should have.
    pub fn nothing_broke(&self) -> Result<()> {
        ensure!(
            self.collateral_broken == 0,
            "{} connections were broken that should not have been (seed {}):\n{}",
            self.collateral_broken,
            self.seed,
            self.collateral.join("\n")
        );
        ensure!(
            self.not_broken_as_asked == 0,
            "{} answers came on connections whose server was removed by force (seed {})",
            self.not_broken_as_asked,
            self.seed
        );
        ensure!(self.broken_as_asked > 0, "no connection broke at all: this rig sees nothing");
        Ok(())
    }

    /// Fails when a long run has not met what it is for.
    ///
    /// # Errors
    /// Says what never happened.
    pub fn was_thorough(&self) -> Result<()> {
        for (what, times) in [
            ("a drained server was let go for want of connections", self.emptied as u64),
            ("slots settled by the idle limit", self.settled_by_idle as u64),
            ("an edge came back behind its manager", self.edges_behind as u64),
        ] {
            ensure!(times > 0, "it never happened that {what}: the run proves too little");
        }
        Ok(())
    }

    /// Fails when nothing broke although nothing was tracked: the rig would see
    /// nothing.
    pub fn something_broke(&self) -> Result<()> {
        ensure!(
            !self.tracking && self.collateral_broken > 0,
            "without tracking no connection was broken: this rig cannot fail"
        );
        Ok(())
    }

    /// Rows of a table: what, and how much.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut row = |what: &str, value: String| rows.push((what.to_owned(), value));
        row("seed", self.seed.to_string());
        row("seconds", format!("{:.0}", self.took.as_secs_f64()));
        row("connections at the same time, at least", self.connections.to_string());
        row("connections in all", self.opened.to_string());
        row("answers", self.answers.to_string());
        row("changes", self.total_changes().to_string());
        for (kind, count) in &self.changes {
            row(&format!("  {kind}"), count.to_string());
        }
        row("  kill -9 and restart", self.restarts.to_string());
        row("edges that came back behind", self.edges_behind.to_string());
        row("drained servers let go when empty", self.emptied.to_string());
        row("slots settled by the idle limit, times", self.settled_by_idle.to_string());
        row("flood: SYNs, ACKs", format!("{}, {}", self.flood.syns, self.flood.acks));
        row("longest wait for an answer", format!("{:.2} s", self.longest_stall.as_secs_f64()));
        row("refused as asked", self.refused_as_asked.to_string());
        row("clients held up by the machine", self.overslept.to_string());
        row("broken as asked", self.broken_as_asked.to_string());
        row("not broken as asked", self.not_broken_as_asked.to_string());
        row("collateral: broken by mistake", self.collateral_broken.to_string());
        rows
    }

    /// Everything, for a program; `without_tracking` is the run that shows that
    /// this one could have failed.
    pub fn json(&self, without_tracking: &Self) -> Value {
        json!({
            "seed": self.seed,
            "seconds": self.took.as_secs_f64(),
            "connections": self.connections,
            "connections_opened": self.opened,
            "answers": self.answers,
            "changes": self.total_changes(),
            "changes_by_kind": self.changes,
            "restarts": self.restarts,
            "edges_behind": self.edges_behind,
            "drained_until_empty": self.emptied,
            "settled_by_idle": self.settled_by_idle,
            "flood_packets": self.flood.syns + self.flood.acks,
            "flood_syns": self.flood.syns,
            "collateral_broken": self.collateral_broken,
            "collateral": self.collateral,
            "broken_as_asked": self.broken_as_asked,
            "not_broken_as_asked": self.not_broken_as_asked,
            "refused_as_asked": self.refused_as_asked,
            "overslept": self.overslept,
            "longest_stall_seconds": self.longest_stall.as_secs_f64(),
            "collateral_broken_without_tracking": without_tracking.collateral_broken,
            "changes_without_tracking": without_tracking.total_changes(),
            "connections_without_tracking": without_tracking.connections,
        })
    }
}
