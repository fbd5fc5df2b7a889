use clap::Parser as _;

use super::*;
use crate::cli::args::{Cli, Command};

fn parse(words: &[&str]) -> Result<AgentSettings, Failure> {
    let words = ["sluice", "agent"].iter().chain(words);
    let cli = Cli::try_parse_from(words).unwrap();
    let Command::Agent(args) = &cli.command else {
        panic!("another command");
    };
    settings(&cli.global, args).map(|(agent, _)| agent)
}

#[test]
fn flags_are_enough() {
    let agent = parse(&[
        "--manager=192.0.2.1:7400",
        "--bind=www=10.0.0.11:80",
        "--bind=shop=10.0.0.11:443,weight=50",
        "--check-http=/health",
        "--name=s1",
        "--leave-deadline=5s",
    ])
    .unwrap();
    assert_eq!(agent.manager, "192.0.2.1:7400");
    assert_eq!(agent.name.unwrap().as_str(), "s1");
    assert_eq!(agent.interval, Duration::from_millis(250));
    assert_eq!(agent.leave_deadline, Duration::from_secs(5));
    let weights: Vec<_> = agent.binds.iter().map(|bind| bind.weight).collect();
    assert_eq!(weights, [100, 50]);
    let check = &agent.binds[1].check;
    assert_eq!(check.http.as_deref(), Some("/health"));
}

#[test]
fn flags_are_checked_like_files() {
    let refused = |words: &[&str]| parse(words).unwrap_err().to_string();
    let manager = "--manager=192.0.2.1:7400";
    assert!(refused(&[manager]).contains("something to bind"));
    assert!(refused(&["--bind=www=10.0.0.1:80"]).contains("needs a manager"));
    assert!(refused(&[manager, "--bind=www=0.0.0.0:80"]).contains("not this server's address"));
    let twice = ["--bind=www=10.0.0.1:80", "--bind=www=10.0.0.1:80"];
    assert!(refused(&[manager, twice[0], twice[1]]).contains("twice"));
    let check = [manager, twice[0], "--check-http=health"];
    assert!(refused(&check).contains("path to GET"));
}
