//! `[manager]`, `[edge]` and `[agent]`.

use std::collections::HashSet;

use super::{Faults, Place};
use crate::{
    config::{AgentBind, AgentSettings, EdgeSettings, ManagerSettings, NotifySettings, Settings},
    model::Prefix,
};

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    manager(&settings.manager, settings.tls.is_some(), faults);
    if let Some(edge) = &settings.edge {
        check_edge(edge, settings, faults);
    }
    if let Some(agent) = &settings.agent {
        check_agent(agent, faults);
    }
}

fn manager(manager: &ManagerSettings, tls: bool, faults: &mut Faults) {
    let place = Place::default().key("manager");
    if !manager.listen.ip().is_loopback() && !tls && !manager.insecure {
        faults.push(
            place.key("listen"),
            format!(
                "{} can be reached from other hosts, which could then change the configuration: \
                 add [tls], listen on a loopback address, or set `insecure = true`",
                manager.listen
            ),
        );
    }
    if let Some(metrics) = manager.metrics.filter(|metrics| metrics.port() == manager.listen.port())
        && (metrics.ip() == manager.listen.ip()
            || metrics.ip().is_unspecified()
            || manager.listen.ip().is_unspecified())
        && metrics.port() != 0
    {
        faults.push(
            place.key("metrics"),
            format!("{metrics} is taken by `listen`: give monitors a port of their own"),
        );
    }
    if !manager.socket.is_absolute() {
        faults.push(place.key("socket"), "`socket` must be an absolute path");
    }
    if !manager.intent.is_absolute() {
        faults.push(place.key("intent"), "`intent` must be an absolute path");
    }
    faults.periods(&place, &[("learning", manager.learning)]);
    faults.counts(&place, &[("missed_heartbeats", manager.missed_heartbeats)]);
    if !(0.0..=100.0).contains(&manager.freeze_percent) {
        faults.push(
            place.key("freeze_percent"),
            format!("`freeze_percent` is 0 to 100, not {}", manager.freeze_percent),
        );
    }
    faults.periods(&place, &[("freeze_window", manager.freeze_window)]);
    let damping = &manager.flap_damping;
    let periods = [("window", damping.window), ("hold", damping.hold), ("most", damping.most)];
    faults.periods(&place.key("flap_damping"), &periods);
    if damping.most < damping.hold {
        faults.push(
            place.key("flap_damping").key("most"),
            "`most` is the longest hold: it cannot be shorter than `hold`, the first",
        );
    }
    if manager.keep_events == 0 {
        faults.push(place.key("keep_events"), "`keep_events` must be at least 1");
    }
}

fn check_edge(edge: &EdgeSettings, settings: &Settings, faults: &mut Faults) {
    let place = Place::default().key("edge");
    if edge.interfaces.is_empty() {
        faults.push(
            place.key("interfaces"),
            "an edge needs an interface, such as interfaces = [\"eth0\"]",
        );
    }
    let mut seen = HashSet::new();
    for (index, interface) in edge.interfaces.iter().enumerate() {
        let place = place.element("interfaces", index);
        if !is_interface(interface) {
            faults.push(
                place,
                format!(
                    "`{interface}` is not an interface name: 1 to 15 bytes, without '/', ':' or blanks"
                ),
            );
        } else if !seen.insert(interface) {
            faults.push(place, format!("interface `{interface}` is given twice"));
        }
    }
    if let Some(target) = &edge.manager {
        check_target(target, place.key("manager"), faults);
    }
    if !edge.pin.is_absolute() {
        faults.push(place.key("pin"), "`pin` must be an absolute path");
    }
    faults.periods(&place, &[("idle", edge.idle), ("admission_epoch", edge.admission_epoch)]);
    let tables =
        [("flows", edge.flows), ("syn_flows", edge.syn_flows), ("udp_flows", edge.udp_flows)];
    faults.counts(&place, &tables);
    for family in [true, false] {
        let of_family = |source: &&Prefix| source.addr().is_ipv4() == family;
        let sources: Vec<_> = edge.tunnel_sources.iter().filter(of_family).collect();
        if sources.len() > 1 {
            let message = "`tunnel_sources` has two prefixes of one family: one is enough";
            faults.push(place.key("tunnel_sources"), message);
        }
        if let Some(source) = sources.first().filter(|source| !family && source.len() > 96) {
            faults.push(
                place.key("tunnel_sources"),
                format!(
                    "`{source}` is too long: an IPv6 source of tunnels varies in its last 32 bits"
                ),
            );
        }
    }
    let needed: u64 = settings
        .services
        .iter()
        .map(|service| 3 * u64::from(service.ring_size.next_multiple_of(2)))
        .sum();
    if u64::from(edge.ring_pool) < needed {
        faults.push(
            place.key("ring_pool"),
            format!(
                "the services' rings, three times each, need `ring_pool` to be at least {needed}, \
                 not {}",
                edge.ring_pool
            ),
        );
    }
}

