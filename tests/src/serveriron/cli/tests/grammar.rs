use crate::serveriron::cli::grammar::{Mistake, parse};

const PATTERNS: &[&str] = &[
    "configure terminal",
    "show running-config",
    "show server real",
    "show server real NAME",
    "skip-page-display",
    "server real NAME ADDRESS",
    "port default",
    "port default disable",
    "port PORT",
    "port PORT disable",
    "port PORT url TEXT",
    "weight NUMBER",
];

fn pattern(line: &str) -> Result<&'static str, Mistake> {
    parse(line, PATTERNS).map(|(index, _)| PATTERNS[index])
}

#[test]
fn words_may_be_short_as_long_as_they_are_clear() {
    for (line, expected) in [
        ("conf t", "configure terminal"),
        ("c t", "configure terminal"),
        ("sh run", "show running-config"),
        ("  show   server  real ", "show server real"),
        ("sh ser re web1", "show server real NAME"),
        ("port de", "port default"),
        ("port http", "port PORT"),
        ("p 65535 d", "port PORT disable"),
        ("w 0", "weight NUMBER"),
    ] {
        assert_eq!(pattern(line), Ok(expected), "{line}");
    }
}

#[test]
fn mistakes_name_the_word() {
    let invalid = |rest: &str| Err(Mistake::Invalid(rest.to_owned()));
    for (line, expected) in [
        ("s", Err(Mistake::Ambiguous("s".to_owned()))),
        ("s real web1", Err(Mistake::Ambiguous("s real web1".to_owned()))),
        ("show", Err(Mistake::Incomplete)),
        ("server real web1", Err(Mistake::Incomplete)),
        ("port", Err(Mistake::Incomplete)),
        ("bogus x", invalid("bogus x")),
        ("show server bogus x", invalid("bogus x")),
        ("server real web1 198.51.100.300", invalid("198.51.100.300")),
        ("port 0", invalid("0")),
        ("port 65536", invalid("65536")),
        ("weight -1", invalid("-1")),
        ("port http disable now", invalid("now")),
        ("configure terminal now", invalid("now")),
    ] {
        assert_eq!(pattern(line), expected, "{line}");
    }
}

#[test]
fn arguments_are_taken_in_order_and_quotes_keep_spaces() {
    let (_, args) = parse("server real web#1 198.51.100.3", PATTERNS).unwrap();
    assert_eq!((args.name(), args.address), ("web#1", [198, 51, 100, 3].into()));
    let (_, args) = parse("port http url \"GET /x HTTP/1.0\"", PATTERNS).unwrap();
    assert_eq!((args.port(), args.text.as_str()), (80, "GET /x HTTP/1.0"));
    let bind = ["bind PORT NAME PORT NAME PORT"];
    let (_, args) = parse("bind http a 81 b http", &bind).unwrap();
    assert_eq!(args.port(), 80);
    assert_eq!(args.pairs().collect::<Vec<_>>(), [("a", 81), ("b", 80)]);
}

#[test]
fn mistakes_have_the_words_of_the_box() {
    let words = |line| pattern(line).unwrap_err().words();
    assert_eq!(words("bogus x"), "Invalid input -> bogus x\nType ? for a list\n");
    assert_eq!(words("s x"), "Ambiguous input -> s x\n");
    assert_eq!(words("show"), "Incomplete command.\n");
}
