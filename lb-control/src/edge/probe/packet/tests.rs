use super::*;
use crate::testing::Fuzz;

const HOP: NextHop = NextHop {
    dst_mac: [2, 0, 0, 0, 0, 0x12],
    src_mac: [2, 0, 0, 0, 0, 0xed],
    ifindex: 3,
    mtu: 1500,
};
const SEQ: u32 = 0x0102_0304;

fn site() -> Site {
    Site {
        flow_key: [1, 2],
        answers: 0,
        tunnel_v4: ("198.18.0.0".parse().unwrap(), 0x1_ffff),
        tunnel_v6: "100::".parse().unwrap(),
    }
}

fn way(mode: Mode, via: &str, from: &str, to: &str) -> Way {
    Way {
        hop: HOP,
        mode,
        via: via.parse().unwrap(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
    }
}

fn v4(mode: Mode, via: &str) -> Way {
    way(mode, via, "10.0.0.1:40000", "203.0.113.10:80")
}

fn v6(mode: Mode, via: &str) -> Way {
    way(mode, via, "[fd00::1]:40000", "[2001:db8::10]:80")
}

/// A frame in hexadecimal; spaces are for people.
#[track_caller]
fn is(frame: Result<Vec<u8>, String>, expected: &str) {
    let text: String = frame.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, expected.replace(' ', ""));
}

// What is expected below was computed apart, from the RFCs and from what
// `lb-ebpf/src/write` says of tunnels, with a flow key of 1 and 2.

