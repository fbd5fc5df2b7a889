use super::{
    super::{
        config::{Real, Virtual},
        goal::Goal,
        steps::{Memory, Todo, steps},
    },
    *,
};

fn todo(plan: &Plan, held: &Config, activity: Option<&Activity>, memory: &Memory) -> Todo {
    steps(&Goal::of(plan), held, activity, memory, &BTreeMap::new())
}

/// Real server 10.0.0.1, bound, among what is the site's own.
fn held(enabled: bool) -> Config {
    let mut config = Config::default();
    config.reals.insert(ONE, Real { ports: [(80, enabled)].into(), ..Real::new(ONE) });
    let site = Real { name: "web9".into(), ports: [(80, true)].into(), ..Real::new(TWO) };
    config.reals.insert(TWO, site);
    config.virtuals.insert(VIP, Virtual { name: "theirs".into(), ports: [80].into() });
    config.binds = [bind(80, at(ONE, 80)), bind(80, at(TWO, 80))].into();
    config
}

fn doing(connections: u64, going: bool) -> Activity {
    let port = PortDoing { connections, total: 0, going };
    let ports = [(80, port)].into();
    Activity { reals: [(ONE, Doing { going: false, ports })].into() }
}

#[test]
fn everything_is_made_in_the_order_in_which_it_is_needed() {
    let servers: Vec<_> = (1..=5).map(|n| (at(Ipv4Addr::new(10, 0, 1, n), 80), serve(1))).collect();
    let found = todo(&plan(&[("www", 80, &servers)]), &Config::default(), None, &Memory::default());
    let mut expected: Vec<Step> = Vec::new();
    for (server, _) in &servers {
        expected.extend([Step::AddReal(*server.ip()), Step::Port(*server, true)]);
    }
    expected.extend([Step::AddVirtual(VIP, "www".into()), Step::AddVirtualPort(at(VIP, 80))]);
    // Four pairs a line.
    let binds: Vec<_> = servers.iter().map(|(server, _)| bind(80, *server)).collect();
    expected.extend([Step::Bind(binds[..4].to_vec()), Step::Bind(binds[4..].to_vec())]);
    assert_eq!(found, Todo { steps: expected, ..Todo::default() });
}

#[test]
fn what_the_box_has_no_words_for_is_a_refusal() {
    let one = |weight| [(at(ONE, 80), serve(weight))];
    let both = plan(&[("api", 81, &one(2)), ("www", 80, &one(1))]);
    let found = todo(&both, &held(true), None, &Memory::default());
    let [refusal] = &found.refusals[..] else { panic!("{:?}", found.refusals) };
    assert!(refusal.contains("`api` asks for 2") && refusal.contains("`www` for 1"), "{refusal}");
}

/// Its port is disabled for nobody: it serves in the other service.
#[test]
fn a_server_that_leaves_one_of_its_services_is_unbound_there_alone() {
    let mut held = held(true);
    held.virtuals.get_mut(&VIP).unwrap().ports.insert(81);
    held.binds.insert(bind(81, at(ONE, 80)));
    let www = plan(&[("api", 81, &[]), ("www", 80, &[(at(ONE, 80), serve(1))])]);
    let found = todo(&www, &held, None, &Memory::default());
    let steps = vec![Step::Unbind(bind(81, at(ONE, 80)))];
    assert_eq!(found, Todo { steps, ..Todo::default() });
}

#[test]
fn nothing_is_done_where_all_is_as_it_should_be() {
    let found = todo(
        &plan(&[("www", 80, &[(at(ONE, 80), serve(1))])]),
        &held(true),
        None,
        &Memory::default(),
    );
    assert_eq!(found, Todo::default());
}

#[test]
fn who_leaves_is_disabled_first_and_taken_out_when_it_is_quiet() {
    let none = plan(&[("www", 80, &[])]);
    let memory = Memory::default();
    let first = todo(&none, &held(true), None, &memory);
    assert_eq!(first.steps, [Step::Port(at(ONE, 80), false)]);
    assert!(first.waits);
    // With the port disabled, a look tells.
    let second = todo(&none, &held(false), None, &memory);
    assert_eq!((second.steps.len(), second.look), (0, true));
    for busy in [doing(3, false), doing(0, true)] {
        let third = todo(&none, &held(false), Some(&busy), &memory);
        assert_eq!((third.steps.len(), third.waits), (0, true), "{busy:?}");
        assert!(third.refusals.is_empty(), "to wait for this is as asked");
    }
    let last = todo(&none, &held(false), Some(&doing(0, false)), &memory);
    assert_eq!(last.steps, [Step::Unbind(bind(80, at(ONE, 80))), Step::RemoveReal(ONE)]);
}

#[test]
fn a_port_among_others_goes_alone() {
    let mut held = held(false);
    if let Some(real) = held.reals.get_mut(&ONE) {
        real.ports.insert(81, true);
    }
    held.binds.insert(bind(81, at(ONE, 81)));
    let plan = plan(&[("other", 81, &[(at(ONE, 81), serve(1))])]);
    let found = todo(&plan, &held, Some(&doing(0, false)), &Memory::default());
    let expected = [Step::Unbind(bind(80, at(ONE, 80))), Step::RemovePort(at(ONE, 80))];
    assert!(expected.iter().all(|step| found.steps.contains(step)), "{:?}", found.steps);
    assert!(!found.steps.contains(&Step::RemoveReal(ONE)), "{:?}", found.steps);
}

