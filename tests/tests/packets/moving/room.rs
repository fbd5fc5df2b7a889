//! What fills the tables of flows, and what becomes of connections without room there.

use super::*;

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
    assert_eq!(remembered(&program), open(2));
}
