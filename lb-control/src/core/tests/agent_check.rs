//! What balancers are told that ask how a binding stands.

use super::*;

const STATIC: &str = "api/192.0.2.50:8443";

fn line(world: &World, binding: &str) -> String {
    world.core.agent_check(&key(binding))
}

#[test]
fn a_line_follows_from_the_state() {
    let mut world = World::new();
    assert_eq!(line(&world, STATIC), "unknown # the manager learns who is there\n");
    world.pass(seconds(6));
    assert_eq!(line(&world, STATIC), "up 100%\n", "alone it is the heaviest");
    assert_eq!(line(&world, "nothing/192.0.2.1:80"), "unknown # there is no such service\n");
    assert_eq!(line(&world, WEB), "unknown # the service has no such backend\n");
    world.mute = true;
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-2", 1, &[OTHER]);
    world.pass(seconds(1));
    assert_eq!(line(&world, WEB), "down # waiting for its health to be verified\n");
    world.mute = false;
    world.pass(seconds(2));
    assert_eq!(line(&world, WEB), "up 100%\n");
    world.weight(WEB, 300);
    assert_eq!((line(&world, WEB), line(&world, OTHER)), ("up 100%\n".into(), "up 34%\n".into()));
    world.weight(WEB, 65_535);
    assert_eq!(line(&world, OTHER), "up 1%\n", "never nothing of something");
    world.weight(WEB, 0);
    assert_eq!((line(&world, WEB), line(&world, OTHER)), ("up 0%\n".into(), "up 100%\n".into()));
    world.weight(WEB, 100);
    let cause = "upgrade\nup 100%".to_owned();
    world.set_agent("web-1", |a| a.application.availability = Availability::Drain { cause });
    assert_eq!(line(&world, WEB), "up 0% # its application drains: upgradeup 100%\n", "one line");
    world.set_agent("web-1", |agent| agent.application = Application::default());
    assert_eq!(line(&world, WEB), "up 100%\n");
    world.set_agent("web-1", |agent| agent.health = Err("x".repeat(500)));
    assert_eq!(line(&world, WEB), format!("down # {}\n", "x".repeat(120)));
    world.remove(OTHER);
    assert_eq!(line(&world, OTHER), "up 0% # removed by the operator\n");
    world.pass(seconds(61));
    assert!(line(&world, OTHER).starts_with("down # removed by the operator"));
    world.pass(seconds(61));
    assert_eq!(
        (world.state(OTHER), line(&world, OTHER).as_str()),
        ("gone", "down # removed by the operator\n")
    );
}

#[test]
fn a_manager_that_has_just_started_takes_no_server_out() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    world.restart();
    world.mute = true;
    world.connect("edge");
    for binding in [WEB, STATIC] {
        assert!(line(&world, binding).starts_with("unknown #"), "{}", line(&world, binding));
    }
}
