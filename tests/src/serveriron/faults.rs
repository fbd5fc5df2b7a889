//! What a box can be made to do wrong.

use std::time::{Duration, Instant};

/// Faults that hold until others are set. [`Faults::default`] has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// After so many more commands, one is lost with its connection; over
    /// SNMP, with its answer. Happens once.
    pub lose_after: Option<(usize, Lost)>,
    /// Of the change with this number from now on nobody is told, and its connection
    /// ends, whatever is read meanwhile. Happens once.
    pub lose_change: Option<usize>,
    /// Everything said is read and thrown away, and nothing is answered.
    pub hang: bool,
    /// Commands that contain the first text are answered by the second, and
    /// not done.
    pub refuse: Vec<(String, String)>,
    /// SNMP sets are answered with this error-status (RFC 3416 section 3),
    /// about the first variable, and not done.
    pub refuse_sets: Option<u32>,
    /// What commands and SNMP requests are answered with instead of a truth.
    pub hostile: Option<Hostile>,
}

/// Which part of a lost command is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not done.
    Command,
    /// It is done, but nobody is told.
    Answer,
}

/// A reply that no driver should be hurt by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// So many bytes of text without a line break, and then a prompt.
    Huge(usize),
    /// Lines without an end, as fast as they are read.
    Endless,
    /// Every byte there is, many times, and then a prompt.
    Binary,
    /// Exactly these; on the command line, a prompt comes after them.
    Bytes(Vec<u8>),
}

impl Faults {
    /// Counts a command down to its loss.
    pub(crate) fn count(&mut self) -> Option<Lost> {
        let (left, lost) = self.lose_after?;
        self.lose_after = left.checked_sub(1).map(|left| (left, lost));
        (left == 0).then_some(lost)
    }

    /// Counts changes that a command has made: whether its answer is lost.
    pub(crate) fn count_changes(&mut self, changes: usize) -> bool {
        let Some(left) = self.lose_change else { return false };
        self.lose_change = left.checked_sub(changes).filter(|left| *left > 0);
        self.lose_change.is_none()
    }

    /// The words that `command` is refused with.
    pub(crate) fn refusal(&self, command: &str) -> Option<&str> {
        let refused = self.refuse.iter().find(|(text, _)| command.contains(text.as_str()));
        refused.map(|(_, words)| words.as_str())
    }
}

/// A boot that takes its time: nothing listens meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Downtime(Option<Instant>);

impl Downtime {
    pub(crate) fn begin(&mut self, lasting: Duration) {
        self.0 = Instant::now().checked_add(lasting);
    }

    pub(crate) fn lasts(&self) -> bool {
        self.0.is_some_and(|end| Instant::now() < end)
    }
}
