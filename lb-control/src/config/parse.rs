//! From the file's text to [`Settings`].

use std::{fs, ops::Range, path::Path};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Problem, Settings,
    validate::{self, Fault, Place, Step},
    wording,
};

/// Reads and checks a file.
///
/// # Errors
/// [`ConfigError::Read`], or [`ConfigError::Invalid`] with everything that is
/// wrong with the file.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads and checks a file's text; `path` is only for its errors.
///
/// # Errors
/// [`ConfigError::Invalid`]: the first thing that is wrong with its form, or
/// everything that is wrong with its meaning.
pub fn parse(text: &str, path: &Path) -> Result<Settings, ConfigError> {
    read(text, path, validate::faults)
}

/// Reads a document of some form; `faults` says what is wrong with its meaning.
///
/// # Errors
/// As of [`parse`].
pub(super) fn read<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    faults: impl FnOnce(&T) -> Vec<Fault>,
) -> Result<T, ConfigError> {
    let form = |error: toml::de::Error| {
        let (message, help) = wording::explain(error.message());
        let span = error.span().unwrap_or_default();
        let problem = Problem::new(path, text, span, message);
        ConfigError::Invalid(vec![Problem { help, ..problem }])
    };
    let document = DeTable::parse(text).map_err(form)?;
    let read = T::deserialize(toml::Deserializer::from(document.clone())).map_err(form)?;
    let faults = faults(&read);
    if faults.is_empty() {
        return Ok(read);
    }
    let mut problems: Vec<_> = faults
        .into_iter()
        .map(|fault| {
            let span = span_of(document.get_ref(), &fault.place);
            Problem::new(path, text, span, fault.message)
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(ConfigError::Invalid(problems))
}

/// Where in the file a place is. A place that is not written (its value is a
/// default) is where the innermost table around it begins.
fn span_of(document: &DeTable<'_>, place: &Place) -> Range<usize> {
    let mut span = Range::default();
    let mut table = Some(document);
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for step in place.steps() {
        let next = match step {
            Step::Key(key) => table.and_then(|table| table.get(*key)),
            Step::Index(index) => value
                .and_then(|value| value.get_ref().as_array())
                .and_then(|array| array.get(*index)),
        };
        let Some(next) = next else { break };
        span = next.span();
        table = next.get_ref().as_table();
        value = Some(next);
    }
    span
}
