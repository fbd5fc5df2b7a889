//! Random tunnelled frames, through the servers' program and its model.

use anyhow::{Result, bail};

use super::{Coverage, Random, frames, hex};
use crate::packet::{
    Allowed, Decapsulator, Packet, Service, World, model::decapsulate, server, server6,
};

const SOURCES: [&str; 3] = ["198.18.0.0/15", "100::/96", "2001:db8:77::1/128"];
const SERVERS: [&str; 2] = ["10.0.0.1", "fd00::2"];
const VIPS: [&str; 4] =
    ["203.0.113.10/32", "203.0.0.0/18", "2001:db8::10/128", "2001:db8:ffff::/48"];
/// Where some tunnels come from instead.
const STRANGERS: [[&str; 2]; 3] = [
    ["198.17.255.255:50000", "[100::1:0:0:1]:50000"],
    ["198.20.0.0:50000", "[2001:db8:77::2]:50000"],
    ["203.0.113.10:50000", "[2001:db8:77::1]:50000"],
];

/// Sends `packets` packets, as [`run`](super::run) does.
pub(super) fn run(random: &mut Random, packets: u64, coverage: &mut Coverage) -> Result<()> {
    let allowed = Allowed::new(&SOURCES, &SERVERS, &VIPS);
    let mut program = Decapsulator::load(&allowed)?;
    for _ in 0..packets {
        let frame = next(random);
        let seen = program.send(&frame);
        let expected = decapsulate(&allowed, &frame);
        if seen != expected {
            bail!(
                "a server: program and model differ\n\
                 in       {}\n\
                 program  {:?}, {:?}, {}\n\
                 model    {:?}, {:?}, {}",
                hex(&frame),
                seen.0,
                seen.1,
                hex(&seen.2),
                expected.0,
                expected.1,
                hex(&expected.2)
            );
        }
        coverage.note_server(seen.1);
    }
    Ok(())
}

fn next(random: &mut Random) -> Vec<u8> {
    let mut frame = packet(random).bytes();
    if random.one_in(3) {
        frames::mutate(random, &mut frame);
    }
    frame
}

fn packet(random: &mut Random) -> Packet {
    let inner = frames::packet(random, &World::new()).ttl(9);
    if random.one_in(8) {
        return inner;
    }
    // Any world will do: it only lends its key to the outer sources.
    let world = World::new().service(Service::ipip("203.0.113.10:80"));
    let to = random.of(&[server(1), server(1), server6(2), server6(2), server(9), server6(9)]);
    let mut outer = if random.one_in(2) { inner.ipip(&world, &to) } else { inner.gue(&world, &to) };
    if random.one_in(8) {
        let [v4, v6] = random.of(&STRANGERS);
        let from = if outer.is_v4() { v4 } else { v6 };
        outer = outer.from(from.parse().expect("an address"));
    }
    if random.one_in(3) {
        outer = outer.ecn(random.below(4) as u8);
    }
    if random.one_in(16) {
        outer = outer.ip_options(&[1; 8]).extension(60, &[0; 8]);
    }
    if random.one_in(16) { outer.pad(random.below(64)) } else { outer }
}
