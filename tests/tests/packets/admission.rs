//! Which new connections are let in: classes, shares, and the same answer to
//! the same question.

use lab::packet::{
    Action, Program, Refusal, Service, World, answer, case, check, server, server6, tcp,
};
use lb_common::abi::{
    DEFAULT_CLASS,
    Reason::{ForwardEstablished, ForwardNew, RefusedReset, RefusedSilent},
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// One service that refuses as told.
fn refusing(refusal: Refusal) -> World {
    World::new().service(Service::l2(VIP).slot(&server(1), &server(1)).refuses(refusal))
}

/// Whether the SYN of a client's flow is let in.
fn admitted(program: &Program, host: u8, port: u16) -> bool {
    let syn = tcp(&format!("198.51.100.{host}:{port}"), VIP).syn();
    let (action, out) = program.run(&syn.bytes());
    assert_eq!(action, Action::Transmit);
    // Forwarded to the server, or answered to the router.
    out[..6] == server(1).mac()
}

#[test]
fn none_and_all() {
    let syn = tcp(CLIENT, VIP).syn().seq(7);
    let forwarded = syn.clone().sent_to(&server(1));
    let rst = answer(VIP, CLIENT).ack(8);
    check([
        case("no share", &refusing(Refusal::reset(0.0)), &syn).transmits(ForwardNew, &forwarded),
        case("all, by RST", &refusing(Refusal::reset(1.0)), &syn).transmits(RefusedReset, &rst),
        case("all, silently", &refusing(Refusal::reset(1.0).silent()), &syn).drops(RefusedSilent),
        case("all, by client", &refusing(Refusal::reset(1.0).by_client()), &syn)
            .transmits(RefusedReset, &rst),
    ]);
}

#[test]
fn established_connections_are_not_asked() {
    let world = refusing(Refusal::reset(1.0));
    let flow = || tcp(CLIENT, VIP);
    let rows = [
        ("ACK", flow().ack(1)),
        ("FIN", flow().fin().ack(1)),
        ("RST", flow().rst()),
        ("SYN and ACK", flow().syn().ack(1)),
    ];
    check(rows.iter().map(|(name, packet)| {
        case(*name, &world, packet)
            .transmits(ForwardEstablished, &packet.clone().sent_to(&server(1)))
    }));
}

#[test]
fn half_is_half_and_every_syn_gets_its_answer_again() {
    let mut program = Program::load().unwrap();
    program.commit(&refusing(Refusal::reset(0.5)));
    let ask = |program: &Program| -> Vec<bool> {
        (0..4000).map(|n| admitted(program, (n % 50) as u8, 1024 + n)).collect()
    };
    let first = ask(&program);
    let share = first.iter().filter(|&&admitted| admitted).count();
    // Standard deviation: 32.
    assert!((1850..2150).contains(&share), "{share} of 4000 were let in");
    assert_eq!(first, ask(&program), "retransmitted SYNs");

    // An unrelated commit changes no answer; another epoch does.
    let other = Service::l2(VIP6).slot(&server6(2), &server6(2));
    program.commit(&refusing(Refusal::reset(0.5)).service(other));
    assert_eq!(first, ask(&program));
    program.commit(&refusing(Refusal::reset(0.5)).epoch(1));
    let later = ask(&program);
    let same = first.iter().zip(&later).filter(|(a, b)| a == b).count();
    assert!((1850..2150).contains(&same), "{same} of 4000 answers are the same");

    // A larger share refuses those and more.
    program.commit(&refusing(Refusal::reset(0.7)));
    let fewer = ask(&program);
    assert!(first.iter().zip(&fewer).all(|(half, fewer)| *half || !fewer));

    let counters = program.class_counters(DEFAULT_CLASS);
    assert_eq!(counters.admitted + counters.refused, 5 * 4000);
    assert_eq!(program.service_counters(0).refused_reset, counters.refused);
    assert_eq!(program.service_counters(0).new_connections, counters.admitted);
}

#[test]
fn by_client_all_connections_get_one_answer() {
    let mut program = Program::load().unwrap();
    program.commit(&refusing(Refusal::reset(0.5).by_client()));
    let whole: Vec<bool> = (0..200)
        .map(|host| {
            let first = admitted(&program, host, 1024);
            assert!((1025..1045).all(|port| admitted(&program, host, port) == first));
            first
        })
        .collect();
    let share = whole.iter().filter(|&&admitted| admitted).count();
    assert!((70..130).contains(&share), "{share} of 200 clients were let in");
}

#[test]
fn classes_by_source_and_dscp() {
    let gold = [["198.51.100.0", "198.51.100.255"], ["2001:db8:c::", "2001:db8:c::ffff"]];
    let world = World::new()
        // The first class that fits counts.
        .class(&gold, &[46])
        .class(&[["198.51.100.128", "198.51.103.255"]], &[])
        .class(&[], &[10, 12])
        .service(
            Service::l2(VIP).slot(&server(1), &server(1)).refuses_class(0, Refusal::reset(1.0)),
        )
        .service(
            Service::l2("203.0.113.11:80")
                .slot(&server(1), &server(1))
                .refuses_class(1, Refusal::reset(1.0)),
        )
        .service(
            Service::l2("203.0.113.12:80")
                .slot(&server(1), &server(1))
                .refuses_class(2, Refusal::reset(1.0)),
        )
        .service(
            Service::l2("203.0.113.13:80")
                .slot(&server(1), &server(1))
                .refuses(Refusal::reset(1.0)),
        );
    let classes = [VIP, "203.0.113.11:80", "203.0.113.12:80", "203.0.113.13:80"];
    let rows = [
        ("first class, by source and DSCP", "198.51.100.7:1", 46, 0),
        ("its first address", "198.51.100.0:1", 46, 0),
        ("its last address, also of the second class", "198.51.100.255:1", 46, 0),
        ("its source, another DSCP", "198.51.100.7:1", 0, 3),
        ("its source and the third class's DSCP", "198.51.100.7:1", 10, 2),
        ("second class, any DSCP", "198.51.100.128:1", 10, 1),
        ("its last address", "198.51.103.255:1", 0, 1),
        ("beyond it", "198.51.104.0:1", 0, 3),
        ("below the first class", "198.51.99.255:1", 46, 3),
        ("third class, any source", "192.0.2.1:1", 12, 2),
        ("none", "192.0.2.1:1", 11, 3),
        ("the lowest address", "0.0.0.0:1", 0, 3),
        ("the highest address", "255.255.255.255:1", 10, 2),
    ];
    // The service that refuses the row's class refuses it; no other does.
    check(rows.iter().flat_map(|&(name, client, dscp, class)| {
        classes.iter().enumerate().map({
            let world = &world;
            move |(index, vip)| {
                let syn = tcp(client, vip).syn().dscp(dscp);
                let row = case(format!("{name}, asked of class {index}"), world, &syn);
                if index == class {
                    row.transmits(RefusedReset, &answer(vip, client).ack(1))
                } else {
                    row.transmits(ForwardNew, &syn.clone().sent_to(&server(1)))
                }
            }
        })
    }));
}

#[test]
fn classes_over_ipv6() {
    let world = World::new()
        .class(&[["2001:db8:c::", "2001:db8:c:ffff:ffff:ffff:ffff:ffff"]], &[46])
        .service(
            Service::l2(VIP6).slot(&server6(2), &server6(2)).refuses_class(0, Refusal::reset(1.0)),
        );
    let other = "[2001:db8:d::7]:40000";
    let let_in = |client: &str, dscp| {
        let syn = tcp(client, VIP6).syn().dscp(dscp);
        case(format!("{client}, DSCP {dscp}"), &world, &syn)
            .transmits(ForwardNew, &syn.clone().sent_to(&server6(2)))
    };
    check([
        case("source and DSCP", &world, &tcp(CLIENT6, VIP6).syn().dscp(46))
            .transmits(RefusedReset, &answer(VIP6, CLIENT6).ack(1)),
        let_in(CLIENT6, 45),
        let_in(other, 46),
    ]);
}

#[test]
fn a_full_list_of_ranges_is_searched_to_both_ends() {
    // 16,383 single addresses, every other one: 32,767 ranges.
    let addresses: Vec<String> = (0..16_383u32)
        .map(|n| format!("198.{}.{}.{}", 18 + (n >> 15), n >> 7 & 255, n << 1 & 255))
        .collect();
    let sources: Vec<[&str; 2]> = addresses.iter().map(|a| [a.as_str(), a.as_str()]).collect();
    let world = World::new().class(&sources, &[]).service(
        Service::l2(VIP).slot(&server(1), &server(1)).refuses_class(0, Refusal::reset(1.0)),
    );
    let mut program = Program::load().unwrap();
    program.commit(&world);
    for n in (0..16_383).step_by(97).chain([0, 1, 16_381, 16_382]) {
        let inside = tcp(&format!("{}:1", addresses[n]), VIP).syn().bytes();
        assert_eq!(program.send(&inside).reasons, [RefusedReset], "{}", addresses[n]);
        let last = addresses[n].rfind('.').unwrap();
        let (net, host) = addresses[n].split_at(last + 1);
        let beside = format!("{net}{}:1", host.parse::<u8>().unwrap() + 1);
        let outside = tcp(&beside, VIP).syn().bytes();
        assert_eq!(program.send(&outside).reasons, [ForwardNew], "{beside}");
    }
}
