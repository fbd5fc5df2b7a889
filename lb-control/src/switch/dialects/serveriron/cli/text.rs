//! What a command line prints, taken apart.

/// Characters of an asynchronous line about a server that is gone now.
const DELETED: (&str, &str) = ("Server ", " successfully deleted.");

/// Stands where a notice had a line break after it, which may be the notice's own or that
/// of the line it came into.
const BREAK: char = '\u{1}';

/// Bytes as text: what is neither printable ASCII nor a line break is `?`, and NULs,
/// bells and the like are nothing.
pub(super) fn printable(bytes: &[u8]) -> String {
    let character = |byte: &u8| match byte {
        b'\n' | b'\r' | b'\t' | 8 => Some(char::from(*byte)),
        b' '..=b'~' => Some(char::from(*byte)),
        0..=31 => None,
        _ => Some('?'),
    };
    bytes.iter().filter_map(character).collect()
}

/// Takes out what the box says of its own accord: `Server NAME successfully deleted.`,
/// which may stand anywhere, also within a prompt, and may have a line break after it.
/// The names go to `deleted`.
pub(super) fn without_notices(text: &str, deleted: &mut Vec<String>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(DELETED.1) {
        let before = &rest[..end];
        let after = &rest[end + DELETED.1.len()..];
        let name = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let start = before.len() - name.len();
        match before[..start].strip_suffix(DELETED.0) {
            Some(text) if (1..=32).contains(&name.len()) => {
                kept.push_str(text);
                deleted.push(name.to_owned());
                rest = after;
                if let Some(after) = after.strip_prefix("\r\n").or(after.strip_prefix('\n')) {
                    kept.push(BREAK);
                    rest = after;
                }
            }
            _ => {
                kept.push_str(&rest[..end + DELETED.1.len()]);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    kept
}

/// Lines as a terminal would show them: a carriage return begins a line anew, a
/// backspace takes a character back. That is how a pager hides its question.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(line).collect()
}

fn line(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{8}' => {
                shown.pop();
            }
            BREAK => {}
            _ => shown.push(character),
        }
    }
    shown
}

/// The last line, as far as it has come, and what it is where a line break at the last
/// notice is not the notice's own.
pub(super) fn last_line(text: &str) -> (String, String) {
    let whole = text.rsplit('\n').next().unwrap_or_default();
    (line(whole), line(whole.rsplit(BREAK).next().unwrap_or_default()))
}

/// What follows the echo of a command, which may be wrapped and ends with a line break.
pub(super) fn after_echo<'a>(text: &'a str, command: &str) -> Option<&'a str> {
    let is_ink = |(_, c): &(usize, char)| !c.is_whitespace() && *c != BREAK;
    let solid: Vec<_> = text.char_indices().filter(is_ink).collect();
    let wanted: Vec<_> = command.chars().filter(|c| !c.is_whitespace()).collect();
    let matches = |window: &[(usize, char)]| {
        window.iter().map(|(_, c)| c).eq(wanted.iter())
            && window.last().is_some_and(|(at, _)| {
                text[at + 1..].trim_start_matches([' ', '\t']).starts_with(['\r', '\n', BREAK])
            })
    };
    let (at, _) = solid.windows(wanted.len().max(1)).find(|w| matches(w))?.last()?;
    let rest = &text[at + 1..];
    Some(rest.split_once(['\n', BREAK]).map_or("", |(_, rest)| rest))
}
