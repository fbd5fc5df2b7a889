//! Who says that a draining binding has no connection left.

use super::*;
use crate::model::{BackendCount, Counters, ServiceCount};

const KINDS: &str = r#"
[manager]
learning = "5s"
drain_deadline = "10m"

[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"

[[service]]
name = "any"
address = "203.0.113.11:*"
mode = "l2"

[[service]]
name = "out"
address = "203.0.113.12:*"
mode = "nat"

[[service]]
name = "plain"
address = "203.0.113.13:53"
protocol = "udp"
mode = "l2"
health = { probe = "none" }

[[service]]
name = "calls"
address = "203.0.113.14:5060"
protocol = "tcp+udp"
udp = "tracked"
mode = "l2"

[[service]]
name = "quic"
address = "203.0.113.15:443"
protocol = "tcp+udp"
udp = "quic"
udp_idle = "30s"
mode = "l2"
"#;

impl World {
    /// The edge's counters of one binding.
    fn counted(&mut self, binding: &str, moving: bool, remembered_flows: u64, packets: u64) {
        let key = key(binding);
        let service = ServiceCount {
            service: key.service.clone(),
            new_connections: 0,
            refused_reset: 0,
            refused_silent: 0,
            no_backend: 0,
            broken: 0,
            remembered: 0,
            not_remembered: 0,
            moving,
        };
        let backend = BackendCount {
            key,
            packets,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: 0,
            remembered_flows,
            unreachable: None,
        };
        // A switch may send them in any order.
        let other = |port| BackendCount {
            key: self::key(&format!("zzz/192.0.2.9:{port}")),
            unreachable: None,
            ..backend.clone()
        };
        let (services, backends) = (vec![service], vec![other(2), other(1), backend.clone()]);
        let counters = Counters { services, backends, ..Counters::default() };
        self.feed_counters("edge", counters);
    }

    /// Seconds of the same counters.
    fn seconds_of(&mut self, count: u64, binding: &str, moving: bool, flows: u64, packets: u64) {
        for _ in 0..count {
            self.pass(seconds(1));
            self.counted(binding, moving, flows, packets);
        }
    }
}

/// A world where one agent's server drains, without a TCP connection as the
/// agent counts them.
fn draining(binding: &str) -> World {
    let mut world = World::serving(KINDS);
    world.agent("s1", 1, &[binding]);
    world.agents.get_mut("s1").unwrap().connections = 0;
    world.pass(seconds(3));
    assert_eq!(world.state(binding), "active");
    world.counted(binding, false, 0, 100);
    world.remove(binding);
    world
}

#[test]
fn of_tcp_the_agent_says_so() {
    for binding in ["www/192.0.2.1:80", "any/192.0.2.1:22"] {
        let mut world = draining(binding);
        world.pass(seconds(2));
        assert_eq!(world.state(binding), "gone", "{binding}");
    }
}

#[test]
fn where_connections_cannot_be_told_from_others_the_switches_say_so() {
    let binding = "out/192.0.2.1:22";
    let mut world = draining(binding);
    world.seconds_of(5, binding, true, 0, 100);
    assert_eq!(world.state(binding), "draining", "unremembered ones may be its own");
    world.seconds_of(5, binding, false, 2, 100);
    assert_eq!(world.state(binding), "draining");
    world.seconds_of(2, binding, false, 0, 100);
    assert_eq!(world.state(binding), "gone");
}

#[test]
fn without_an_agent_the_switches_say_so() {
    let binding = "api/192.0.2.50:8443";
    let mut world = World::learned();
    world.counted(binding, false, 0, 0);
    world.remove(binding);
    for (moving, flows) in [(true, 0), (false, 2), (false, 0)] {
        world.pass(seconds(2));
        assert_eq!(world.state(binding), "draining");
        world.counted(binding, moving, flows, 0);
    }
    world.pass(seconds(2));
    world.counted(binding, false, 0, 0);
    assert_eq!((world.state(binding), world.on("edge", binding)), ("gone", None));
}

#[test]
fn stateless_datagrams_have_moved_at_once() {
    let binding = "plain/192.0.2.1:53";
    let mut world = draining(binding);
    world.seconds_of(2, binding, false, 0, 100);
    assert_eq!(world.state(binding), "gone");
}

#[test]
fn tracked_flows_are_waited_for() {
    let binding = "calls/192.0.2.1:5060";
    let mut world = draining(binding);
    world.seconds_of(5, binding, true, 1, 100);
    assert_eq!(world.state(binding), "draining");
    // Its TCP slots may not have settled: of those the agent has spoken.
    world.seconds_of(2, binding, true, 0, 100);
    assert_eq!(world.state(binding), "gone");
}

/// Nothing need be remembered of a connection whose id names its server.
#[test]
fn quic_connections_are_waited_for_until_they_are_silent() {
    let binding = "quic/192.0.2.1:443";
    let mut world = draining(binding);
    for packets in 100..140 {
        world.seconds_of(1, binding, false, 0, packets);
    }
    world.seconds_of(29, binding, false, 0, 139);
    assert_eq!(world.state(binding), "draining");
    world.seconds_of(3, binding, false, 0, 139);
    assert_eq!(world.state(binding), "gone");
    assert_eq!(world.count("binding.broken"), 0);
    // Nor does the agent's end change that.
    let mut world = World::serving(KINDS);
    world.agent("s1", 1, &[binding]);
    world.agents.get_mut("s1").unwrap().connections = 0;
    world.pass(seconds(3));
    world.leave("s1");
    world.counted(binding, false, 0, 100);
    world.heartbeat("s1");
    world.hang_up("s1");
    assert_eq!(world.state(binding), "draining");
}
