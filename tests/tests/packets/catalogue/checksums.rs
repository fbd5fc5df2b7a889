//! Checksums of everything that leaves, as tshark sees them.

use std::collections::HashSet;

use lab::packet::{
    Action, Allowed, Decapsulator, Packet, Program, Service, World, icmp_answer, routed, server6,
    tcp, udp, wrong_checksums,
};
use lb_common::abi::{Fate, Reason, decap};

use super::rows;
use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// Everything that the rows of the catalogue make leave, and why.
fn leaving() -> Vec<(String, Reason, Vec<u8>)> {
    let mut program = Program::load().unwrap();
    let mut left = Vec::new();
    for row in rows() {
        program.forget();
        let exit = row.send(&mut program);
        let sent = matches!(exit.action, Action::Transmit | Action::Redirect);
        if sent || row.reason() == Reason::ReplyToKernel {
            left.push((row.name().to_owned(), row.reason(), exit.frame));
        }
    }
    left
}

#[test]
fn every_checksum_that_leaves_is_right() {
    let left = routed(leaving);
    let reasons: HashSet<_> = left.iter().map(|(_, reason, _)| *reason).collect();
    let sends = |reason: &&Reason| !matches!(reason.fate(), Fate::Drop | Fate::Pass);
    let missing: Vec<_> =
        Reason::ALL.iter().filter(sends).filter(|r| !reasons.contains(r)).collect();
    assert!(missing.is_empty(), "nothing left for {missing:?}");
    judge(left.iter().map(|(name, _, frame)| (name.clone(), frame.clone())));

    // And what servers take out of tunnels.
    let vips = ["203.0.113.10/32", "2001:db8::10/128"];
    let sources = ["198.18.0.0/15", "100::/96"];
    let allowed = Allowed::new(&sources, &["10.0.0.1", "fd00::2"], &vips);
    let mut server = Decapsulator::load(&allowed).unwrap();
    let inside: Vec<_> = left
        .iter()
        .filter_map(|(name, _, frame)| {
            let (_, reason, out) = server.send(frame);
            let was_inside = reason == decap::Reason::Decapsulated;
            was_inside.then(|| (format!("{name}, taken out"), out))
        })
        .collect();
    assert!(inside.len() > 100, "{} frames of tunnels", inside.len());
    judge(inside.into_iter());
}

#[track_caller]
fn judge(named: impl Iterator<Item = (String, Vec<u8>)>) {
    let (names, frames): (Vec<_>, Vec<_>) = named.unzip();
    let verdicts = wrong_checksums(&frames).unwrap();
    let wrong: Vec<_> =
        names.iter().zip(verdicts).filter_map(|(name, wrong)| Some((name, wrong?))).collect();
    assert!(wrong.is_empty(), "{} of {} frames: {wrong:#?}", wrong.len(), frames.len());
}

/// Of frames whose every checksum is spoilt in turn, all are noticed.
#[test]
fn tshark_sees_a_wrong_checksum() {
    let gue = |packet: Packet| {
        let world = World::new().service(Service::gue(VIP6).slot(&server6(2), &server6(2)));
        packet.gue(&world, &server6(2))
    };
    let (segment, datagram) = (tcp(CLIENT, VIP).ack(1), udp(CLIENT6, VIP6).payload(b"query"));
    // Offsets of checksums.
    let rows = [
        ("IPv4", segment.clone(), vec![24, 50]),
        ("UDP over IPv6, two tags", datagram.clone().service_vlan(6).vlan(5), vec![68]),
        ("TCP in GUE", gue(segment.clone()), vec![60, 72, 98]),
        ("UDP in GUE", gue(datagram.clone()), vec![60, 108]),
        ("ICMP, and the quoted header", icmp_answer(&segment, 3, 1, 0), vec![24, 36, 52]),
        ("ICMPv6", icmp_answer(&datagram, 1, 4, 0), vec![56]),
    ];
    let mut frames = Vec::new();
    for (name, packet, offsets) in rows {
        frames.push((name, None, packet.bytes()));
        for at in offsets {
            let mut frame = packet.bytes();
            frame[at] ^= 0x10;
            frames.push((name, Some(at), frame));
        }
    }
    let bytes: Vec<_> = frames.iter().map(|(_, _, frame)| frame.clone()).collect();
    for ((name, spoilt, _), verdict) in frames.iter().zip(wrong_checksums(&bytes).unwrap()) {
        assert_eq!(spoilt.is_some(), verdict.is_some(), "{name}, {spoilt:?}: {verdict:?}");
    }
}
