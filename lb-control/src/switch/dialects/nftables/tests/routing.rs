//! What a router does, call by call.

use super::{kernel::Shared, *};
use crate::switch::Failure;

/// The server of [`connection`] is in that phase; None: it is gone.
fn with(phase: Option<Phase>) -> Plan {
    let mut plan = example();
    let servers = &mut plan.services.values_mut().next().unwrap().servers;
    let server = "10.0.0.1:8080".parse().unwrap();
    match phase {
        Some(Phase::Serve) => {}
        Some(phase) => {
            servers.insert(server, PlannedServer { weight: 0, phase });
        }
        None => {
            servers.remove(&server);
        }
    }
    plan
}

/// conntrack would send them on to the server, which has forgotten them or must not go on
/// with them.
#[test]
fn connections_that_were_broken_stay_so_when_their_server_is_back() {
    let (gone, broken, drained) = (None, Some(Phase::Break), Some(Phase::Drain));
    for (left, polled, stay) in [
        (drained, false, true),
        (drained, true, true),
        (broken, false, false),
        (broken, true, false),
        (gone, false, false),
        (gone, true, false),
    ] {
        let kernel = Shared::default();
        let mut router = kernel.router("");
        router.read().unwrap();
        router.apply(&with(Some(Phase::Serve))).unwrap();
        kernel.host().connections.push(connection(3));
        router.apply(&with(left)).unwrap();
        if polled {
            router.poll().unwrap();
        }
        router.apply(&with(Some(Phase::Serve))).unwrap();
        assert_eq!(kernel.host().connections.len(), usize::from(stay), "{left:?}, {polled}");
    }
}

/// Nobody waits for a server that is gone, whether it comes back or not.
#[test]
fn connections_of_a_server_that_is_gone_end_at_the_next_poll() {
    let kernel = Shared::default();
    let mut router = kernel.router("");
    router.read().unwrap();
    router.apply(&with(Some(Phase::Serve))).unwrap();
    kernel.host().connections.push(connection(3));
    let counts = router.poll().unwrap();
    assert_eq!(counts.iter().map(|count| count.connections).sum::<u64>(), 1);
    router.apply(&with(None)).unwrap();
    router.poll().unwrap();
    assert_eq!(kernel.host().connections.len(), 0);
}

#[test]
fn a_server_of_the_other_family_is_refused_and_the_others_serve() {
    let kernel = Shared::default();
    let mut router = kernel.router("");
    router.read().unwrap();
    let mut mixed = example();
    let service = mixed.services.values_mut().next().unwrap();
    let server = PlannedServer { weight: 1, phase: Phase::Serve };
    service.servers.insert("[2001:db8::2]:80".parse().unwrap(), server);
    let Err(Failure::Refused(words)) = router.apply(&mixed) else { panic!("it is refused") };
    assert!(words.contains("www/[2001:db8::2]:80"), "{words}");
    assert_eq!(router.read().unwrap(), example());
}

#[test]
fn a_table_that_was_made_under_other_options_is_made_anew() {
    let kernel = Shared::default();
    let mut before = kernel.router("");
    before.read().unwrap();
    before.apply(&example()).unwrap();
    for (options, masquerade) in [("masquerade = true", true), ("", false)] {
        let mut after = kernel.router(options);
        assert_eq!(after.read().unwrap(), example());
        let making = kernel.seen().whole.expect("a table as it should be");
        assert_eq!(making.masquerade, masquerade);
        assert_eq!(kernel.seen().plan, example());
    }
}

#[test]
fn another_table_of_the_same_name_is_a_restart() {
    let kernel = Shared::default();
    let mut router = kernel.router("");
    router.read().unwrap();
    router.apply(&example()).unwrap();
    router.poll().unwrap();
    kernel.host().handle += 1;
    let polled = router.poll();
    assert!(matches!(&polled, Err(Failure::Rebooted(_))), "{polled:?}");
    router.read().unwrap();
    router.poll().unwrap();
}

/// What is to be changed is what is there, and not what was.
#[test]
fn who_was_overtaken_looks_again() {
    let kernel = Shared::default();
    let mut router = kernel.router("");
    router.read().unwrap();
    router.apply(&with(None)).unwrap();
    kernel.host().table = None;
    kernel.host().generation += 1;
    router.apply(&example()).unwrap();
    assert_eq!(kernel.seen().plan, example());
    assert!(kernel.seen().whole.is_some());
}
