//! The whole intent at once: export, diff and apply.

mod services;

use super::*;
use crate::{
    config::Declaration,
    model::{Identity, Origin},
};

const ADDED: &str = "www/192.0.2.2:80";
const NEW: &str = "www/192.0.2.3:80";
const STATIC: &str = "api/192.0.2.50:8443";

/// The file's own words, as far as a declaration takes them.
fn declared(text: &str) -> Declared {
    let bots = config::ClassSettings {
        name: name("bots"),
        sources: vec!["198.51.100.0/24".parse().unwrap()],
        dscp: Vec::new(),
    };
    let declaration = Declaration::parse(text, Path::new("intent.toml"), &[bots]);
    Declared::try_from(&declaration.unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// What is declared, through its text, as `sluice export` and `apply` have it.
fn exported(world: &World) -> Declared {
    let text = Declaration::from(&world.core.declared()).to_toml().unwrap();
    declared(&text)
}

impl World {
    pub(super) fn apply(&mut self, declared: Declared, dry_run: bool, prune: bool) -> RequestId {
        self.command(Command::Apply { declared: Box::new(declared), dry_run, prune })
    }

    /// What a command that was carried out has changed.
    fn alterations(&self, request: RequestId) -> Vec<String> {
        let line = |a: &Alteration| {
            format!(
                "{:?} {} {} {}: {} > {}",
                a.action, a.service, a.what, a.name, a.before, a.after
            )
        };
        self.reply(request).alterations.iter().map(line).collect()
    }
}

/// A manager whose operator has used every command.
fn busy() -> World {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-4", 4, &["www/192.0.2.4:80"]);
    world.pass(seconds(2));
    world.add(ADDED, 30);
    world.weight(WEB, 70);
    world.weight(STATIC, 11);
    world.remove("www/192.0.2.4:80");
    world.drop_share("www", Some("bots"), 12.5);
    world.drop_share("api", Some("bots"), 0.0);
    world.pass(seconds(2));
    world
}

#[test]
fn without_commands_the_intent_is_the_files() {
    let world = World::learned();
    let services = CONFIG.split_once("[[service]]").unwrap().1;
    let file = declared(&format!("[[service]]{services}"));
    assert_eq!(exported(&world), file);
    assert_eq!(world.core.declared(), file);
}

#[test]
fn an_export_has_every_command_and_applying_it_changes_nothing() {
    let mut world = busy();
    let intent = exported(&world);
    let www = &intent.services[&name("www")];
    assert_eq!(www.backends, BTreeMap::from([(key(ADDED).backend, (30, None))]));
    assert_eq!(www.policies[&name("bots")].refuse.percent(), 12.5);
    let api = &intent.services[&name("api")];
    assert_eq!(api.backends[&key(STATIC).backend], (11, None));
    assert!(api.policies.is_empty(), "{api:?}");
    assert_eq!(intent.weights, BTreeMap::from([(key(WEB), 70)]));
    let how = Withdrawal { force: false, deadline: Some(seconds(60)) };
    assert_eq!(intent.removals, BTreeMap::from([(key("www/192.0.2.4:80"), how)]));

    let (version, disk) = (world.core.version, world.disk.clone());
    let deltas = world.switches["edge"].deltas.len();
    let request = world.apply(intent, false, false);
    assert_eq!(world.reply(request).message, "nothing to change");
    assert!(world.reply(request).alterations.is_empty());
    assert_eq!((world.core.version, &world.disk), (version, &disk));
    assert_eq!(world.switches["edge"].deltas.len(), deltas);
}

#[test]
fn what_was_wiped_is_as_before_once_its_export_is_applied() {
    let seen = |world: &World| -> Vec<_> {
        let views = world.core.backends(None, world.now);
        views.into_iter().map(|v| (v.service, v.backend, v.state, v.weight, v.agent)).collect()
    };
    let mut world = busy();
    // The drained one is gone by then.
    world.set_agent("web-4", |agent| agent.connections = 0);
    world.pass(seconds(5));
    let (intent, before) = (exported(&world), seen(&world));
    assert_eq!(before.len(), 3, "{before:?}");
    for agents_first in [true, false] {
        let mut world = World::learned();
        if !agents_first {
            world.apply(intent.clone(), false, false);
        }
        world.agent("web-1", 1, &[WEB]);
        world.agent("web-4", 4, &["www/192.0.2.4:80"]);
        world.pass(seconds(2));
        if agents_first {
            world.apply(intent.clone(), false, false);
            world.set_agent("web-4", |agent| agent.connections = 0);
        }
        world.pass(seconds(5));
        assert_eq!(seen(&world), before, "agents first: {agents_first}");
        assert_eq!(exported(&world), intent);
        assert_eq!(world.held("edge", STATIC), Some(Binding::new(11, Phase::Serve)));
    }
}

const WANTED: &str = r#"
[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
health = { fall = 5 }
backend = [{ address = "192.0.2.3:80", weight = 5 }]

[[service]]
name = "api"
address = "203.0.113.20:443"
mode = "nat"
health = { rise = 2, fall = 3 }

[[service]]
name = "trusting"
address = "203.0.113.30:25"
mode = "nat"
health = { probe = "none" }
slow_start = { duration = "20s", from_percent = 0 }
policy = [{ class = "default", refuse_percent = 1 }]

[[removal]]
service = "www"
address = "192.0.2.1:80"
force = true
"#;

#[test]
fn a_file_is_applied_as_one_change_and_every_part_of_it() {
    let mut world = busy();
    let deltas = world.switches["edge"].deltas.len();
    let dry = world.apply(declared(WANTED), true, false);
    assert_eq!(world.switches["edge"].deltas.len(), deltas, "a look changes nothing");
    let request = world.apply(declared(WANTED), false, false);
    assert_eq!(world.switches["edge"].deltas.len(), deltas + 1, "one delta");
    let lines = world.alterations(request);
    assert_eq!(lines, world.alterations(dry));
    assert_eq!(
        lines,
        [
            "Remove api backend 192.0.2.50:8443: weight 11 > ",
            "Add trusting policy default:  > refuse 1 %, reset, by flow",
            "Change www setting health.fall: 3 > 5",
            "Remove www backend 192.0.2.2:80: weight 30 > ",
            "Add www backend 192.0.2.3:80:  > weight 5",
            "Remove www policy bots: refuse 12.5 %, reset, by flow > ",
            "Add www removal 192.0.2.1:80:  > by force",
            "Remove www removal 192.0.2.4:80: within 60s > ",
            "Remove www weight 192.0.2.1:80: 70 > ",
        ]
    );
    let done = world.reply(request);
    assert_eq!(done.message, "9 changes made");
    assert!(matches!(done.switches[..], [SwitchOutcome { live: Ok(_), .. }]), "{done:?}");
    let on = |binding| world.on("edge", binding);
    assert_eq!(
        (on(WEB), on(ADDED), on(STATIC)),
        (Some(Phase::Break), Some(Phase::Drain), Some(Phase::Drain))
    );
    assert_eq!(on(NEW), None, "not before it is probed");
    world.pass(seconds(3));
    assert_eq!(world.held("edge", NEW), Some(Binding::new(5, Phase::Serve)));
    assert_eq!(world.state("www/192.0.2.4:80"), "active", "it may come back");
    let policies = &world.switches["edge"].state.policies;
    assert_eq!(policies.keys().collect::<Vec<_>>(), [&(name("trusting"), name("default"))]);

    // Again, at once and when everything has drained: nothing to do.
    for _ in 0..2 {
        let again = world.apply(declared(WANTED), false, false);
        assert_eq!(world.alterations(again), [""; 0]);
        world.pass(seconds(200));
        assert_eq!(
            (world.state(WEB), world.state(ADDED), world.state(STATIC)),
            ("gone", "gone", "gone")
        );
    }
    // And after a restart.
    world.restart();
    world.connect("edge");
    world.agent("web-4", 4, &["www/192.0.2.4:80"]);
    world.pass(seconds(10));
    assert_eq!((world.state(STATIC), world.state(NEW)), ("gone", "active"));
    let again = world.apply(declared(WANTED), false, false);
    assert_eq!(world.alterations(again), [""; 0]);
}

#[test]
fn of_a_file_with_a_fault_nothing_is_applied_and_all_faults_are_named() {
    let mut world = busy();
    let before = (world.core.desired().clone(), world.disk.clone(), world.core.declared());
    let ring = "ring_size = 251\nname = \"www\"";
    let mut wrong = declared(&WANTED.replace(
        "name = \"www\"\naddress = \"203.0.113.10:80\"",
        &format!("{ring}\naddress = \"203.0.113.10:80\""),
    ));
    let cats = (name("cats"), Policy { refuse: crate::model::Share::ALL, ..Policy::default() });
    wrong.services.get_mut(&name("api")).unwrap().policies.extend([cats]);
    for dry_run in [true, false] {
        world.events.clear();
        let request = world.apply(wrong.clone(), dry_run, true);
        let refusal = world.refusal(request);
        assert_eq!(refusal.kind, RefusalKind::Invalid);
        for part in
            ["nothing was changed:", "its `ring_size` cannot change", "there is no class `cats`"]
        {
            assert!(refusal.message.contains(part), "{part}: {refusal}");
        }
        assert_eq!(world.count("binding.added"), 0, "{:?}", world.events);
        let after = (world.core.desired().clone(), world.disk.clone(), world.core.declared());
        assert_eq!(before, after);
    }
}

const SHOP: &str = r#"
[[service]]
name = "shop"
address = "203.0.113.40:80"
mode = "l2"
backend = [{ address = "192.0.2.60:80" }]
"#;

#[test]
fn server_ids_change_hands() {
    let mut world = World::serving(
        "[[service]]\nname = \"h3\"\naddress = \"203.0.113.10:443\"\nprotocol = \"udp\"\n\
         udp = \"quic\"\nserver_id_bytes = 2\nmode = \"l2\"\nhealth = { port = 80 }\n",
    );
    let with = |one: &str, two: &str| {
        let mut declared = declared(
            "[[service]]\nname = \"h3\"\naddress = \"203.0.113.10:443\"\nprotocol = \"udp\"\n\
             udp = \"quic\"\nserver_id_bytes = 2\nmode = \"l2\"\nhealth = { port = 80 }\n",
        );
        let backends = &mut declared.services.get_mut(&name("h3")).unwrap().backends;
        for (address, id) in [("192.0.2.1:443", one), ("192.0.2.2:443", two)] {
            backends.insert(address.parse().unwrap(), (100, Some(id.parse().unwrap())));
        }
        declared
    };
    for (one, two) in [("0001", "0002"), ("0002", "0001"), ("0003", "0002")] {
        let request = world.apply(with(one, two), false, false);
        world.pass(seconds(2));
        world.reply(request);
        let id = |binding| world.held("edge", binding).and_then(|held| held.server_id);
        assert_eq!(id("h3/192.0.2.1:443"), one.parse().ok());
        assert_eq!(id("h3/192.0.2.2:443"), two.parse().ok());
        assert_eq!(world.core.declared(), with(one, two));
    }
}

#[test]
fn a_viewer_may_look_at_what_would_change_and_no_more() {
    let mut world = World::serving(
        "[tls]\nca = \"ca.pem\"\ncert = \"m.pem\"\nkey = \"m.key\"\n\
         [[manager.allow]]\nidentity = \"noc.example\"\nrole = \"viewer\"\n",
    );
    world.origin = Origin {
        identity: Identity::Certificate(vec!["noc.example".to_owned()]),
        source: Some("198.51.100.7".parse().unwrap()),
    };
    let look = world.apply(declared(SHOP), true, false);
    assert_eq!(world.alterations(look).len(), 2);
    let change = world.apply(declared(SHOP), false, false);
    let refusal = world.refusal(change);
    assert_eq!(refusal.kind, RefusalKind::Denied);
    assert!(refusal.message.contains("may not change anything"), "{refusal}");
    assert!(world.core.desired().services.is_empty());
}