/// As the kernel sees it (`dev_valid_name`).
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
}

fn check_agent(agent: &AgentSettings, faults: &mut Faults) {
    let place = Place::default().key("agent");
    check_target(&agent.manager, place.key("manager"), faults);
    faults.periods(&place, &[("interval", agent.interval)]);
    if agent.binds.is_empty() {
        faults.push(place.key("bind"), "an agent needs something to bind: add [[agent.bind]]");
    }
    let mut seen = HashSet::new();
    for (index, bind) in agent.binds.iter().enumerate() {
        let place = place.element("bind", index);
        let ip = bind.address.ip();
        if bind.address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
            faults.push(
                place.key("address"),
                format!(
                    "{} is not this server's address: give the one that the edge reaches it at, \
                     with its port",
                    bind.address
                ),
            );
        }
        if !seen.insert((&bind.service, bind.address)) {
            faults.push(
                place.key("address"),
                format!("{} is bound to service `{}` twice", bind.address, bind.service),
            );
        }
        check_health(bind, &place, faults);
    }
    if let Some(notify) = &agent.notify {
        check_notify(notify, &place.key("notify"), faults);
    }
}

fn check_health(bind: &AgentBind, place: &Place, faults: &mut Faults) {
    let check = place.key("check");
    if bind.check.http.as_ref().is_some_and(|path| !is_request_path(path)) {
        faults.push(check.key("http"), "`http` is the path to GET, such as \"/health\"");
    }
    if let Some(command) = &bind.check.command {
        let place = check.key("command");
        if bind.check.http.is_some() {
            faults.push(place.clone(), "a check has either `http` or `command`");
        }
        if bind.check.port.is_some() {
            faults
                .push(place.clone(), "`port` says nothing to a `command`: give it as an argument");
        }
        if !command.first().is_some_and(|program| program.starts_with('/')) {
            faults.push(
                place,
                "`command` is a program's absolute path and its arguments, without a shell, such \
                 as [\"/usr/lib/check\", \"--fast\"]",
            );
        } else if command.iter().any(|word| word.contains('\0')) {
            faults.push(place, "`command` has a NUL character in it");
        }
    }
    faults.periods(&check, &[("interval", bind.check.interval), ("timeout", bind.check.timeout)]);
    faults.counts(&check, &[("rise", bind.check.rise), ("fall", bind.check.fall)]);
    if let Some(poll) = &bind.agent_check {
        let place = place.key("agent_check");
        if poll.port == 0 {
            faults.push(place.key("port"), "`port` is where the application answers, not 0");
        }
        faults.periods(&place, &[("interval", poll.interval), ("timeout", poll.timeout)]);
    }
}

fn check_notify(notify: &NotifySettings, place: &Place, faults: &mut Faults) {
    for (key, path) in [("socket", &notify.socket), ("systemd_socket", &notify.systemd_socket)] {
        // What `sun_path` holds, its end included (unix(7)).
        if !path.is_absolute() || path.as_os_str().len() > 107 {
            let message = format!("`{key}` must be an absolute path of 107 bytes at the most");
            faults.push(place.key(key), message);
        }
    }
    if notify.socket == notify.systemd_socket {
        faults.push(place.key("systemd_socket"), "`socket` and `systemd_socket` are two sockets");
    }
    if let Some(watchdog) = notify.watchdog {
        faults.periods(place, &[("watchdog", watchdog)]);
    }
}

/// The origin form of a request target (RFC 9112 section 3.2.1), roughly.
fn is_request_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn check_target(target: &str, place: Place, faults: &mut Faults) {
    if let Err(error) = target.parse::<crate::transport::Target>() {
        faults.push(place, error);
    }
}
