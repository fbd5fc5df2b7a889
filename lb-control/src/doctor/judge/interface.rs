//! Interfaces that carry a program of ours, or should.

use super::{
    super::{
        facts::{Facts, Link},
        finding::Finding,
        subject::Subject,
    },
    interface, unknown,
};

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let links = match &facts.links {
        Ok(links) => links,
        Err(why) => return vec![unknown(subject, facts, "interface", "host", why)],
    };
    let judge = |name: &str| match facts.link(name) {
        Some(link) => one(link),
        None => {
            let there: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            let what = format!("is not there: there are {}", there.join(", "));
            Finding::problem("interface", &interface(name), what).remedy("ip -brief link")
        }
    };
    subject.interfaces().into_iter().map(judge).collect()
}

fn one(link: &Link) -> Finding {
    let name = &link.name;
    let place = interface(name);
    if !link.up {
        return Finding::problem("interface", &place, "is down")
            .remedy(format!("ip link set dev {name} up"));
    }
    if !link.carrier {
        let what = "has no carrier: look at the cable, and at what is at its other end";
        return Finding::problem("interface", &place, what)
            .remedy(format!("ip -details link show dev {name}"));
    }
    if link.mac.is_none() {
        let what =
            format!("has no Ethernet address ({}): packets are not seen", link.driver_name());
        return Finding::problem("interface", &place, what).remedy("ip -brief link");
    }
    Finding::ok("interface", &place, format!("up ({})", link.driver_name()))
}
