//! A story told in numbered steps: what was expected, what was seen.

use std::fmt::Display;

use anyhow::{Result, bail};
use lab::Lab;

/// Counts the steps.
#[derive(Debug, Default)]
pub struct Story {
    step: usize,
}

impl Story {
    /// Begins a step.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        println!("\n{}. {title}", self.step);
    }

    /// Shows a command of the operator and runs it.
    ///
    /// # Errors
    /// When it fails.
    pub fn sluice(&self, lab: &Lab, args: &[&str]) -> Result<()> {
        println!("   $ sluice {}", args.join(" "));
        let answer = lab.sluice(args)?.stdout()?;
        for line in answer.lines() {
            println!("     {line}");
        }
        Ok(())
    }

    /// Compares.
    ///
    /// # Errors
    /// When what was seen is not what was expected.
    pub fn expect(&self, expected: &str, seen: impl Display, agrees: bool) -> Result<()> {
        let mark = if agrees { "✓" } else { "✗" };
        println!("   expected  {expected}\n   seen      {seen}  {mark}");
        if !agrees {
            bail!("step {}: expected {expected}, but seen {seen}", self.step);
        }
        Ok(())
    }
}
