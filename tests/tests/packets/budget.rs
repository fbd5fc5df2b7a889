//! What the kernel's verifier says of the program.

use lab::packet::Program;

/// The verifier gives up at a million instructions. Far below that, so that
/// the program still loads on kernels whose verifier prunes less.
const CEILING: u32 = 300_000;

#[test]
fn the_verifier_does_not_walk_far() {
    let program = Program::load().unwrap();
    let info = program.info().unwrap();
    let walked = info.verified_instruction_count().expect("kernels from 5.16 say so");
    assert!(walked > 0 && walked < CEILING, "the verifier walked {walked} instructions");
    println!("the verifier walked {walked} instructions");
}
