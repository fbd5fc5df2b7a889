//! The catalogue: each kind of packet, on each way, and what comes of it. What
//! one packet leaves for the next is in the stories beside.
//!
//! It is one list, so that what it lacks can be told.

mod answers;
mod checksums;
mod extensions;
mod modes;
mod options;
mod reasons;
mod way;

use std::{collections::HashSet, io::Write as _};

use lab::packet::{Case, check, routed};
use lb_common::abi::Reason;

fn rows() -> Vec<Case> {
    [
        modes::rows(),
        modes::errors(),
        options::rows(),
        extensions::rows(),
        answers::rows(),
        reasons::rows(),
    ]
    .concat()
}

#[test]
fn every_row_leaves_as_it_says() {
    routed(|| check(rows()));
}

#[test]
fn every_reason_has_a_row() {
    let there: HashSet<Reason> = rows().iter().map(Case::reason).collect();
    let lacking: Vec<_> = Reason::ALL.iter().filter(|reason| !there.contains(reason)).collect();
    assert!(lacking.is_empty(), "no row leaves for {lacking:?}");
}

#[test]
fn there_are_enough_of_them() {
    let rows = rows();
    let names: HashSet<&str> = rows.iter().map(Case::name).collect();
    assert_eq!(names.len(), rows.len(), "each row has a name of its own");
    assert!(names.len() >= 150, "{} rows", names.len());
    // Past the test runner, which keeps what a test prints to itself.
    writeln!(std::io::stdout(), "the catalogue has {} rows", names.len()).unwrap();
}
