//! What names backends in QUIC connection ids.

use super::*;

const QUIC: &str = r#"
[manager]
learning = "5s"

[[service]]
name = "h3"
address = "203.0.113.10:443"
protocol = "udp"
udp = "quic"
server_id_bytes = 2
mode = "l2"
health = { port = 80 }
backend = [{ address = "192.0.2.9:443", server_id = "0909" }]

[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
"#;

const ONE: &str = "h3/192.0.2.1:443";
const TWO: &str = "h3/192.0.2.2:443";
const STATIC: &str = "h3/192.0.2.9:443";

impl World {
    /// A server id of what agents ask for from now on.
    fn give(&mut self, binding: &str, id: &str) {
        self.server_ids.insert(key(binding), id.parse().unwrap());
    }

    fn add_named(&mut self, binding: &str, id: &str) -> RequestId {
        let server_id = Some(id.parse().unwrap());
        self.command(Command::Add { key: key(binding), weight: 100, server_id })
    }

    /// What names a binding on the edge.
    fn id(&self, binding: &str) -> Option<String> {
        Some(self.held("edge", binding)?.server_id?.to_string())
    }

    fn refusals(&self) -> Vec<&str> {
        let reasons = self.told.iter().filter_map(|(_, message)| match message {
            ToAgent::Refused { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        reasons.collect()
    }
}

#[test]
fn agents_the_file_and_the_operator_give_them() {
    let mut world = World::serving(QUIC);
    world.give(ONE, "0101");
    world.agent("s1", 1, &[ONE]);
    let request = world.add_named(TWO, "0202");
    world.pass(seconds(2));
    assert!(world.reply(request).message.starts_with("added"));
    let ids = [ONE, TWO, STATIC].map(|binding| world.id(binding).unwrap());
    assert_eq!(ids, ["0101", "0202", "0909"]);
    assert_eq!(world.view(TWO).server_id.unwrap().to_string(), "0202");
    // While it drains, connections are led to it still; also without its agent.
    world.remove(ONE);
    world.hang_up("s1");
    assert_eq!((world.on("edge", ONE), world.id(ONE)), (Some(Phase::Drain), Some("0101".into())));
    // What the operator said outlives the manager.
    assert!(world.disk.server_ids.contains_key(&key(TWO)));
    let mut world = World::restarted(QUIC, world);
    world.connect("edge");
    world.pass(seconds(10));
    assert_eq!((world.state(TWO), world.id(TWO)), ("active", Some("0202".into())));
    world.force(TWO);
    assert!(world.disk.server_ids.is_empty());
}

#[test]
fn what_does_not_fit_is_refused_and_says_who_has_it() {
    let mut world = World::serving(QUIC);
    world.give(ONE, "0909");
    world.give(TWO, "010203");
    world.agent("s1", 1, &[ONE, TWO]);
    world.pass(seconds(3));
    assert_eq!(
        world.refusals(),
        [
            "server id 0909 of 192.0.2.1:443 is already that of h3/192.0.2.9:443: give each its own",
            "service `h3` takes server ids of 2 byte(s), and 192.0.2.2:443 has 010203: set \
             `server_id_bytes` of the service, or another id",
        ],
        "each is said once"
    );
    let before = (world.core.desired().clone(), world.disk.clone());
    let table = [
        (world.add_named("h3/192.0.2.3:443", "0909"), "is already that of h3/192.0.2.9:443"),
        (world.add_named("h3/192.0.2.3:443", "09"), "takes server ids of 2 byte(s)"),
        (world.add_named("www/192.0.2.3:80", "0303"), "takes server ids of 0 byte(s)"),
        (world.add_named(ONE, "0101"), "gets its server id from agent `s1`, which gives 0909"),
    ];
    for (request, part) in table {
        let refusal = world.refusal(request);
        assert_eq!(refusal.kind, RefusalKind::Invalid, "{refusal}");
        assert!(refusal.message.contains(part), "{refusal}");
    }
    assert_eq!((world.core.desired().clone(), world.disk.clone()), before);
    // It is bound as soon as the other is gone.
    world.force(STATIC);
    world.pass(seconds(62));
    assert_eq!((world.state(STATIC), world.state(ONE)), ("gone", "active"));
    assert_eq!(world.id(ONE).as_deref(), Some("0909"));
    let request = world.add_named(STATIC, "0808");
    let refusal = world.refusal(request);
    assert!(refusal.message.contains("from the configuration file, which gives 0909"), "{refusal}");
}

#[test]
fn an_agent_that_starts_anew_may_bring_another() {
    let mut world = World::serving(QUIC);
    world.give(ONE, "0101");
    world.agent("s1", 1, &[ONE]);
    world.pass(seconds(2));
    world.give(ONE, "0102");
    world.hang_up("s1");
    world.agent("s1", 2, &[ONE]);
    assert_eq!(world.id(ONE).as_deref(), Some("0102"));
    world.give(ONE, "0909");
    world.hang_up("s1");
    world.agent("s1", 3, &[ONE]);
    assert_eq!(world.id(ONE).as_deref(), Some("0102"), "that one is another's");
    assert_eq!(world.refusals().len(), 1);
}

#[test]
fn what_a_switch_holds_keeps_its_id_until_someone_speaks_for_it() {
    let mut world = World::serving(QUIC);
    world.give(ONE, "0101");
    world.give(TWO, "0202");
    world.agent("s1", 1, &[ONE, TWO]);
    world.pass(seconds(2));
    world.remove(STATIC);
    let edge = world.switches.get_mut("edge").unwrap();
    let held = edge.state.bindings.get_mut(&key(TWO)).unwrap();
    held.server_id = Some("0909".parse().unwrap());
    let mut world = World::restarted(QUIC, world);
    world.connect("edge");
    assert_eq!(world.id(ONE).as_deref(), Some("0101"));
    assert_eq!(world.on("edge", TWO), Some(Phase::Serve), "its connections stay its own");
    world.agent("s1", 1, &[ONE, TWO]);
    world.pass(seconds(3));
    let ids = [ONE, TWO].map(|binding| world.id(binding).unwrap());
    assert_eq!(ids, ["0101", "0202"]);
}