#[test]
fn who_comes_back_waits_for_the_end_of_the_shutdown() {
    let back = plan(&[("www", 80, &[(at(ONE, 80), serve(1))])]);
    let memory = Memory::default();
    assert!(todo(&back, &held(false), None, &memory).look);
    let busy = todo(&back, &held(false), Some(&doing(3, false)), &memory);
    assert_eq!((busy.steps.len(), busy.waits), (0, true));
    assert!(busy.refusals[0].contains("still shutting down gracefully (3 connections)"));
    let quiet = todo(&back, &held(false), Some(&doing(0, false)), &memory);
    assert_eq!(quiet.steps, [Step::Port(at(ONE, 80), true)]);
    assert!(quiet.refusals.is_empty());
}

/// It had no connection when it was looked at, and got one before it was unbound.
#[test]
fn what_is_still_being_unbound_is_not_bound() {
    let again = plan(&[("www", 80, &[(at(ONE, 80), serve(1))])]);
    let mut unbound = held(false);
    unbound.take(&Step::Unbind(bind(80, at(ONE, 80))));
    let found = todo(&again, &unbound, Some(&doing(1, true)), &Memory::default());
    assert_eq!((found.steps.len(), found.waits), (0, true), "{:?}", found.steps);
    let told = |words| found.refusals.iter().any(|refusal| refusal.contains(words));
    assert!(told("still being unbound"), "{:?}", found.refusals);
    let found = todo(&again, &unbound, Some(&doing(0, false)), &Memory::default());
    let steps = [Step::Port(at(ONE, 80), true), Step::Bind(vec![bind(80, at(ONE, 80))])];
    assert_eq!(found.steps, steps);
}

#[test]
fn what_is_still_being_deleted_is_not_made() {
    let again = plan(&[("www", 80, &[(at(ONE, 80), serve(1))])]);
    let memory = Memory { deleted: [ONE].into(), ..Memory::default() };
    let mut gone = held(true);
    gone.take(&Step::RemoveReal(ONE));
    assert!(todo(&again, &gone, None, &memory).look);
    let found = todo(&again, &gone, Some(&doing(1, true)), &memory);
    assert_eq!((found.steps.len(), found.waits), (0, true), "{:?}", found.steps);
    assert!(found.refusals[0].contains("still being deleted"), "{:?}", found.refusals);
    let found = todo(&again, &gone, Some(&Activity::default()), &memory);
    assert_eq!(found.steps.len(), 3, "{:?}", found.steps);
}

#[test]
fn what_the_site_defines_is_left_alone() {
    // Its real server has the address of one of ours.
    let found = todo(
        &plan(&[("www", 80, &[(at(ONE, 80), serve(1)), (at(TWO, 81), serve(1))])]),
        &held(true),
        None,
        &Memory::default(),
    );
    assert!(found.steps.is_empty(), "{:?}", found.steps);
    assert!(found.refusals[0].contains("real server `web9` of the site's own"));
    // Its virtual server and bindings stay when all of ours goes.
    let mut held = held(false);
    for _ in 0..3 {
        let quiet = doing(0, false);
        for step in todo(&Plan::default(), &held, Some(&quiet), &Memory::default()).steps {
            held.take(&step);
        }
    }
    assert!(!held.reals.contains_key(&ONE));
    assert_eq!(held.reals[&TWO].name, "web9");
    assert_eq!(held.virtuals[&VIP].ports, [80].into());
    assert_eq!(held.binds, [bind(80, at(TWO, 80))].into());
}

#[test]
fn virtual_servers_that_were_made_here_go_with_their_service() {
    let mut held = held(false);
    held.binds.clear();
    let made = Memory { made: [at(VIP, 0), at(VIP, 80)].into(), ..Memory::default() };
    let quiet = doing(0, false);
    let found = todo(&Plan::default(), &held, Some(&quiet), &made);
    assert!(found.steps.contains(&Step::RemoveVirtual(VIP)), "{:?}", found.steps);
    // Of a virtual server that was there, only the port that was made.
    let port = Memory { made: [at(VIP, 80)].into(), ..Memory::default() };
    let found = todo(&Plan::default(), &held, Some(&quiet), &port);
    assert!(found.steps.contains(&Step::RemoveVirtualPort(at(VIP, 80))), "{:?}", found.steps);
    // One that a service has, with or without servers, stays.
    let found = todo(&plan(&[("www", 80, &[])]), &held, Some(&quiet), &made);
    assert!(!found.steps.contains(&Step::RemoveVirtual(VIP)), "{:?}", found.steps);
}

#[test]
fn connections_are_broken_once() {
    let broken = plan(&[("www", 80, &[(at(ONE, 80), BREAK)])]);
    let first = todo(&broken, &held(true), None, &Memory::default());
    assert_eq!(first.steps, [Step::Port(at(ONE, 80), false), Step::Break(ONE)]);
    let memory = Memory { broken: [ONE].into(), ..Memory::default() };
    assert!(todo(&broken, &held(false), None, &memory).steps.is_empty());
}

#[test]
fn long_names_are_cut_and_stay_apart() {
    let names: Vec<_> = ["a", "b"].map(|end| "x".repeat(50) + end).into();
    let mut made = BTreeSet::new();
    for name in &names {
        let plan = plan(&[(name, 80, &[(at(ONE, 80), serve(1))])]);
        for step in todo(&plan, &Config::default(), None, &Memory::default()).steps {
            if let Step::AddVirtual(_, name) = step {
                assert!(name.len() <= 32, "{name}");
                made.insert(name);
            }
        }
    }
    assert_eq!(made.len(), 2, "{made:?}");
}
