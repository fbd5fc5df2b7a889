//! What goes to stdout.

use std::io::{self, IsTerminal as _, StdoutLock, Write as _};

use serde::Serialize;

use super::{Failure, args::Format, table::Table};

/// Stdout in the form that was asked for.
pub struct Output {
    format: Format,
    out: StdoutLock<'static>,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format, out: io::stdout().lock() }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Somebody looks at it as it is written.
    pub fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// A command's one document.
    pub fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
        self.line(&json)
    }

    /// One of many documents, on a line of its own.
    pub fn record(&mut self, record: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(record).map_err(io::Error::from)?;
        self.line(&json)
    }

    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        self.text(&table.render(self.is_wide()))
    }
}
