//! Text of others in our messages.

/// What somebody sent, to be repeated in an error message: short, and without
/// characters that a terminal obeys.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
