use clap::CommandFactory as _;

use super::*;

/// Every command, with the words that lead to it.
fn every(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
    visit(path, command);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        every(sub, &format!("{path} {}", sub.get_name()), visit);
    }
}

#[test]
fn the_definition_holds() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_has_examples_that_parse() {
    let mut seen = 0;
    every(&Cli::command(), "sluice", &mut |path, command| {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) =
            help.split_once("Example").unwrap_or_else(|| panic!("`{path} --help` has no example"));
        let examples: Vec<&str> = examples.lines().skip(1).map(str::trim).collect();
        assert!(!examples.is_empty(), "`{path} --help` has no example");
        for example in examples {
            let words = example.split(" | ").next().unwrap().split_whitespace();
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "`{example}`: {}", parsed.unwrap_err());
            assert!(example.starts_with(path), "`{example}` is no example of `{path}`");
            seen += 1;
        }
    });
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_argument_is_described() {
    every(&Cli::command(), "sluice", &mut |path, command| {
        for argument in command.get_arguments() {
            let name = argument.get_id();
            assert!(argument.get_help().is_some(), "`{path}`: {name} has no help");
        }
    });
}

#[test]
fn values() {
    let good = |words: &str| Cli::try_parse_from(words.split(' ')).unwrap();
    let bad = |words: &str| Cli::try_parse_from(words.split(' ')).unwrap_err().to_string();
    let Command::Drop(args) = good("sluice drop www 12.5%").command else {
        panic!("another command");
    };
    assert_eq!(args.refuse.ppm(), 125_000);
    assert!(bad("sluice drop www 101").contains("a percentage from 0 to 100"));
    assert!(bad("sluice drop WWW 1").contains("is not a name"));
    assert!(bad("sluice add www 10.0.0.1").contains("such as 10.0.0.11:80"));
    assert!(bad("sluice weight www 10.0.0.1:80 70000").contains("65535"));
    assert!(bad("sluice remove www 10.0.0.1:80 --deadline soon").contains("write a time"));
    assert!(bad("sluice remove www 10.0.0.1:80 --force --deadline 1s").contains("cannot be used"));
    let Command::Agent(args) = good("sluice agent --bind www=[2001:db8::1]:80,weight=7").command
    else {
        panic!("another command");
    };
    assert_eq!(args.bind[0].weight, Some(7));
    let bind = "sluice agent --bind h3=10.0.0.1:443,server-id=0a1b,weight=7";
    let Command::Agent(args) = good(bind).command else { panic!("another command") };
    let bind = &args.bind[0];
    assert_eq!((bind.weight, bind.server_id.unwrap().to_string().as_str()), (Some(7), "0a1b"));
    let Command::Add(args) = good("sluice add h3 10.0.0.1:443 --server-id 0a1b").command else {
        panic!("another command");
    };
    assert_eq!(args.server_id.unwrap().to_string(), "0a1b");
    assert!(bad("sluice add h3 10.0.0.1:443 --server-id 0a1").contains("in hexadecimal"));
    assert!(bad("sluice agent --bind h3=10.0.0.1:443,server-id=x").contains("in hexadecimal"));
    for wrong in ["www", "www=1", "www=10.0.0.1:80,7", "www=10.0.0.1:80,weight=x"] {
        bad(&format!("sluice agent --bind {wrong}"));
    }
}

#[test]
fn statuses_are_a_contract() {
    let text = || "x".to_owned();
    let statuses = [
        (Failure::Closed, 0),
        (Failure::Failed(text()), 1),
        (Failure::Usage(text()), 2),
        (Failure::Unreachable(text()), 3),
        (Failure::NotLive(text()), 4),
        (Failure::Sick, 5),
        (Failure::Differs, 1),
    ];
    for (failure, status) in statuses {
        assert_eq!(failure.status(), status, "{failure:?}");
    }
    let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    assert!(matches!(closed.into(), Failure::Closed));
}

#[test]
fn fuzzed_command_line() {
    let mut examples = Vec::new();
    every(&Cli::command(), "sluice", &mut |_, command| {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("sluice "));
        examples.extend(lines.map(str::to_owned));
    });
    let fuzz = crate::testing::Fuzz::new("command-line");
    let fuzz = examples.into_iter().fold(fuzz, |fuzz, example| fuzz.with(example));
    fuzz.words(&[" --", " -o json", "=", ",weight=", ",server-id=", "%", " --timeout ", " -- "])
        .run(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            drop(Cli::try_parse_from(text.split(' ')));
        });
}
