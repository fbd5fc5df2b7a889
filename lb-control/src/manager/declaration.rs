//! The operator's intent as text.

use std::path::Path;

use crate::{
    config::{ClassSettings, ConfigError, Declaration},
    core::Declared,
    proto::MAX_DECLARATION,
};

/// Problems that one answer shows: it travels in a header, which has little room.
const PROBLEMS: usize = 8;
/// Characters of one problem that it shows.
const LENGTH: usize = 400;

/// What is at the head of an exported file.
const HEAD: &str = "\
# What `sluice export` wrote: all that the operator has asked for, over the
# configuration file and its commands since. `sluice diff FILE` shows what
# `sluice apply FILE` would change. Backends that agents bind are not here, but
# for [[weight]] and [[removal]].

";

/// # Errors
/// It cannot be written as TOML.
pub(super) fn write(declared: &Declared) -> Result<String, toml::ser::Error> {
    Ok(format!("{HEAD}{}", Declaration::from(declared).to_toml()?))
}

/// # Errors
/// What is wrong with it, and where in `file`; for people, and of bounded length.
pub(super) fn read(text: &str, file: &str, classes: &[ClassSettings]) -> Result<Declared, String> {
    if text.len() > MAX_DECLARATION {
        return Err(format!("a declaration has {MAX_DECLARATION} bytes at the most"));
    }
    let file: String = file.chars().filter(|c| !c.is_control()).take(200).collect();
    let declaration = Declaration::parse(text, Path::new(&file), classes).map_err(shorten)?;
    Declared::try_from(&declaration).map_err(|error| error.to_string())
}

fn shorten(error: ConfigError) -> String {
    let ConfigError::Invalid(problems) = error else { return error.to_string() };
    let cut = |text: &str| -> String {
        let short: String = text.chars().take(LENGTH).collect();
        if short.len() < text.len() { short + "..." } else { short }
    };
    let shown = problems.iter().take(PROBLEMS).map(|problem| cut(&problem.to_string()));
    let mut lines: Vec<String> = shown.collect();
    if problems.len() > PROBLEMS {
        lines.push(format!("and {} more", problems.len() - PROBLEMS));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_short_whatever_the_file() {
        let long = format!("x = \"{}\"", "y".repeat(100_000));
        let error = read(&long, "a\x1bb.toml", &[]).unwrap_err();
        assert!(
            error.starts_with("ab.toml:1:1: unknown field `x`") && error.len() < 500,
            "{error}"
        );
        let twice = "[[service]]\nname = \"www\"\naddress = \"203.0.113.10:80\"\nmode = \"l2\"\n";
        let error = read(&twice.repeat(100), "f", &[]).unwrap_err();
        assert!(error.contains("and 91 more") && error.len() < 5000, "{error}");
        let big = " ".repeat(MAX_DECLARATION + 1);
        assert!(read(&big, "f", &[]).unwrap_err().contains("4194304 bytes at the most"));
    }

    #[test]
    fn the_head_is_a_comment() {
        let text = write(&Declared::default()).unwrap();
        assert_eq!(read(&text, "f", &[]), Ok(Declared::default()));
    }
}
