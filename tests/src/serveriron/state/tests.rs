use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{Binding, Health, Predictor, Refusal, Standing, State};
use crate::serveriron::Limits;

const KILL_AFTER: Duration = Duration::from_secs(120);

fn state() -> State {
    State::new(Limits::default(), false, KILL_AFTER, Instant::now())
}

/// `www` on port 80, with as many real servers bound as there are weights.
fn served(weights: &[u32]) -> State {
    let mut state = state();
    state.define_virtual("www", Ipv4Addr::new(203, 0, 113, 50)).unwrap();
    state.set_virtual_port("www", 80, true).unwrap();
    for (number, weight) in (1..).zip(weights) {
        let name = format!("web{number}");
        state.define_real(&name, Ipv4Addr::new(198, 51, 100, number)).unwrap();
        state.set_weight(&name, *weight).unwrap();
        state.set_real_port(&name, 80, true).unwrap();
        state.bind(Binding::new("www", 80, &name, 80)).unwrap();
    }
    state
}

fn web(number: u8) -> Binding {
    Binding::new("www", 80, &format!("web{number}"), 80)
}

fn shares(state: &mut State, picks: usize) -> Vec<usize> {
    let mut shares = vec![0; state.running.reals.len()];
    for _ in 0..picks {
        let name = state.pick("www", 80).unwrap().real_server;
        shares[name[3..].parse::<usize>().unwrap() - 1] += 1;
    }
    shares
}

#[test]
fn the_running_config_has_the_layout_of_the_manual() {
    let mut state = state();
    state.define_real("web1", Ipv4Addr::new(198, 51, 100, 3)).unwrap();
    state.disable_real_default("web1", true).unwrap();
    state.set_real_port("web1", 80, true).unwrap();
    state.set_url("web1", 80, "GET /status.html HTTP/1.0").unwrap();
    state.define_real("web2", Ipv4Addr::new(198, 51, 100, 4)).unwrap();
    state.set_real_port("web2", 8080, false).unwrap();
    state.define_virtual("www", Ipv4Addr::new(203, 0, 113, 50)).unwrap();
    state.disable_virtual_default("www", true).unwrap();
    state.set_virtual_port("www", 80, true).unwrap();
    state.bind(Binding::new("www", 80, "web1", 80)).unwrap();
    state.bind(Binding::new("www", 80, "web2", 8080)).unwrap();
    let expected = "!\n\
        server real web1 198.51.100.3\n \
        port default disable\n \
        port http\n \
        port http url \"GET /status.html HTTP/1.0\"\n\
        !\n\
        server real web2 198.51.100.4\n \
        port 8080 disable\n\
        !\n\
        server virtual www 203.0.113.50\n \
        port default disable\n \
        port http\n \
        bind http web1 http web2 8080\n\
        !\n\
        end\n";
    assert_eq!(state.running_config(), expected);
}

#[test]
fn a_bind_line_has_four_pairs_at_most() {
    let config = served(&[1; 5]).running_config();
    assert!(config.contains("\n bind http web1 http web2 http web3 http web4 http\n"), "{config}");
    assert!(config.contains("\n bind http web5 http\n"), "{config}");
}

#[test]
fn weights_make_exact_shares() {
    let mut state = served(&[1, 2, 5]);
    state.set_predictor(Predictor::Weighted);
    assert_eq!(shares(&mut state, 80), [10, 20, 50]);
    state.set_virtual_predictor("www", Some(Predictor::RoundRobin)).unwrap();
    assert_eq!(shares(&mut state, 30), [10, 10, 10]);
    state.set_weight("web3", 0).unwrap();
    state.set_virtual_predictor("www", None).unwrap();
    assert_eq!(shares(&mut state, 30), [10, 20, 0]);
}

#[test]
fn the_fewest_connections_are_chosen_by_default() {
    let mut state = served(&[1, 1, 1]);
    state.open_on(&web(1), 5);
    state.open_on(&web(2), 2);
    let opened = state.open("www", 80, 5);
    assert_eq!(opened.len(), 5);
    assert_eq!(state.connections_of_real("web1"), 5);
    assert_eq!(state.connections_of_real("web2") + state.connections_of_real("web3"), 7);
}

