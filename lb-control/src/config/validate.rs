//! What the types of [`Settings`] cannot say: how its parts go together, and
//! which values make no sense.

mod authority;
mod feedback;
mod roles;
mod services;
mod switches;

use std::time::Duration;

use super::Settings;

/// One step into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table, by name.
    Key(&'static str),
    /// Into an array, from 0.
    Index(usize),
}

/// The way from the file's root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Step>);

impl Place {
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The value `key` of the table here.
    pub(super) fn key(&self, key: &'static str) -> Self {
        self.and(Step::Key(key))
    }

    /// The element `index` of the array `key` here.
    pub(super) fn element(&self, key: &'static str, index: usize) -> Self {
        self.key(key).and(Step::Index(index))
    }

    fn and(&self, step: Step) -> Self {
        Self(self.0.iter().copied().chain([step]).collect())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    /// Names the entry it is about.
    pub(super) message: String,
}

/// Checks settings that come from no file, as [`parse`](super::parse) checks
/// those that do.
///
/// # Errors
/// Everything that is wrong, one fault a line.
pub fn validate(settings: &Settings) -> Result<(), String> {
    let messages: Vec<_> = faults(settings).into_iter().map(|f| f.message).collect();
    if messages.is_empty() { Ok(()) } else { Err(messages.join("\n")) }
}

/// Everything that is wrong, in the order of the roles.
pub(super) fn faults(settings: &Settings) -> Vec<Fault> {
    let mut faults = Faults::default();
    roles::check(settings, &mut faults);
    authority::check(settings, &mut faults);
    feedback::check(settings, &mut faults);
    services::check(settings, &mut faults);
    switches::check(settings, &mut faults);
    faults.0
}

/// What is wrong with services and classes.
pub(super) fn service_faults(settings: &Settings) -> Vec<Fault> {
    let mut faults = Faults::default();
    services::check(settings, &mut faults);
    faults.0
}

/// Collects what is wrong.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn push(&mut self, place: Place, message: impl ToString) {
        let message = message.to_string();
        self.0.push(Fault { place, message });
    }

    /// Wants each duration to be at least [`SHORTEST`].
    fn periods(&mut self, place: &Place, periods: &[(&'static str, Duration)]) {
        for &(key, duration) in periods {
            if duration < SHORTEST {
                let least = humantime::format_duration(SHORTEST);
                self.push(place.key(key), format!("`{key}` must be at least {least}"));
            }
        }
    }

    /// Wants each number to be at least 1.
    fn counts(&mut self, place: &Place, counts: &[(&'static str, u32)]) {
        for &(key, count) in counts {
            if count == 0 {
                self.push(place.key(key), format!("`{key}` must be at least 1"));
            }
        }
    }
}

/// What repeats, repeats no faster than this: below it, a busy machine alone
/// makes it miss.
const SHORTEST: Duration = Duration::from_millis(10);
