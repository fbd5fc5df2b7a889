//! A row for each reason. A new reason does not compile before it has one.

use lab::packet::{
    Case, GATEWAY_MAC, Refusal, Service, UPLINK_MAC, World, answer, case, icmp, icmp_answer, other,
    ping, server, tcp, udp,
};
use lb_common::abi::Reason;

use super::modes::ROUTER;
use crate::{CLIENT, CLIENT6, VIP, VIP6};

pub(super) fn rows() -> Vec<Case> {
    Reason::ALL.iter().map(|&reason| row(reason)).collect()
}

fn row(reason: Reason) -> Case {
    let one = server(1);
    let of = |service: Service| World::new().service(service.slot(&one, &one));
    let (l2, nat) = (of(Service::l2(VIP)), of(Service::nat(VIP)));
    let refusing = |refusal| of(Service::l2(VIP).refuses(refusal));
    let (syn, ack) = (tcp(CLIENT, VIP).syn(), tcp(CLIENT, VIP).ack(1));
    let sent = tcp(VIP, CLIENT).ack(1);
    let reply = tcp("10.0.0.1:8080", CLIENT).ack(1);
    let vip = VIP.parse().expect("an address");
    let name = format!("reason {}", reason.name());
    match reason {
        Reason::ForwardEstablished => {
            case(name, &l2, &ack).transmits(reason, &ack.clone().sent_to(&one))
        }
        Reason::ForwardNew => case(name, &l2, &syn).transmits(reason, &syn.clone().sent_to(&one)),
        Reason::ForwardReply => {
            let out = reply.clone().from(vip).ttl(59).via(GATEWAY_MAC, UPLINK_MAC);
            case(name, &nat, &reply).redirects(reason, &out)
        }
        Reason::RefusedReset => case(name, &refusing(Refusal::reset(1.0)), &syn)
            .transmits(reason, &answer(VIP, CLIENT).ack(1)),
        Reason::RefusedSilent => {
            case(name, &refusing(Refusal::reset(1.0).silent()), &syn).drops(reason)
        }
        Reason::NoBackend => case(name, &World::new().service(Service::l2(VIP)), &syn)
            .transmits(reason, &answer(VIP, CLIENT).ack(1)),
        Reason::BackendBroken => {
            let broken = one.clone().broken();
            let world = World::new().service(Service::l2(VIP).slot(&broken, &broken));
            case(name, &world, &ack).transmits(reason, &answer(VIP, CLIENT).seq(1))
        }
        Reason::ResetOfReset => {
            let world = World::new().service(Service::l2(VIP));
            case(name, &world, &tcp(CLIENT, VIP).rst()).drops(reason)
        }
        Reason::Unreachable => {
            let lost = one.clone().unreachable();
            let world = World::new().service(Service::l2(VIP).slot(&lost, &lost));
            case(name, &world, &ack).drops(reason)
        }
        Reason::MalformedTcp => {
            case(name, &l2, &other(CLIENT, VIP, 6).payload(&[0; 19])).drops(reason)
        }
        Reason::MalformedUdp => {
            case(name, &l2, &other(CLIENT, VIP, 17).payload(&[0; 7])).drops(reason)
        }
        Reason::MalformedIcmp => {
            let cut = icmp(ROUTER, VIP, 3, 1, 0).payload(&sent.ip_bytes()[..27]);
            case(name, &l2, &cut).drops(reason)
        }
        Reason::MalformedIp => {
            case(name, &l2, &ack).mangled(|frame| frame.truncate(50)).passes(reason)
        }
        Reason::Fragment => case(name, &l2, &ack.fragment(0, true)).drops(reason),
        Reason::ExtensionHeaders => {
            let world = World::new().service(Service::l2(VIP6));
            let many = (0..5).fold(tcp(CLIENT6, VIP6), |p, _| p.extension(60, &[0; 8]));
            case(name, &world, &many).drops(reason)
        }
        Reason::TtlExpired => {
            let far = ack.ttl(1);
            case(name, &l2, &far).transmits(reason, &icmp_answer(&far, 11, 0, 0))
        }
        Reason::TooBig => {
            let narrow = one.clone().mtu(100);
            let world = World::new().service(Service::ipip(VIP).slot(&narrow, &narrow));
            let long = ack.payload(&[0; 41]);
            case(name, &world, &long).transmits(reason, &icmp_answer(&long, 3, 4, 80))
        }
        Reason::AnswerLimited => case(name, &l2.answers(0), &ack.ttl(1)).drops(reason),
        Reason::Unanswerable => case(name, &l2, &sent.error_by(ROUTER, 3, 1).ttl(1)).drops(reason),
        Reason::NoRoute => {
            case(name, &nat, &tcp("10.0.0.1:8080", "198.51.102.7:1").ack(1)).drops(reason)
        }
        Reason::ReplyToKernel => {
            let reply = tcp("10.0.0.1:8080", "198.51.101.7:1").ack(1);
            case(name, &nat, &reply).passes_as(reason, &reply.clone().from(vip))
        }
        Reason::ForwardIcmp => {
            let error = sent.error_by(ROUTER, 3, 1);
            case(name, &l2, &error).transmits(reason, &error.clone().sent_to(&one))
        }
        Reason::ForwardIcmpReply => {
            let error = tcp(CLIENT, "10.0.0.1:8080").syn().error_by(ROUTER, 3, 1);
            let out = error.clone().requoted(one.address(), vip);
            let out = out.ttl(59).via(GATEWAY_MAC, UPLINK_MAC);
            case(name, &nat, &error).redirects(reason, &out)
        }
        Reason::Echo => {
            let request = ping(CLIENT, VIP);
            let world = of(Service::l2(VIP).echoes());
            case(name, &world, &request).transmits(reason, &request.clone().echoed(0))
        }
        Reason::NotOurs => case(name, &l2, &udp(CLIENT, VIP)).passes(reason),
        Reason::OtherProtocol => case(name, &l2, &ping(CLIENT, VIP)).passes(reason),
        // What the control side never writes.
        Reason::Inconsistent => case(name, &of(Service::of_unknown_mode(VIP)), &ack).drops(reason),
        // A driver that leaves no room before the frame.
        Reason::RewriteFailed => case(name, &l2, &ack.ttl(1)).without_headroom().drops(reason),
    }
}
