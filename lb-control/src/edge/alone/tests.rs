use super::*;
use crate::model::{Binding, Change, Mode, Phase, Protocol, ServiceSpec, Vip};

#[test]
fn backends_are_asked_as_their_services_say() {
    let service = |name: &str, vip: &str, mode| {
        ServiceSpec::tcp(name.parse().unwrap(), vip.parse::<Vip>().unwrap(), mode)
    };
    let mut state = SwitchState::default();
    let www = ServiceSpec { probe_path: true, ..service("www", "203.0.113.10:80", Mode::Gue) };
    let api = service("api", "203.0.113.11:80", Mode::L2);
    let names = ServiceSpec {
        protocol: Protocol::Udp,
        probe_path: true,
        ..service("names", "203.0.113.12:80", Mode::L2)
    };
    let backend: SocketAddr = "192.0.2.1:80".parse().unwrap();
    for spec in [www.clone(), api, names] {
        state.apply(&Change::PutService(spec.clone())).unwrap();
        let key = BindingKey { service: spec.name, backend };
        state.apply(&Change::PutBinding(key, Binding::new(1, Phase::Serve))).unwrap();
    }
    let path = ProbePath::of(&www, backend, None).unwrap();
    let asked: Vec<_> = targets(&Watch::default(), &state)
        .into_iter()
        .map(|(key, target)| (key.service.to_string(), target))
        .collect();
    let expected = [("api", Target::Backend(backend)), ("www", Target::Path(path))];
    assert_eq!(asked, expected.map(|(name, target)| (name.to_owned(), target)));
}
