//! A service that is moving: new connections go to the slot's current server,
//! and nothing that is established moves.

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
    let open = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(remembered(&program), Some(open));
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
    let first = change(server(2), server(1));
    let second = change_with(server(3), server(1), server(2));
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
fn a_retransmitted_syn_follows_the_first() {
    let mut program = load();
    let first = change(server(2), server(1));
    let second = change_with(server(3), server(1), server(2));
    play(
        &mut program,
        [
            begins("SYN", &first, flow().syn(), 2),
            belongs("again", &first, flow().syn(), 2),
            belongs("again, after another change", &second, flow().syn(), 2),
            belongs("ACK", &second, flow().ack(1), 2),
        ],
    );
    assert_eq!(program.service_counters(0).new_connections, 1, "counted once");
}

#[test]
fn a_spoofed_syn_moves_no_live_connection() {
    let mut program = load();
    let first = change(server(2), server(1));
    let second = change_with(server(3), server(1), server(2));
    play(
        &mut program,
        [
            begins("SYN", &first, flow().syn(), 2),
            belongs("ACK", &first, flow().ack(1), 2),
            belongs("a stranger's SYN", &second, flow().syn().seq(0xbad), 2),
            belongs("data", &second, flow().ack(2), 2),
        ],
    );
    let open = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(remembered(&program), Some(open));
}

#[test]
fn a_spoofed_syn_takes_no_connection_that_nobody_remembers() {
    let mut program = load();
    let first = change(server(2), server(1));
    let live = |seq: u32| flow().seq(seq).ack(1);
    play(
        &mut program,
        [
            belongs("a connection older than the change", &first, live(1_000_000), 1),
            begins("a stranger's SYN", &first, flow().syn().seq(5), 2),
            belongs("the connection goes on", &first, live(1_000_001), 1),
            belongs("and on", &first, live(1_000_900), 1),
            belongs("another stranger's SYN", &first, flow().syn().seq(u32::MAX), 2),
            belongs("the connection goes on", &first, live(1_000_901), 1),
            belongs("its end", &first, flow().seq(1_000_902).fin().ack(1), 1),
        ],
    );
    let begun = Remembered { backend: 2, closing: false, promoted: false };
    assert_eq!(remembered(&program), Some(begun));
}

#[test]
fn an_rst_about_an_older_connection_goes_where_the_syn_went() {
    let mut program = load();
    let first = change(server(2), server(1));
    play(
        &mut program,
        [
            begins("SYN", &first, flow().syn().seq(7), 2),
            belongs("RST of what the server still held", &first, flow().rst().seq(1_000_000), 2),
            belongs("SYN again", &first, flow().syn().seq(7), 2),
            belongs("ACK", &first, flow().seq(8).ack(1), 2),
        ],
    );
    let open = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(remembered(&program), Some(open));
}

#[test]
fn what_follows_a_syn_is_near_it() {
    let first = change(server(2), server(1));
    for (name, begun, seq, owner) in [
        ("the ACK", 7, 8, 2),
        ("the last segment of a large initial window", 7, 7 + 262_144, 2),
        ("one beyond it", 7, 8 + 262_144, 1),
        ("one before the SYN", 7, 6, 1),
        ("the ACK, where numbers wrap", u32::MAX, 0, 2),
        ("data, where numbers wrap", u32::MAX - 9, 1_000, 2),
    ] {
        play(
            &mut load(),
            [
                begins("SYN", &first, flow().syn().seq(begun), 2),
                belongs(name, &first, flow().seq(seq).ack(1), owner),
            ],
        );
    }
}

#[test]
fn a_syn_after_fin_or_rst_begins_anew() {
    for (name, end) in [("FIN", flow().fin().ack(2)), ("RST", flow().rst())] {
        let mut program = load();
        let first = change(server(2), server(1));
        let second = change_with(server(3), server(1), server(2));
        play(
            &mut program,
            [
                begins("SYN", &first, flow().syn(), 2),
                belongs("ACK", &first, flow().ack(1), 2),
                belongs(name, &first, end.clone(), 2),
                belongs("the last ACK goes where the connection was", &second, flow().ack(3), 2),
            ],
        );
        assert!(remembered(&program).unwrap().closing);
        play(
            &mut program,
            [
                begins("the port is used again", &second, flow().syn().seq(99), 3),
                belongs("its ACK", &second, flow().seq(100).ack(1), 3),
            ],
        );
        let open = Remembered { backend: 3, closing: false, promoted: true };
        assert_eq!(remembered(&program), Some(open), "after {name}");
    }
}

