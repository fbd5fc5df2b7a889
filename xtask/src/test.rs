//! Every check and test of the project, with a table at the end.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    build,
    run::{describe, root, say, target},
    setup,
};

/// What `cargo xtask test` does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// rustfmt
    Format,
    /// clippy, every warning an error
    Lints,
    /// `sluice` with the XDP program, and every test
    Build,
    /// Tests beside the code, and some thousand simulated histories
    Unit,
    /// Packet tables through the real XDP program
    Packets,
    /// Real connections in labs
    Scenarios,
    /// Every switch adapter against its real or simulated switch
    Conformance,
    /// Examples in the documentation
    Docs,
}

/// What became of a step.
struct Outcome {
    step: Step,
    tests: Tests,
    took: Duration,
    failure: Option<anyhow::Error>,
}

/// Counted over `test result:` lines.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Tests {
    passed: u64,
    failed: u64,
}

/// `cargo xtask test`
pub fn command(only: Option<Step>, filter: Option<&str>) -> Result<()> {
    setup::require_root("test")?;
    setup::lab()?;
    let mut outcomes = Vec::new();
    for &step in Step::value_variants() {
        let needed =
            only.is_none_or(|only| only == step || (only.is_in_labs() && step == Step::Build));
        if !needed {
            continue;
        }
        say(&format!("{step:?}"));
        let begun = Instant::now();
        let mut tests = Tests::default();
        let failure = step.run(filter, &mut tests).err();
        let hopeless = step == Step::Build && failure.is_some();
        outcomes.push(Outcome { step, tests, took: begun.elapsed(), failure });
        if hopeless {
            break;
        }
    }
    report(&outcomes)
}

impl Step {
    /// Whether it runs the program that was built.
    fn is_in_labs(self) -> bool {
        matches!(self, Self::Scenarios | Self::Conformance)
    }

    fn run(self, filter: Option<&str>, tests: &mut Tests) -> Result<()> {
        match self {
            Self::Format => {
                let mut cargo = Command::new("cargo");
                run(cargo.current_dir(root()).args(["fmt", "--all", "--check"]), tests)
            }
            Self::Lints => {
                let lints = ["--all-targets", "--quiet", "--", "-D", "warnings"];
                run(build::cargo("clippy")?.args(lints), tests)
            }
            // With the tests' own dependencies, as every later step has them.
            Self::Build => run(build::cargo("build")?.args(["--all-targets", "--quiet"]), tests),
            Self::Unit => {
                let targets = ["--lib", "--bins", "--test", "cli", "--test", "simulation"];
                self.cargo_test(&targets, filter, tests)
            }
            Self::Packets => self.cargo_test(&["--test", "packets"], filter, tests),
            Self::Scenarios => self.cargo_test(&["--test", "scenarios"], filter, tests),
            Self::Conformance => self.cargo_test(&["--test", "conformance"], filter, tests),
            Self::Docs => self.cargo_test(&["--doc"], filter, tests),
        }
    }

    fn cargo_test(self, targets: &[&str], filter: Option<&str>, tests: &mut Tests) -> Result<()> {
        let mut cargo = build::cargo("test")?;
        cargo.arg("--quiet").args(targets).args(filter);
        if self.is_in_labs() {
            // They wait more than they compute.
            cargo.args(["--", "--test-threads", "3"]);
        } else {
            cargo.arg("--no-fail-fast");
        }
        cargo.env("SLUICE_BIN", target()?.join("debug/sluice"));
        run(&mut cargo, tests)
    }
}

/// Runs a command, shows what it prints and counts its tests.
fn run(command: &mut Command, tests: &mut Tests) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| describe(command))?;
    let output = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(more) = parse_result(&line) {
            tests.passed += more.passed;
            tests.failed += more.failed;
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// `test result: ok. 3 passed; 0 failed; ...`
fn parse_result(line: &str) -> Option<Tests> {
    let counts = line.strip_prefix("test result: ")?;
    let count = |what: &str| -> Option<u64> {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().rsplit(' ').next()?.parse().ok())
    };
    Some(Tests { passed: count("passed")?, failed: count("failed")? })
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(["step", "", "passed", "failed", "seconds"]);
    for outcome in outcomes {
        let mark = if outcome.failure.is_none() { "✓" } else { "✗" };
        table.add_row([
            format!("{:?}", outcome.step).to_lowercase(),
            mark.to_owned(),
            outcome.tests.passed.to_string(),
            outcome.tests.failed.to_string(),
            format!("{:.0}", outcome.took.as_secs_f64()),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let passed: u64 = outcomes.iter().map(|outcome| outcome.tests.passed).sum();
    let failed: u64 = outcomes.iter().map(|outcome| outcome.tests.failed).sum();
    println!("\n{table}");
    if passed + failed > 0 {
        println!("{passed} passed, {failed} failed");
    }
    let failures: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| Some(format!("{:?}: {:#}", outcome.step, outcome.failure.as_ref()?)))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.01s";
        assert_eq!(parse_result(line), Some(Tests { passed: 12, failed: 3 }));
        assert_eq!(parse_result("test drain::a_result ... ok"), None);
    }
}
