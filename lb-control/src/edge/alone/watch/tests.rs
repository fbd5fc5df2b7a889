use super::*;
use crate::model::{Mode, Protocol, ServiceSpec, Vip};

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
        let alive = |backend: &SocketAddr| match backend.ip() {
            std::net::IpAddr::V4(v4) => !self.dead.contains(&v4.octets()[3]),
            std::net::IpAddr::V6(_) => true,
        };
        let targets = self.watch.targets(&self.state);
        let outcomes = targets.into_iter().map(|backend| (backend, alive(&backend))).collect();
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
    assert_eq!(site.round(), [Decision::Out(key("www", 2), drained)]);
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
fn what_takes_no_tcp_or_serves_nobody_is_not_probed() {
    let mut site = Site::new();
    let udp = ServiceSpec { protocol: Protocol::Udp, ..service("names", "203.0.113.12:80") };
    site.state.apply(&Change::PutService(udp)).unwrap();
    let names = BindingKey { service: "names".parse().unwrap(), ..key("www", 7) };
    site.state.apply(&Change::PutBinding(names, Binding::new(1, Phase::Serve))).unwrap();
    let drained = Binding::new(1, Phase::Drain);
    site.state.apply(&Change::PutBinding(key("www", 4), drained)).unwrap();
    let asked = site.watch.targets(&site.state);
    assert_eq!(asked, [1, 2, 3, 9].map(|server| key("www", server).backend));
}