#[test]
fn an_rst_right_after_the_syn_ends_it() {
    let mut program = load();
    let first = change(server(2), server(1));
    let second = change_with(server(3), server(1), server(2));
    play(
        &mut program,
        [
            begins("SYN", &first, flow().syn(), 2),
            belongs("RST", &first, flow().rst().seq(1), 2),
            begins("SYN", &second, flow().syn(), 3),
        ],
    );
}

#[test]
fn reuse_of_a_port_on_a_settled_slot_is_forgotten() {
    let mut program = load();
    let moving = change(server(2), server(1));
    let ring = Service::l2(VIP).slot(&server(3), &server(3)).moving();
    let settled = World::new().service(ring.keeps(&server(2)));
    play(
        &mut program,
        [
            begins("SYN", &moving, flow().syn(), 2),
            belongs("FIN", &moving, flow().fin().ack(1), 2),
            begins("SYN again, nothing at risk", &settled, flow().syn(), 3),
            belongs("its data", &settled, flow().ack(1), 3),
        ],
    );
    assert_eq!(program.remembered_flows(), 0, "the old entry would misdirect it");
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
    let open = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(remembered(&program), Some(open), "nothing was written either");
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
fn what_is_not_a_syn_fills_nothing() {
    let mut program = load();
    program.commit(&change(server(2), server(1)));
    for port in 1..2000u16 {
        for packet in [
            tcp(&format!("198.51.100.7:{port}"), VIP).ack(1),
            tcp(&format!("198.51.100.7:{port}"), VIP).rst(),
            tcp(&format!("198.51.100.7:{port}"), VIP).syn().ack(1),
        ] {
            program.run(&packet.bytes());
        }
    }
    assert_eq!(program.remembered_flows(), 0);
    assert_eq!(program.backend_counters(1).untracked, 3 * 1999);
}

#[test]
fn without_room_a_connection_goes_where_it_need_not_be_remembered() {
    let mut program = load();
    let full = change(server(2), server(1)).flows_full();
    let leaving = change(server(2), server(1).draining()).flows_full();
    let weightless = change(server(2), server(1).weightless()).flows_full();
    play(
        &mut program,
        [begins("SYN", &full, flow().syn(), 1), belongs("its ACK", &full, flow().ack(1), 1)],
    );
    assert_eq!(program.remembered_flows(), 0);
    assert_eq!(program.service_counters(0).not_remembered, 1);
    // A server that is drained takes none, full or not.
    play(
        &mut program,
        [
            begins("SYN while the settled server is drained", &leaving, flow().syn(), 2),
            belongs("its ACK", &leaving, flow().ack(1), 2),
        ],
    );
    assert_eq!(program.remembered_flows(), 1);
    let other = || tcp("198.51.100.7:40001", VIP);
    play(
        &mut program,
        [
            begins("SYN while the settled server has weight 0", &weightless, other().syn(), 2),
            belongs("its ACK", &weightless, other().ack(1), 2),
        ],
    );
    assert_eq!(program.service_counters(0).not_remembered, 1);
}

/// More connections have begun than fit before the control side said so.
#[test]
fn a_flow_without_room_waits_among_the_syns_and_stays_where_it_is() {
    const ROOM: u32 = 64;
    let mut program = Program::load_with_room(1 << 16, ROOM).unwrap();
    let world = change(server(2), server(1));
    program.commit(&world);
    for port in 1..=ROOM {
        let flow = || tcp(&format!("192.0.2.9:{port}"), VIP);
        program.send(&flow().syn().bytes());
        program.send(&flow().ack(1).bytes());
    }
    assert_eq!(program.remembered_flows(), ROOM as usize);
    let moved_on = change_with(server(3), server(1), server(2));
    let waits = |closing| Some(Remembered { backend: 2, closing, promoted: false });
    play(
        &mut program,
        [
            begins("SYN", &world, flow().syn(), 2),
            belongs("its ACK", &world, flow().ack(1), 2),
            belongs("data after another change", &moved_on, flow().ack(1), 2),
            belongs("a SYN of its addresses", &moved_on, flow().syn(), 2),
        ],
    );
    assert_eq!(remembered(&program), waits(false));
    play(&mut program, [belongs("FIN", &moved_on, flow().fin().ack(9), 2)]);
    assert_eq!(remembered(&program), waits(true));
    play(&mut program, [belongs("the last ACK", &moved_on, flow().ack(10), 2)]);
    assert_eq!(remembered(&program), waits(true));
    play(&mut program, [begins("a SYN begins it anew", &moved_on, flow().syn(), 3)]);
    // With room it moves over.
    program.forget();
    play(
        &mut program,
        [
            begins("SYN with room", &world, flow().syn(), 2),
            belongs("ACK with room", &world, flow().ack(1), 2),
        ],
    );
    let open = Some(Remembered { backend: 2, closing: false, promoted: true });
    assert_eq!(remembered(&program), open);
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
