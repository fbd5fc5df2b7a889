//! What is wrong with a file, and where.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file was read, and these things are wrong with it.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong in a file. Displayed in three to four lines: the
/// place and what is wrong, the line, a mark under the place, and help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// Characters of the line, from the column on, that are to blame.
    pub marked: usize,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span` (bytes of `source`).
    pub(super) fn new(path: &Path, source: &str, span: Range<usize>, message: String) -> Self {
        let start = source.floor_char_boundary(span.start);
        let end = source.floor_char_boundary(span.end.max(start));
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let text = source[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + text.len();
        Self {
            path: path.to_owned(),
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            text: text.to_owned(),
            marked: source[start.min(line_end)..end.min(line_end)].chars().count().max(1),
            message,
            help: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text, marked, message, .. } = self;
        let gutter = line.to_string().len();
        // Tabs stay tabs, so that the mark stands under its place.
        let lead: String = text
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column - 1)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        writeln!(f, "{}:{line}:{column}: {message}", self.path.display())?;
        writeln!(f, " {line} | {text}")?;
        write!(f, " {:gutter$} | {lead}{}", "", "^".repeat(*marked))?;
        if let Some(help) = &self.help {
            write!(f, "\n {:gutter$} = {help}", "")?;
        }
        Ok(())
    }
}
