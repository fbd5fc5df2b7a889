//! Deserialisation errors in the words of somebody who writes the file.

use super::nearest;

/// What is wrong, and what to do about it, from the message of a
/// deserialisation error.
pub(super) fn explain(message: &str) -> (String, Option<String>) {
    if message.starts_with("unknown field ") || message.starts_with("unknown variant ") {
        return unknown(message);
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        let help = format!("this table needs {field}");
        return (message.to_owned(), Some(help));
    }
    if message == "invalid socket address syntax" {
        return (format!("expected {ADDRESS}"), None);
    }
    if message == "wanted string or table" {
        return ("expected a string: one of the names it may have".to_owned(), None);
    }
    if message == "duplicate key" {
        let help = "merge the two, or remove one".to_owned();
        return ("this name is given twice".to_owned(), Some(help));
    }
    let kind =
        message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match kind.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => mismatch(found, expected),
        None => (message.to_owned(), None),
    }
}

const ADDRESS: &str = "an address and port such as 203.0.113.10:80 or [2001:db8::10]:80";

/// A field or an enum value that is none: serde quotes it first, and then
/// every valid one.
fn unknown(message: &str) -> (String, Option<String>) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let given = quoted.next().unwrap_or_default();
    let valid: Vec<&str> = quoted.collect();
    let what = if message.starts_with("unknown field") { "field" } else { "value" };
    let guess = nearest(given, valid.iter().copied());
    let message = match guess {
        Some(guess) => format!("unknown {what} `{given}`: did you mean `{guess}`?"),
        None => format!("unknown {what} `{given}`"),
    };
    (message, Some(format!("valid here: {}", valid.join(", "))))
}

/// A value of another type or out of its range.
fn mismatch(found: &str, expected: &str) -> (String, Option<String>) {
    let help = (found == "map" && expected == "a sequence").then(|| {
        "there may be several: put the table's name in double brackets, as in [[service]]"
            .to_owned()
    });
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "f64" => "a number",
        "a sequence" => "an array",
        "a boolean" => "true or false",
        "socket address" => ADDRESS,
        "path string" => "a path as a string",
        table if table == "a map" || table.starts_with("struct ") => "a table",
        other => other,
    };
    let found = match found {
        "map" => "a table".to_owned(),
        "sequence" => "an array".to_owned(),
        other => other.to_owned(),
    };
    (format!("expected {expected}, not {found}"), help)
}