#[test]
fn a_clients_syn_at_the_backends_ethernet_address() {
    is(
        v4(Mode::L2, "10.0.0.12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 0800 \
         4500002c 00004000 4006f4c0 0a000001 cb00710a \
         9c400050 01020304 00000000 6002ffff b5200000 \
         02040218",
    );
    is(
        v6(Mode::L2, "fd00::12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 86dd \
         60000000 00180640 fd000000 00000000 00000000 \
         00000001 20010db8 00000000 00000000 00000010 \
         9c400050 01020304 00000000 6002ffff cdb50000 \
         020404c4",
    );
}

#[test]
fn what_was_asked_for_is_taken_back_by_the_same_way() {
    is(
        v4(Mode::L2, "10.0.0.12").frame(&site(), Flag::Reset, SEQ),
        "020000000012 0200000000ed 0800 \
         45000028 00004000 4006f4c4 0a000001 cb00710a \
         9c400050 01020305 00000000 50040000 c93d0000",
    );
    is(
        v4(Mode::Ipip, "10.0.0.12").frame(&site(), Flag::Reset, SEQ),
        "020000000012 0200000000ed 0800 \
         4500003c 00004000 4004e4aa c61385f4 0a00000c \
         45000028 00004000 4006f4c4 0a000001 cb00710a \
         9c400050 01020305 00000000 50040000 c93d0000",
    );
    is(
        v4(Mode::Gue, "fd00::12").frame(&site(), Flag::Reset, SEQ),
        "020000000012 0200000000ed 86dd \
         600b85f4 00301140 01000000 00000000 00000000 \
         88fb85f4 fd000000 00000000 00000000 00000012 \
         c8fb17c0 003057f6 45000028 00004000 4006f4c4 \
         0a000001 cb00710a 9c400050 01020305 00000000 \
         50040000 c93d0000",
    );
}

#[test]
fn a_syn_in_an_ip_packet() {
    is(
        v4(Mode::Ipip, "10.0.0.12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 0800 \
         45000040 00004000 4004e4a6 c61385f4 0a00000c \
         4500002c 00004000 4006f4c0 0a000001 cb00710a \
         9c400050 01020304 00000000 6002ffff b5200000 \
         02040218",
    );
    is(
        v4(Mode::Ipip, "fd00::12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 86dd \
         600b85f4 002c0440 01000000 00000000 00000000 \
         88fb85f4 fd000000 00000000 00000000 00000012 \
         4500002c 00004000 4006f4c0 0a000001 cb00710a \
         9c400050 01020304 00000000 6002ffff b5200000 \
         02040218",
    );
    is(
        v6(Mode::Ipip, "10.0.0.12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 0800 \
         45000054 00004000 4029b1a4 c613b8bd 0a00000c \
         60000000 00180640 fd000000 00000000 00000000 \
         00000001 20010db8 00000000 00000000 00000010 \
         9c400050 01020304 00000000 6002ffff cdb50000 \
         020404c4",
    );
}

#[test]
fn a_syn_in_gue() {
    is(
        v4(Mode::Gue, "10.0.0.12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 0800 \
         45000048 00004000 4011e491 c61385f4 0a00000c \
         c8fb17c0 00340000 4500002c 00004000 4006f4c0 \
         0a000001 cb00710a 9c400050 01020304 00000000 \
         6002ffff b5200000 02040218",
    );
    is(
        v6(Mode::Gue, "fd00::12").frame(&site(), Flag::Syn, SEQ),
        "020000000012 0200000000ed 86dd \
         600fb8bd 00481140 01000000 00000000 00000000 \
         f2bfb8bd fd000000 00000000 00000000 00000012 \
         f2bf17c0 0048e513 60000000 00180640 fd000000 \
         00000000 00000000 00000001 20010db8 00000000 \
         00000000 00000010 9c400050 01020304 00000000 \
         6002ffff cdb50000 020404c4",
    );
}

#[test]
fn ends_of_different_families_are_refused() {
    let way = way(Mode::L2, "10.0.0.12", "[fd00::1]:40000", "203.0.113.10:80");
    let error = way.frame(&site(), Flag::Syn, SEQ).unwrap_err();
    assert!(error.contains("different families"), "{error}");
}

/// A server's answer to [`v4`] or [`v6`], with what a kernel puts into it.
fn answer(way: Way, kind: impl Fn(Tcp) -> Tcp) -> Vec<u8> {
    let (from, to) = (way.to, way.from);
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 63),
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 63),
        _ => unreachable!(),
    };
    let mut packet = Vec::new();
    kind(ip.tcp(from.port(), to.port(), 7, 100)).write(&mut packet, &[]).unwrap();
    packet
}

type Tcp = etherparse::PacketBuilderStep<etherparse::TcpHeader>;

#[test]
fn an_answer_accepts_or_refuses() {
    for way in [v4(Mode::L2, "10.0.0.12"), v6(Mode::L2, "fd00::12")] {
        let expected = |accepted| Answer { from: way.to, to: way.from, acknowledged: 9, accepted };
        let mut padded = answer(way, |tcp| tcp.syn().ack(9));
        padded.extend([0; 6]);
        assert_eq!(Answer::read(&padded), Some(expected(true)), "an Ethernet frame's padding");
        assert_eq!(Answer::read(&answer(way, |tcp| tcp.rst().ack(9))), Some(expected(false)));
        for kind in [
            (|tcp| tcp.syn()) as fn(Tcp) -> Tcp,
            |tcp| tcp.ack(9),
            |tcp| tcp.rst(),
            |tcp| tcp.syn().rst().ack(9),
            |tcp| tcp.fin().ack(9),
        ] {
            assert_eq!(Answer::read(&answer(way, kind)), None);
        }
        let whole = answer(way, |tcp| tcp.syn().ack(9));
        for len in 0..whole.len() {
            assert_eq!(Answer::read(&whole[..len]), None, "cut after {len} bytes");
        }
    }
}

#[test]
fn fuzzed_probe_answer() {
    Fuzz::new("probe-answer")
        .with(answer(v4(Mode::L2, "10.0.0.12"), |tcp| tcp.syn().ack(9)))
        .with(answer(v6(Mode::L2, "fd00::12"), |tcp| tcp.rst().ack(9)))
        .run(|bytes| {
            let Some(answer) = Answer::read(bytes) else { return };
            assert_eq!(answer.from.is_ipv4(), bytes[0] >> 4 == 4);
        });
}
