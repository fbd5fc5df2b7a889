//! SYNs that are repeated, forged, or of a port that is used again.

use super::*;

#[test]
fn a_retransmitted_syn_follows_the_first() {
    let mut program = load();
    let (first, second) = changes();
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
    let (first, second) = changes();
    play(
        &mut program,
        [
            begins("SYN", &first, flow().syn(), 2),
            belongs("ACK", &first, flow().ack(1), 2),
            belongs("a stranger's SYN", &second, flow().syn().seq(0xbad), 2),
            belongs("data", &second, flow().ack(2), 2),
        ],
    );
    assert_eq!(remembered(&program), open(2));
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
    assert_eq!(remembered(&program), open(2));
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
        let (first, second) = changes();
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
        assert_eq!(remembered(&program), open(3), "after {name}");
    }
}

#[test]
fn an_rst_right_after_the_syn_ends_it() {
    let mut program = load();
    let (first, second) = changes();
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
