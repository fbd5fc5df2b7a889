//! The program and the model of it agree. `cargo xtask fuzz` asks them longer.

use lab::packet::fuzz;

/// The same packets in every run.
#[test]
fn the_program_does_what_the_model_says() {
    fuzz::run(1, 15_000, |_| ()).unwrap();
}

/// Others in every run; a failure names the seed.
#[test]
fn and_for_packets_that_were_never_sent() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    fuzz::run(now.as_nanos() as u64, 15_000, |_| ()).unwrap();
}
