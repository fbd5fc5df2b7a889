//! Any text for a file.

use std::path::Path;

use super::super::{ClassSettings, Declaration, parse};
use crate::{core::Declared, testing::Fuzz};

const WORDS: &[&str] = &[
    "[manager]\n",
    "[edge]\n",
    "[agent]\n",
    "[[agent.bind]]\n",
    "[tls]\n",
    "[[service]]\n",
    "[[service.backend]]\n",
    "[[service.policy]]\n",
    "[[class]]\n",
    "[[manager.allow]]\n",
    "[service.health]\n",
    "[[weight]]\n",
    "[[removal]]\n",
    "name = \"www\"\n",
    "address = \"203.0.113.10:80\"\n",
    "address = \"[2001:db8::/32]:*\"\n",
    "mode = \"l2\"\n",
    "mode = \"nat\"\n",
    "interval = \"1ms\"\n",
    "deadline = \"9999999999years\"\n",
    "service = \"www\"\n",
    "weight = 65535\n",
    "true",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "\u{fe0f}",
];

const EXAMPLES: [&str; 2] = [
    include_str!("../../../../examples/sluice.toml"),
    include_str!("../../../../examples/agent.toml"),
];

#[test]
fn fuzzed_configuration() {
    let [sluice, agent] = EXAMPLES;
    Fuzz::new("config").with(sluice).with(agent).words(WORDS).run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Err(error) = parse(text, Path::new("file")) {
            assert!(error.to_string().starts_with("file:"), "{error}");
        }
    });
}

#[test]
fn fuzzed_declaration() {
    let bots =
        ClassSettings { name: "bots".parse().unwrap(), sources: Vec::new(), dscp: Vec::new() };
    let classes = [bots];
    let path = Path::new("file");
    Fuzz::new("declaration").words(WORDS).run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(declaration) = Declaration::parse(text, path, &classes) else { return };
        let again = declaration.to_toml().unwrap();
        let again = Declaration::parse(&again, path, &classes)
            .unwrap_or_else(|error| panic!("{error}\n{again}"));
        assert_eq!(again, declaration);
        // What a core makes of it says the same, in its own words.
        let declared = Declared::try_from(&declaration).unwrap();
        let exported = Declaration::from(&declared).to_toml().unwrap();
        let exported = Declaration::parse(&exported, path, &classes)
            .unwrap_or_else(|error| panic!("{error}\n{exported}"));
        assert_eq!(Declared::try_from(&exported).as_ref(), Ok(&declared));
    });
}
