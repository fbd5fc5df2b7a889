//! Command lines: abbreviated words, arguments, and what is wrong with them.

use std::{collections::BTreeSet, net::Ipv4Addr};

/// The arguments of a command, by kind, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) names: Vec<String>,
    pub(super) ports: Vec<u16>,
    pub(super) address: Ipv4Addr,
    pub(super) number: u32,
    pub(super) text: String,
}

impl Args {
    fn new() -> Self {
        Self {
            names: Vec::new(),
            ports: Vec::new(),
            address: Ipv4Addr::UNSPECIFIED,
            number: 0,
            text: String::new(),
        }
    }

    /// The first name, of patterns that have one.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The first port, of patterns that have one.
    pub(super) fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or(0)
    }

    /// The pairs after the first port of a `bind`.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, u16)> {
        self.names.iter().map(String::as_str).zip(self.ports.iter().skip(1).copied())
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// From this word on.
    Invalid(String),
    /// From this word on.
    Ambiguous(String),
    Incomplete,
}

impl Mistake {
    /// As the box says it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Invalid(rest) => format!("Invalid input -> {rest}\nType ? for a list\n"),
            Self::Ambiguous(rest) => format!("Ambiguous input -> {rest}\n"),
            Self::Incomplete => "Incomplete command.\n".to_owned(),
        }
    }
}

/// Which of `patterns` a line means, and its arguments.
///
/// A pattern is words apart by one space: lower-case ones are keywords, which
/// may be abbreviated as long as only one fits, and `NAME`, `ADDRESS`,
/// `NUMBER`, `PORT`, `TEXT` are arguments.
pub(super) fn parse(line: &str, patterns: &[&str]) -> Result<(usize, Args), Mistake> {
    let words = split(line);
    let mut left: Vec<usize> = (0..patterns.len()).collect();
    let mut args = Args::new();
    for (at, (begin, word)) in words.iter().enumerate() {
        let rest = || line.get(*begin..).unwrap_or_default().trim_end().to_owned();
        let expected =
            |index: &usize| patterns.get(*index).and_then(|pattern| pattern.split(' ').nth(at));
        let keywords: BTreeSet<&str> =
            left.iter().filter_map(expected).filter(|key| is_keyword(key)).collect();
        let fitting: Vec<&str> =
            keywords.iter().copied().filter(|key| key.starts_with(word.as_str())).collect();
        let chosen = match fitting[..] {
            [] => left
                .iter()
                .filter_map(expected)
                .filter(|kind| !is_keyword(kind))
                .find(|kind| take(kind, word, &mut args))
                .ok_or_else(|| Mistake::Invalid(rest()))?,
            [only] => only,
            _ if keywords.contains(word.as_str()) => word.as_str(),
            _ => return Err(Mistake::Ambiguous(rest())),
        };
        left.retain(|index| expected(index) == Some(chosen));
    }
    let complete = left.iter().find(|index| {
        patterns.get(**index).is_some_and(|pattern| pattern.split(' ').count() == words.len())
    });
    complete.map(|index| (*index, args)).ok_or(Mistake::Incomplete)
}

/// What may follow in a line that has been typed so far.
pub(super) fn next_words<'a>(line: &str, patterns: &[&'a str]) -> BTreeSet<&'a str> {
    let words = split(line);
    let fits = |pattern: &&&str| {
        words.iter().zip(pattern.split(' ')).all(|((_, word), expected)| {
            !is_keyword(expected) || expected.starts_with(word.as_str())
        })
    };
    patterns.iter().filter(fits).filter_map(|pattern| pattern.split(' ').nth(words.len())).collect()
}

fn is_keyword(expected: &str) -> bool {
    expected.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Takes a word as an argument, if it is one of this kind.
fn take(kind: &str, word: &str, args: &mut Args) -> bool {
    match kind {
        "NAME" => args.names.push(word.to_owned()),
        "TEXT" => word.clone_into(&mut args.text),
        "ADDRESS" => match word.parse() {
            Ok(address) => args.address = address,
            Err(_) => return false,
        },
        "NUMBER" => match word.parse() {
            Ok(number) => args.number = number,
            Err(_) => return false,
        },
        "PORT" => match (word, word.parse()) {
            ("http", _) => args.ports.push(80),
            (_, Ok(port)) if port > 0 => args.ports.push(port),
            _ => return false,
        },
        _ => return false,
    }
    true
}

/// Words with where they begin. Quotes keep spaces together, and are dropped.
fn split(line: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let mut quoted = false;
    let mut inside = false;
    for (at, letter) in line.char_indices() {
        if letter.is_whitespace() && !quoted {
            inside = false;
            continue;
        }
        if !inside {
            words.push((at, String::new()));
            inside = true;
        }
        if letter == '"' {
            quoted = !quoted;
        } else if let Some((_, word)) = words.last_mut() {
            word.push(letter);
        }
    }
    words
}