#[test]
fn who_does_not_serve_is_not_chosen() {
    let mut state = served(&[1; 6]);
    state.set_predictor(Predictor::RoundRobin);
    state.set_real_port("web1", 80, false).unwrap();
    state.enable_real("web2", false).unwrap();
    state.set_health("web3", None, Health::Failed).unwrap();
    state.set_health("web4", Some(80), Health::Suspect).unwrap();
    state.set_max_connections("web5", 1).unwrap();
    state.open_on(&web(5), 1);
    assert_eq!(shares(&mut state, 12), [0, 0, 0, 0, 0, 12]);
    state.set_virtual_port("www", 80, false).unwrap();
    assert_eq!(state.pick("www", 80), None);
}

#[test]
fn what_has_connections_waits_for_them() {
    let mut state = served(&[1, 1]);
    let kept = state.open_on(&web(1), 2);
    state.delete_real("web1").unwrap();
    state.settle();
    assert_eq!(state.standing_of_real("web1"), Some(Standing::AwaitDelete));
    assert_eq!(state.standing_of_port("web1", 80), Some(Standing::AwaitUnbind));
    assert!(state.take_announcements().is_empty());
    assert_eq!(state.pick("www", 80), Some(web(2)));
    state.close(&kept[..1]);
    state.settle();
    assert!(state.running.reals.contains_key("web1"));
    state.close(&kept[1..]);
    state.settle();
    assert!(!state.running.reals.contains_key("web1"));
    assert_eq!(state.running.bind_of(&web(1)), None);
    assert_eq!(state.take_announcements(), ["Server web1 successfully deleted."]);
    assert_eq!(state.broken(&kept), 0);
    assert!(state.violations.is_empty());
}

#[test]
fn what_waits_may_be_hidden_from_the_running_config() {
    for hide in [false, true] {
        let mut state = served(&[1, 1]);
        state.hide_leaving = hide;
        state.open("www", 80, 2);
        state.delete_real("web1").unwrap();
        state.settle();
        let config = state.running_config();
        assert_eq!(config.contains("server real web1"), !hide, "{config}");
        assert_eq!(config.contains("bind http web1 http"), !hide, "{config}");
        assert!(config.contains("server real web2"));
    }
}

#[test]
fn ways_down_have_states() {
    let mut state = served(&[1]);
    assert_eq!(state.standing_of_real("web1"), Some(Standing::Active));
    assert_eq!(state.standing_of_port("web1", 80), Some(Standing::Active));
    let open = state.open("www", 80, 1);
    state.set_real_port("web1", 80, false).unwrap();
    state.enable_real("web1", false).unwrap();
    assert_eq!(state.standing_of_real("web1"), Some(Standing::GraceDown));
    assert_eq!(state.standing_of_port("web1", 80), Some(Standing::GraceDown));
    state.close(&open);
    assert_eq!(state.standing_of_real("web1"), Some(Standing::Disabled));
    assert_eq!(state.standing_of_port("web1", 80), Some(Standing::Disabled));
    state.set_real_port("web1", 80, true).unwrap();
    state.unbind(&web(1)).unwrap();
    state.settle();
    assert_eq!(state.standing_of_port("web1", 80), Some(Standing::Unbound));
    assert!(state.violations.is_empty(), "{:?}", state.violations);
}

#[test]
fn a_reverse_command_during_a_shutdown_is_a_violation() {
    type Change = fn(&mut State);
    let reverse: [(Change, Change); 6] = [
        (
            |state| state.set_real_port("web1", 80, false).unwrap(),
            |state| state.set_real_port("web1", 80, true).unwrap(),
        ),
        (
            |state| state.enable_real("web1", false).unwrap(),
            |state| state.enable_real("web1", true).unwrap(),
        ),
        (|state| state.unbind(&web(1)).unwrap(), |state| state.bind(web(1)).unwrap()),
        (
            |state| state.delete_real("web1").unwrap(),
            |state| state.define_real("web1", Ipv4Addr::new(198, 51, 100, 1)).unwrap(),
        ),
        (
            |state| state.delete_real_port("web1", 80).unwrap(),
            |state| state.set_real_port("web1", 80, true).unwrap(),
        ),
        (
            |state| state.delete_virtual("www").unwrap(),
            |state| state.define_virtual("www", Ipv4Addr::new(203, 0, 113, 50)).unwrap(),
        ),
    ];
    for (number, (down, up)) in reverse.into_iter().enumerate() {
        let mut state = served(&[1]);
        state.open("www", 80, 1);
        down(&mut state);
        state.settle();
        let before = state.running.clone();
        up(&mut state);
        assert_eq!(state.violations.len(), 1, "{number}: {:?}", state.violations);
        assert_eq!(state.running, before, "{number}: the shutdown goes on");
        // With no connection there is no shutdown to disturb.
        let mut state = served(&[1]);
        down(&mut state);
        state.settle();
        up(&mut state);
        // A deleted server took its bindings along.
        assert!(state.violations.is_empty(), "{number}: {:?}", state.violations);
    }
}

