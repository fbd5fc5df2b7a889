use std::{collections::BTreeSet, net::SocketAddr};

use super::*;
use crate::model::{Mode, ServiceSpec, Vip};

/// Four servers of one service, and one of another.
struct Site {
    watch: Watch,
    state: SwitchState,
    dead: BTreeSet<u8>,
}

fn key(service: &str, server: u8) -> BindingKey {
    let backend = SocketAddr::from(([192, 0, 2, server], 80));
    BindingKey { service: service.parse().unwrap(), backend }
}

fn service(name: &str, vip: &str) -> ServiceSpec {
    ServiceSpec::tcp(name.parse().unwrap(), vip.parse::<Vip>().unwrap(), Mode::L2)
}

impl Site {
    fn new() -> Self {
        let mut state = SwitchState::default();
        for (name, vip) in [("www", "203.0.113.10:80"), ("api", "203.0.113.11:80")] {
            state.apply(&Change::PutService(service(name, vip))).unwrap();
        }
        for server in 1..=4 {
            let binding = Binding::new(10, Phase::Serve);
            state.apply(&Change::PutBinding(key("www", server), binding)).unwrap();
        }
        let binding = Binding::new(10, Phase::Serve);
        state.apply(&Change::PutBinding(key("api", 9), binding)).unwrap();
        Self { watch: Watch::default(), state, dead: BTreeSet::new() }
    }

    fn round(&mut self) -> Vec<Decision> {
        let alive = |key: &BindingKey| match key.backend.ip() {
            std::net::IpAddr::V4(v4) if self.dead.contains(&v4.octets()[3]) => {
                Err("no answer".to_owned())
            }
            _ => Ok(()),
        };
        let wanted = self.watch.wanted(&self.state);
        let outcomes = wanted.into_iter().map(|key| (key.clone(), alive(&key))).collect();
        let decisions = self.watch.decide(&self.state, &outcomes);
        for decision in &decisions {
            self.state.apply(&decision.change()).unwrap();
        }
        decisions
    }

    fn rounds(&mut self, count: usize) -> Vec<Decision> {
        (0..count).flat_map(|_| self.round()).collect()
    }

    fn phase(&self, server: u8) -> Phase {
        self.state.bindings[&key("www", server)].phase
    }
}

#[test]
fn a_server_that_dies_goes_and_comes_back() {
    let mut site = Site::new();
    assert_eq!(site.rounds(5), []);
    site.dead.insert(2);
    assert_eq!(site.rounds(2), [], "once or twice may be chance");
    let drained = Binding::new(10, Phase::Drain);
    assert_eq!(site.round(), [Decision::Out(key("www", 2), drained, "no answer".to_owned())]);
    assert_eq!(site.rounds(10), []);
    site.dead.clear();
    assert_eq!(site.round(), []);
    assert_eq!(site.round(), [Decision::Back(key("www", 2), Binding::new(10, Phase::Serve))]);
    assert_eq!(site.rounds(5), []);
}

#[test]
fn half_of_a_service_at_once_is_not_believed_but_one_after_the_other_is() {
    let mut site = Site::new();
    site.dead.extend([1, 2]);
    assert_eq!(site.rounds(30), []);
    site.dead.remove(&2);
    assert_eq!(site.rounds(3).len(), 1, "one is plausible");
    assert_eq!(site.phase(1), Phase::Drain);
    site.dead.insert(3);
    assert_eq!(site.rounds(8).len(), 1);
    // And a service with one server on one machine has nothing to compare.
    site.dead.insert(9);
    assert_eq!(site.rounds(8).len(), 1);
}

#[test]
fn a_second_loss_soon_after_the_first_counts_with_it() {
    let mut site = Site::new();
    site.dead.insert(1);
    assert_eq!(site.rounds(3).len(), 1);
    site.dead.insert(2);
    assert_eq!(site.rounds(3), [], "two of four within a moment");
    assert_eq!(site.rounds(3).len(), 1, "that moment is over, and one more is plausible");
}

#[test]
fn what_the_manager_has_changed_is_not_brought_back() {
    let mut site = Site::new();
    site.dead.insert(2);
    site.rounds(3);
    let broken = Binding::new(10, Phase::Break);
    site.state.apply(&Change::PutBinding(key("www", 2), broken)).unwrap();
    site.dead.clear();
    assert_eq!(site.rounds(5), []);
    assert_eq!(site.phase(2), Phase::Break);
    site.state.apply(&Change::DeleteBinding(key("www", 2))).unwrap();
    assert_eq!(site.rounds(5), []);
}

#[test]
fn what_serves_nobody_is_not_probed() {
    let mut site = Site::new();
    let drained = Binding::new(1, Phase::Drain);
    site.state.apply(&Change::PutBinding(key("www", 4), drained)).unwrap();
    let asked = site.watch.wanted(&site.state);
    assert_eq!(asked, [key("api", 9), key("www", 1), key("www", 2), key("www", 3)]);
}

#[test]
fn a_server_may_be_well_in_one_service_and_not_in_another() {
    let mut site = Site::new();
    let binding = Binding::new(10, Phase::Serve);
    site.state.apply(&Change::PutBinding(key("api", 2), binding)).unwrap();
    let round = |site: &mut Site| {
        let outcome = |one: &BindingKey| {
            if *one == key("api", 2) { Err("no answer".to_owned()) } else { Ok(()) }
        };
        let wanted = site.watch.wanted(&site.state);
        let outcomes = wanted.into_iter().map(|key| (key.clone(), outcome(&key))).collect();
        site.watch.decide(&site.state, &outcomes)
    };
    let decisions: Vec<_> = (0..4).flat_map(|_| round(&mut site)).collect();
    let drained = Binding::new(10, Phase::Drain);
    assert_eq!(decisions[0], Decision::Out(key("api", 2), drained, "no answer".to_owned()));
    assert!(decisions.iter().all(
        |decision| !matches!(decision, Decision::Out(key, ..) if key.service.as_str() == "www")
    ));
}
