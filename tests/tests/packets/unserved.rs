//! Connections that have no server to go to.

use lab::packet::{Program, Service, World, answer, case, check, nobody, server, server6, tcp};
use lb_common::abi::Reason::{
    BackendBroken, ForwardEstablished, ForwardNew, NoBackend, ResetOfReset, Unreachable,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

#[test]
fn without_a_server_every_segment_is_reset() {
    let never_bound = World::new().service(Service::l2(VIP)).service(Service::nat(VIP6));
    let emptied = World::new()
        .service(Service::l2(VIP).slot(&nobody(), &nobody()))
        .service(Service::nat(VIP6).slot(&nobody(), &nobody()));
    let rows = |name: &str, world: &World| {
        [
            case(format!("{name}: SYN"), world, &tcp(CLIENT, VIP).syn().seq(7))
                .transmits(NoBackend, &answer(VIP, CLIENT).ack(8)),
            case(format!("{name}: ACK"), world, &tcp(CLIENT, VIP).seq(7).ack(3))
                .transmits(NoBackend, &answer(VIP, CLIENT).seq(3)),
            case(format!("{name}: RST"), world, &tcp(CLIENT, VIP).rst()).drops(ResetOfReset),
            case(format!("{name}: SYN over IPv6"), world, &tcp(CLIENT6, VIP6).syn().seq(7))
                .transmits(NoBackend, &answer(VIP6, CLIENT6).ack(8)),
        ]
    };
    check([rows("never bound", &never_bound), rows("emptied", &emptied)].concat());
}

#[test]
fn a_drained_server_keeps_its_connections() {
    let leaving = server(1).draining();
    let world = World::new().service(Service::l2(VIP).slot(&nobody(), &leaving));
    let ack = tcp(CLIENT, VIP).ack(3);
    check([
        case("its connection", &world, &ack)
            .transmits(ForwardEstablished, &ack.clone().sent_to(&leaving)),
        case("a new one", &world, &tcp(CLIENT, VIP).syn().seq(7))
            .transmits(NoBackend, &answer(VIP, CLIENT).ack(8)),
    ]);
}

#[test]
fn a_broken_server_resets_its_connections_and_only_those() {
    let gone = server(1).broken();
    let world = World::new().service(Service::l2(VIP).slot(&server(2), &gone));
    let syn = tcp(CLIENT, VIP).syn();
    check([
        case("its connection", &world, &tcp(CLIENT, VIP).ack(3))
            .transmits(BackendBroken, &answer(VIP, CLIENT).seq(3)),
        case("a new one", &world, &syn).transmits(ForwardNew, &syn.clone().sent_to(&server(2))),
    ]);
}

#[test]
fn a_server_without_an_ethernet_address_gets_nothing() {
    let lost = server(1).unreachable();
    let lost6 = server6(2).unreachable();
    let world = World::new()
        .service(Service::l2(VIP).slot(&lost, &lost))
        .service(Service::nat(VIP6).slot(&lost6, &lost6));
    check([
        case("SYN", &world, &tcp(CLIENT, VIP).syn()).drops(Unreachable),
        case("ACK", &world, &tcp(CLIENT, VIP).ack(3)).drops(Unreachable),
        case("nat over IPv6", &world, &tcp(CLIENT6, VIP6).ack(3)).drops(Unreachable),
    ]);
}

#[test]
fn the_service_counts_them() {
    let mut program = Program::load().unwrap();
    let gone = server(1).broken();
    program.commit(
        &World::new().service(Service::l2(VIP).slot(&nobody(), &gone)).service(Service::l2(VIP6)),
    );
    program.send(&tcp(CLIENT, VIP).syn().bytes());
    program.send(&tcp(CLIENT, VIP).ack(3).bytes());
    program.send(&tcp(CLIENT, VIP).ack(4).bytes());
    program.send(&tcp(CLIENT6, VIP6).syn().bytes());
    let first = program.service_counters(0);
    assert_eq!((first.no_backend, first.broken, first.new_connections), (1, 2, 0));
    assert_eq!(program.service_counters(1).no_backend, 1);
}
