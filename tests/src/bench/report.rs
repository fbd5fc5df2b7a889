//! What was measured, for people and for programs.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::json;

/// One line of the table.
pub(super) struct Row {
    pub(super) case: String,
    /// For each packet, wrapper included.
    pub(super) ns: f64,
    /// The same of a program that only sends the frame back.
    pub(super) floor_ns: f64,
}

pub(super) fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.case.len()).max().unwrap_or(0);
    println!("{:width$}  {:>6}  {:>6}  {:>10}", "ns for each packet", "", "floor", "difference");
    for Row { case, ns, floor_ns } in rows {
        println!("{case:width$}  {ns:6.0}  {floor_ns:6.0}  {:10.0}", ns - floor_ns);
    }
}

/// Writes `target/bench/results.json`: a list of `{"case", "ns", "floor_ns"}`.
pub(super) fn write(rows: &[Row]) -> Result<()> {
    let list: Vec<_> = rows
        .iter()
        .map(|Row { case, ns, floor_ns }| json!({"case": case, "ns": ns, "floor_ns": floor_ns}))
        .collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&directory)?;
    let file = directory.join("results.json");
    let text = serde_json::to_string_pretty(&list)?;
    fs::write(&file, text + "\n").with_context(|| format!("writing {}", file.display()))
}
