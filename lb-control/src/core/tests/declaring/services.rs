//! Services that come, change and go by declaration.

use super::*;

/// The text of a world's intent, to be edited.
fn text(world: &World) -> String {
    Declaration::from(&world.core.declared()).to_toml().unwrap()
}

#[test]
fn services_come_and_go_by_declaration() {
    let mut world = busy();
    world.agent("shop-1", 1, &["shop/192.0.2.61:80"]);
    let file = text(&world);
    let with_shop = format!("{file}{SHOP}");
    // Tables of one kind need not stand together.
    world.apply(declared(&with_shop), false, false);
    world.pass(seconds(3));
    assert_eq!(world.state("shop/192.0.2.60:80"), "active");
    assert_eq!(world.on("edge", "shop/192.0.2.61:80"), Some(Phase::Serve), "its agent had waited");
    assert_eq!(world.core.status().services, 4);

    // It outlives the manager.
    world.restart();
    world.connect("edge");
    world.agent("shop-1", 1, &["shop/192.0.2.61:80"]);
    world.pass(seconds(10));
    assert_eq!(world.state("shop/192.0.2.60:80"), "active");
    assert_eq!(world.on("edge", "shop/192.0.2.61:80"), Some(Phase::Serve));

    // It goes only when that is said.
    let refused = world.apply(declared(&file), false, false);
    assert!(world.refusal(refused).message.contains("--prune to remove shop"));
    let look = world.apply(declared(&file), true, false);
    assert_eq!(world.alterations(look), ["Remove shop service : 203.0.113.40:80 tcp l2 > "]);
    world.apply(declared(&file), false, true);
    world.pass(seconds(3));
    assert_eq!(world.state("shop/192.0.2.60:80"), "gone");
    assert!(!world.switches["edge"].state.services.contains_key(&name("shop")));
    assert!(
        world.disk.services.is_empty() && !world.disk.adds.contains_key(&key("shop/192.0.2.60:80"))
    );
}

#[test]
fn a_service_of_the_file_that_was_removed_stays_away_and_comes_back_as_declared() {
    let mut world = World::learned();
    let file = text(&world);
    let without = declared(&format!(
        "[[service]]{}",
        file.split("[[service]]").find(|s| s.contains("\"www\"")).unwrap()
    ));
    world.apply(without.clone(), false, true);
    world.pass(seconds(2));
    assert_eq!(world.switches["edge"].state.services.len(), 1);
    world.restart();
    world.connect("edge");
    world.pass(seconds(10));
    assert_eq!(world.switches["edge"].state.services.len(), 1);
    assert_eq!(world.state(STATIC), "gone");
    let again = world.apply(without, false, false);
    assert_eq!(world.alterations(again), [""; 0]);

    // Without the backend and the policy that the file has.
    let mut back = declared(&file);
    let api = back.services.get_mut(&name("api")).unwrap();
    (api.backends, api.policies) = (BTreeMap::new(), BTreeMap::new());
    world.apply(back.clone(), false, false);
    world.pass(seconds(3));
    assert_eq!(world.core.declared(), back);
    assert_eq!((world.state(STATIC), world.core.desired().services.len()), ("gone", 3));
    world.apply(declared(&file), false, false);
    world.pass(seconds(3));
    assert_eq!(world.state(STATIC), "active");
    assert_eq!(
        world.disk,
        Intent { term: world.disk.term, ..Intent::default() },
        "as the file has it"
    );
}

#[test]
fn services_change_and_change_places() {
    let mut world = busy();
    let file = text(&world);
    let mut swapped = declared(&file);
    let www = swapped.services[&name("www")].spec.address;
    let trusting = swapped.services[&name("trusting")].spec.address;
    let port = |services: &mut BTreeMap<Name, ServicePlan>, of: &str, address| {
        let plan = services.get_mut(&name(of)).unwrap();
        plan.spec.address = address;
        plan.spec.mode = crate::model::Mode::Nat;
    };
    port(&mut swapped.services, "www", trusting);
    port(&mut swapped.services, "trusting", www);
    let request = world.apply(swapped.clone(), false, false);
    world.reply(request);
    world.pass(seconds(2));
    assert_eq!(world.switches["edge"].state.services[&name("www")].address, trusting);
    assert_eq!(world.switches["edge"].state, *world.core.desired());
    assert_eq!(world.held("edge", WEB), Some(Binding::new(70, Phase::Serve)));
    world.restart();
    world.connect("edge");
    world.pass(seconds(2));
    assert_eq!(world.core.declared(), swapped);
}

#[test]
fn declared_services_that_no_longer_fit_the_file_are_an_alarm_and_no_end() {
    let mut world = World::learned();
    let with_shop = format!("{}{SHOP}", text(&world));
    world.apply(declared(&with_shop), false, false);
    world.pass(seconds(2));
    // The file gives its address to another.
    let taken = CONFIG.replace("203.0.113.30:25", "203.0.113.40:80");
    let mut world = World::restarted(&taken, world);
    world.connect("edge");
    world.pass(seconds(10));
    let alarms = world.core.status().alarms;
    assert!(
        alarms[0].contains("the declared services have no effect: 203.0.113.40:80"),
        "{alarms:?}"
    );
    assert_eq!(world.state(STATIC), "active");
    assert!(world.disk.services.contains_key(&name("shop")), "it is kept");
}