#[test]
fn force_delete_kills_in_its_time() {
    let mut state = served(&[1, 1]);
    let begun = state.now;
    let doomed = state.open_on(&web(1), 3);
    let safe = state.open_on(&web(2), 3);
    state.set_force_delete(true);
    state.unbind(&web(1)).unwrap();
    state.at(begun + KILL_AFTER - Duration::from_millis(1));
    state.settle();
    assert_eq!(state.broken(&doomed), 0);
    state.at(begun + KILL_AFTER);
    state.settle();
    assert_eq!(state.broken(&doomed), 3);
    assert_eq!(state.broken(&safe), 0);
    assert_eq!(state.running.bind_of(&web(1)), None);
}

#[test]
fn cleared_sessions_are_broken_and_end_a_wait() {
    let mut state = served(&[1, 1]);
    let doomed = state.open_on(&web(1), 2);
    let safe = state.open_on(&web(2), 2);
    state.delete_real("web1").unwrap();
    state.clear_sessions("web1");
    state.settle();
    assert_eq!((state.broken(&doomed), state.broken(&safe)), (2, 0));
    assert!(!state.running.reals.contains_key("web1"));
}

#[test]
fn a_reboot_forgets_what_was_not_saved() {
    let mut state = served(&[1, 1]);
    let open = state.open("www", 80, 4);
    state.delete_real("web2").unwrap();
    state.save();
    state.unbind(&web(1)).unwrap();
    state.define_real("late", Ipv4Addr::new(198, 51, 100, 99)).unwrap();
    state.at(state.now + Duration::from_secs(9));
    assert_eq!(state.uptime(), Duration::from_secs(9));
    state.reboot();
    assert_eq!(state.uptime(), Duration::ZERO);
    assert_eq!(state.boots(), 2);
    assert_eq!(state.broken(&open), 4);
    assert_eq!(state.running.reals.keys().collect::<Vec<_>>(), ["web1"]);
    assert!(state.running.bind_of(&web(1)).is_some());
    assert_eq!(state.connections(&web(1)), 0);
}

#[test]
fn full_tables_and_wrong_names_are_refused() {
    let limits = Limits { real_servers: 1, virtual_servers: 1, binds: 1 };
    let mut state = State::new(limits, false, KILL_AFTER, Instant::now());
    let address = |last| Ipv4Addr::new(198, 51, 100, last);
    state.define_real("a", address(1)).unwrap();
    assert_eq!(state.define_real("b", address(2)), Err(Refusal::Full("real servers")));
    state.define_virtual("v", address(3)).unwrap();
    assert_eq!(state.define_virtual("w", address(4)), Err(Refusal::Full("virtual servers")));
    state.set_virtual_port("v", 80, true).unwrap();
    assert!(matches!(
        state.bind(Binding::new("v", 80, "a", 80)),
        Err(Refusal::Unknown { what: "port", .. })
    ));
    state.set_real_port("a", 80, true).unwrap();
    state.set_real_port("a", 81, true).unwrap();
    state.bind(Binding::new("v", 80, "a", 80)).unwrap();
    state.bind(Binding::new("v", 80, "a", 80)).unwrap();
    assert_eq!(state.bind(Binding::new("v", 80, "a", 81)), Err(Refusal::Full("binds")));
    assert!(matches!(state.unbind(&Binding::new("v", 80, "a", 81)), Err(Refusal::NotBound(_))));
    assert!(matches!(state.define_real(&"x".repeat(33), address(9)), Err(Refusal::Value { .. })));
    assert!(matches!(state.define_real("", address(9)), Err(Refusal::Value { .. })));
    assert!(matches!(state.define_real("a", address(9)), Err(Refusal::Taken { .. })));
    assert!(matches!(state.define_real("b", address(1)), Err(Refusal::Taken { .. })));
}
