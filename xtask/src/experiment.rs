//! Experiments: what is claimed, tried on a large scale.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use lab::consistency::{self, Options, Outcome};

use crate::{
    labs,
    run::{Progress, say, target},
};

/// Of `cargo xtask experiment consistency`
#[derive(Args)]
pub struct Consistency {
    /// Decides every change [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Open at the same time
    #[arg(long, default_value_t = Options::long().connections)]
    connections: usize,
    /// Adds, removes, weights and so on
    #[arg(long, default_value_t = Options::long().changes)]
    changes: usize,
    /// Segments a second of the flood beside them
    #[arg(long, default_value_t = Options::long().flood)]
    flood: u32,
}

/// `cargo xtask experiment consistency`
pub fn consistency(args: &Consistency) -> Result<()> {
    labs::prepare("experiment consistency")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let options = Options {
        seed: args.seed.unwrap_or(now),
        connections: args.connections,
        changes: args.changes,
        flood: args.flood,
        ..Options::long()
    };
    say(&format!("seed {}", options.seed));
    let with = run("every connection tracked", &options)?;
    let without = run("the same without tracking", &options.without_tracking())?;
    println!("{}", table(&with, &without));
    write(&with, &without)?;
    with.nothing_broke()?;
    with.was_thorough()?;
    without.something_broke()
}

fn run(title: &str, options: &Options) -> Result<Outcome> {
    let progress = Progress::begin(title);
    let outcome = consistency::run(options, |line| progress.tell(line));
    progress.end(outcome.is_ok());
    outcome
}

fn table(with: &Outcome, without: &Outcome) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["", "tracking", "without"]);
    let without = without.rows();
    for (what, much) in with.rows() {
        let other = without.iter().find(|(other, _)| *other == what);
        table.add_row([what, much, other.map_or_else(String::new, |(_, much)| much.clone())]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn write(with: &Outcome, without: &Outcome) -> Result<()> {
    let directory = target()?.join("experiments");
    fs::create_dir_all(&directory)?;
    let file = directory.join("consistency.json");
    let text = format!("{:#}\n", with.json(without));
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    say(&format!("written to {}", file.display()));
    Ok(())
}
