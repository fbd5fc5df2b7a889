//! A service that is moving: new connections go to the slot's current server,
//! and nothing that is established moves.

mod room;
mod syns;

use lab::packet::{
    Case, Packet, Program, Refusal, Remembered, Server, Service, World, answer, case, nobody, play,
    server, server6, tcp,
};
use lb_common::abi::Reason::{
    BackendBroken, ForwardEstablished, ForwardNew, NoBackend, RefusedReset,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// One slot, from `settled` to `current`.
fn change(current: Server, settled: Server) -> World {
    World::new().service(Service::l2(VIP).slot(&current, &settled))
}

/// The same, while a third server has connections too.
fn change_with(current: Server, settled: Server, third: Server) -> World {
    World::new().service(Service::l2(VIP).slot(&current, &settled).keeps(&third))
}

/// Two changes in a row: from the first server to the second, and on to the third.
fn changes() -> (World, World) {
    (change(server(2), server(1)), change_with(server(3), server(1), server(2)))
}

/// A connection at a server, of which more was seen than its SYN.
fn open(backend: u16) -> Option<Remembered> {
    Some(Remembered { backend, closing: false, promoted: true })
}

fn flow() -> Packet {
    tcp(CLIENT, VIP)
}

/// A row whose packet begins a connection at a server.
fn begins(name: &str, world: &World, packet: Packet, at: u8) -> Case {
    let out = packet.clone().sent_to(&server(at));
    case(name, world, &packet).transmits(ForwardNew, &out)
}

/// A row whose packet belongs to a connection of a server.
fn belongs(name: &str, world: &World, packet: Packet, to: u8) -> Case {
    let out = packet.clone().sent_to(&server(to));
    case(name, world, &packet).transmits(ForwardEstablished, &out)
}

fn remembered(program: &Program) -> Option<Remembered> {
    program.remembered(CLIENT, VIP)
}

fn load() -> Program {
    Program::load().expect("the program loads")
}

#[test]
fn at_rest_nothing_is_remembered() {
    let mut program = load();
    let rest = change(server(1), server(1));
    play(
        &mut program,
        [
            begins("SYN", &rest, flow().syn(), 1),
            belongs("ACK", &rest, flow().ack(1), 1),
            belongs("FIN", &rest, flow().fin().ack(1), 1),
        ],
    );
    assert_eq!(program.remembered_flows(), 0);
    assert_eq!(program.service_counters(0).remembered, 0);
}

#[test]
fn new_connections_are_remembered_and_old_ones_stay() {
    let mut program = load();
    let added = change(server(2), server(1));
    play(&mut program, [begins("SYN", &added, flow().syn(), 2)]);
    let by_syn = Remembered { backend: 2, closing: false, promoted: false };
    assert_eq!(remembered(&program), Some(by_syn));
    play(&mut program, [belongs("ACK of the handshake", &added, flow().ack(1), 2)]);
    assert_eq!(remembered(&program), open(2));
    play(
        &mut program,
        [
            belongs("data", &added, flow().ack(1).payload(b"GET /"), 2),
            belongs("an older connection", &added, tcp("198.51.100.7:39999", VIP).ack(1), 1),
        ],
    );
    assert_eq!(program.remembered_flows(), 1, "the older one is not remembered");
    assert_eq!(program.backend_counters(1).untracked, 1);
    assert_eq!(program.backend_counters(2).untracked, 0);
    assert_eq!(program.service_counters(0).remembered, 1);
}

#[test]
fn several_changes_in_a_row_stay_exact() {
    let mut program = load();
    let (first, second) = changes();
    let older = || tcp("198.51.100.7:39999", VIP);
    let newer = || tcp("198.51.100.7:40001", VIP);
    play(
        &mut program,
        [
            begins("SYN after the first change", &first, flow().syn(), 2),
            belongs("its ACK", &first, flow().ack(1), 2),
            belongs("its data after the second change", &second, flow().ack(2), 2),
            belongs("a connection older than both", &second, older().ack(1), 1),
            begins("SYN after the second change", &second, newer().syn(), 3),
            belongs("its ACK", &second, newer().ack(1), 3),
            belongs("data of the first", &second, flow().ack(3), 2),
        ],
    );
    // Back to where it began: the service keeps moving while flows are remembered.
    let ring = Service::l2(VIP).slot(&server(1), &server(1)).moving();
    let back = World::new().service(ring.keeps(&server(2)).keeps(&server(3)));
    play(
        &mut program,
        [
            belongs("the first, with the slot as it was", &back, flow().ack(4), 2),
            belongs("the second", &back, newer().ack(2), 3),
            belongs("the oldest", &back, older().ack(2), 1),
            begins("a new one", &back, tcp("198.51.100.7:40002", VIP).syn(), 1),
        ],
    );
    assert_eq!(program.remembered_flows(), 2, "where current is settled nothing is added");
}

#[test]
fn a_slot_that_was_not_touched_is_as_at_rest() {
    let mut program = load();
    let moved = change(server(2), server(1));
    // The same flow's slot, after something else has moved.
    let elsewhere = Service::l2(VIP).slot(&server(3), &server(3)).moving_elsewhere();
    let elsewhere = World::new().service(elsewhere.keeps(&server(1)).keeps(&server(2)));
    play(
        &mut program,
        [
            begins("SYN", &moved, flow().syn(), 2),
            belongs("ACK", &moved, flow().ack(1), 2),
            belongs("no table is asked for its data", &elsewhere, flow().ack(2), 3),
            begins("nor for a SYN", &elsewhere, flow().syn(), 3),
            belongs("nor for its end", &elsewhere, flow().rst(), 3),
        ],
    );
    assert_eq!(remembered(&program), open(2), "nothing was written either");
    assert_eq!(program.remembered_flows(), 1);
    assert_eq!(program.backend_counters(3).untracked, 0);
    assert_eq!(program.service_counters(0).remembered, 1);
    // A slot that moved once and came back is asked for, for as long as it is touched.
    let back = Service::l2(VIP).slot(&server(3), &server(3)).moving();
    let back = World::new().service(back.keeps(&server(2)));
    play(&mut program, [belongs("touched", &back, flow().ack(3), 2)]);
}

#[test]
fn slots_are_touched_one_by_one() {
    let mut program = load();
    let ring = Service::l2(VIP).slot(&server(2), &server(2)).slot(&server(3), &server(1));
    let world = World::new().service(ring);
    program.commit(&world);
    for port in 1..=200u16 {
        program.run(&tcp(&format!("198.51.100.7:{port}"), VIP).syn().bytes());
    }
    let [rest, moving] = [2, 3].map(|id| program.backend_counters(id).new_connections);
    assert!(rest > 60 && moving > 60 && rest + moving == 200, "{rest} and {moving}");
    assert_eq!(program.remembered_flows() as u64, moving);
}

#[test]
fn a_drained_slot_takes_nothing_new() {
    let mut program = load();
    let drained = change(nobody(), server(1).draining());
    play(
        &mut program,
        [
            belongs("its connection", &drained, flow().ack(1), 1),
            case("a new one", &drained, &flow().syn().seq(7))
                .transmits(NoBackend, &answer(VIP, CLIENT).ack(8)),
        ],
    );
    assert_eq!(program.remembered_flows(), 0);
}

#[test]
fn a_remembered_connection_is_broken_with_its_server() {
    let mut program = load();
    let added = change(server(2), server(1));
    let broken = change_with(server(3), server(1), server(2).broken());
    play(
        &mut program,
        [
            begins("SYN", &added, flow().syn(), 2),
            belongs("ACK", &added, flow().ack(1), 2),
            case("data after its server was broken", &broken, &flow().ack(5))
                .transmits(BackendBroken, &answer(VIP, CLIENT).seq(5)),
            belongs("an older connection", &broken, tcp("198.51.100.7:39999", VIP).ack(1), 1),
            begins("the client tries again", &broken, flow().syn(), 3),
            belongs("its ACK", &broken, flow().ack(1), 3),
        ],
    );
}

#[test]
fn a_refused_connection_is_not_remembered_and_a_remembered_one_not_refused() {
    let mut program = load();
    let open = change(server(2), server(1));
    let closed = World::new()
        .service(Service::l2(VIP).slot(&server(2), &server(1)).refuses(Refusal::reset(1.0)));
    let other = tcp("198.51.100.7:40001", VIP).syn();
    play(
        &mut program,
        [
            begins("SYN", &open, flow().syn(), 2),
            belongs("again, after the policy changed", &closed, flow().syn(), 2),
            case("another", &closed, &other)
                .transmits(RefusedReset, &answer(VIP, "198.51.100.7:40001").ack(1)),
        ],
    );
    assert_eq!(program.remembered_flows(), 1);
}

#[test]
fn services_and_families_do_not_share_flows() {
    let mut program = load();
    let world = World::new()
        .service(Service::l2(VIP).slot(&server(2), &server(1)))
        .service(Service::l2("203.0.113.10:443").slot(&server(4), &server(3)))
        .service(Service::l2(VIP6).slot(&server6(6), &server6(5)));
    let tls = tcp(CLIENT, "203.0.113.10:443");
    let v6 = tcp(CLIENT6, VIP6);
    let to6 = |packet: &Packet, id| packet.clone().sent_to(&server6(id));
    let syn6 = v6.clone().syn();
    let ack6 = v6.clone().ack(1);
    let old6 = tcp("[2001:db8:c::7]:1", VIP6).ack(1);
    play(
        &mut program,
        [
            begins("SYN", &world, flow().syn(), 2),
            belongs("the same ports, another service", &world, tls.clone().ack(1), 3),
            begins("its SYN", &world, tls.clone().syn(), 4),
            belongs("ACK", &world, flow().ack(1), 2),
            case("SYN over IPv6", &world, &syn6).transmits(ForwardNew, &to6(&syn6, 6)),
            case("ACK over IPv6", &world, &ack6).transmits(ForwardEstablished, &to6(&ack6, 6)),
            case("older over IPv6", &world, &old6).transmits(ForwardEstablished, &to6(&old6, 5)),
        ],
    );
}
