//! Random worlds and packets, through the real program and the model: they
//! must agree on every byte.

mod coverage;
mod frames;
mod tunnels;
mod worlds;

use anyhow::{Context as _, Result, bail};

pub use self::coverage::Coverage;
use self::{frames::Frames, worlds::Worlds};
use super::{Exit, Program, model::Model, routed};

/// Packets in a world before it changes, and changes before all is forgotten.
const PACKETS: u64 = 64;
const CHANGES: u64 = 8;
/// One packet in so many goes to a server.
const TO_SERVERS: u64 = 8;

/// Numbers from a seed (SplitMix64; Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// `0..bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `n` times.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// Sends `packets` packets, all of them decided by `seed`, and some to servers;
/// tells of progress, and then what they have met.
///
/// # Errors
/// With the world, the packet and both outcomes, where they differ.
pub fn run(seed: u64, packets: u64, progress: impl FnMut(u64) + Send) -> Result<Coverage> {
    routed(|| run_here(seed, packets, progress))
}

fn run_here(seed: u64, packets: u64, mut progress: impl FnMut(u64)) -> Result<Coverage> {
    let mut program = Program::load()?;
    let mut random = Random(seed);
    let mut coverage = Coverage::default();
    tunnels::run(&mut random, packets / TO_SERVERS, &mut coverage)
        .with_context(|| format!("seed {seed}"))?;
    let mut sent = 0;
    while sent < packets {
        program.forget();
        let mut model = Model::new();
        let mut worlds = Worlds::new(&mut random);
        let mut frames = Frames::default();
        for _ in 0..CHANGES {
            let world = worlds.next(&mut random);
            program.commit(&world);
            program.replenish();
            for _ in 0..PACKETS {
                let frame = frames.next(&mut random, &world);
                let forgetful = Model::new().send(&world, &frame);
                let seen = program.send(&frame);
                let expected = model.send(&world, &frame);
                if seen != expected {
                    bail!(
                        "seed {seed}, packet {sent}: program and model differ\n\
                         world    {world:#?}\n\
                         in       {}\n\
                         program  {}\n\
                         model    {}",
                        hex(&frame),
                        told(&seen),
                        told(&expected)
                    );
                }
                coverage.note(&seen, model.lane(), &forgetful);
                sent += 1;
            }
        }
        progress(sent.min(packets));
    }
    Ok(coverage)
}

fn told(exit: &Exit) -> String {
    let reasons: Vec<_> = exit.reasons.iter().map(|reason| reason.name()).collect();
    format!("{:?}, {}, {}", exit.action, reasons.join(" and "), hex(&exit.frame))
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}
