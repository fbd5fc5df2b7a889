//! What was measured, for people and for programs.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// One line of the table.
pub(super) struct Row {
    pub(super) case: String,
    /// For each packet, wrapper included.
    pub(super) ns: f64,
    /// The same of a program that only sends the frame back.
    pub(super) floor_ns: f64,
}

/// Commits of one kind of change.
pub(super) struct Commit {
    pub(super) change: String,
    /// From the manager's word to the edge's answer that it is live.
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// Of many times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percentiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) most: Duration,
}

impl Percentiles {
    /// Of at least one.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Self { p50: at(50), p99: at(99), most: at(100) }
    }

    pub(super) fn json(&self) -> Value {
        let [p50, p99, most] = [self.p50, self.p99, self.most].map(|time| time.as_nanos() as u64);
        json!({"p50_ns": p50, "p99_ns": p99, "most_ns": most})
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?}, p99 {:.1?}, at the most {:.1?}", self.p50, self.p99, self.most)
    }
}

pub(super) fn print(rows: &[Row], commits: &[Commit]) {
    let names = rows.iter().map(|row| &row.case).chain(commits.iter().map(|c| &c.change));
    let width = names.map(String::len).chain([26]).max().unwrap_or(0);
    if !rows.is_empty() {
        println!(
            "{:width$}  {:>6}  {:>6}  {:>10}",
            "ns for each packet", "", "floor", "difference"
        );
    }
    for Row { case, ns, floor_ns } in rows {
        println!("{case:width$}  {ns:6.0}  {floor_ns:6.0}  {:10.0}", ns - floor_ns);
    }
    if !commits.is_empty() {
        println!("\n{:width$}  {:>6}  {:>6}", "µs until a change is live", "p50", "p99");
    }
    for Commit { change, p50, p99 } in commits {
        println!("{change:width$}  {:6}  {:6}", p50.as_micros(), p99.as_micros());
    }
}

/// Writes, under `target/bench`, `results.json`, a list of
/// `{"case", "ns", "floor_ns"}`, and `commits.json`, a list of
/// `{"change", "p50_ns", "p99_ns"}`; what was not measured stays as it is.
pub(super) fn write(rows: &[Row], commits: &[Commit]) -> Result<()> {
    let row =
        |Row { case, ns, floor_ns }: &Row| json!({"case": case, "ns": ns, "floor_ns": floor_ns});
    let commit = |Commit { change, p50, p99 }: &Commit| {
        let [p50, p99] = [p50, p99].map(|time| time.as_nanos() as u64);
        json!({"change": change, "p50_ns": p50, "p99_ns": p99})
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let commits: Vec<_> = commits.iter().map(commit).collect();
    store("results.json", rows)?;
    store("commits.json", commits)
}

/// Writes a list under `target/bench`, unless it is empty.
pub(super) fn store(name: &str, list: Vec<Value>) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&directory)?;
    let list = serde_json::to_string_pretty(&list)? + "\n";
    let file = directory.join(name);
    fs::write(&file, list).with_context(|| format!("writing {}", file.display()))
}
