//! Defaults, and the example files that show them.

use super::*;

#[test]
fn defaults() {
    let settings = parse(WWW, Path::new("sluice.toml")).unwrap();
    assert_eq!(settings.manager, ManagerSettings::default());
    assert_eq!(settings.services[0].ring_size, 65_537);
    assert_eq!(settings.edge, None);
}

/// The text of a file under `examples`, and what it says.
fn example(name: &str) -> (String, Settings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let settings = parse(&text, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
    (text, settings)
}

/// With every value that is commented out in place.
fn in_full(text: &str) -> String {
    let is_value = |text: &str| text.starts_with('[') || text.split(' ').nth(1) == Some("=");
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(value) if is_value(value) => value.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn examples_hold_and_show_the_defaults() {
    for name in ["sluice.toml", "agent.toml"] {
        let (text, settings) = example(name);
        let full = in_full(&text);
        let mut full = parse(&full, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
        // What has no default.
        full.tls.take().unwrap();
        let rules = std::mem::take(&mut full.manager.allow).len();
        for switch in std::mem::take(&mut full.switches) {
            let bare: SwitchSettings = toml::from_str("name = \"lb\"\nkind = \"any\"").unwrap();
            let periods = |of: &SwitchSettings| (of.poll, of.verify, of.timeout);
            assert_eq!(periods(&switch), periods(&bare));
        }
        let metrics = full.manager.metrics.take().map(|address| address.to_string());
        assert_eq!(metrics.as_deref(), (name == "sluice.toml").then_some("127.0.0.1:9740"));
        if name == "sluice.toml" {
            let dfp = "name = \"shop\"\naddress = \"10.0.0.21:8080\"\nbackends = [\"10.0.0.0/24\"]";
            let dfp = toml::from_str(dfp).unwrap();
            assert_eq!(std::mem::take(&mut full.manager.dfp), [dfp]);
            let check = full.manager.agent_check.take().unwrap();
            assert_eq!(check.listen.to_string(), "127.0.0.1:7402");
        }
        assert_eq!(rules, if name == "sluice.toml" { 4 } else { 0 });
        for service in &mut full.services {
            // Where nothing is said, it depends on `port`.
            let probe = service.health.probe.take();
            assert!(probe.is_none_or(|probe| probe == service.health.kind()), "{probe:?}");
        }
        if let Some(edge) = &mut full.edge {
            edge.manager.take().unwrap();
            edge.metrics.take().unwrap();
        }
        if let Some(agent) = &mut full.agent {
            agent.name.take().unwrap();
            agent.binds[0].server_id.take().unwrap();
            let poll = agent.binds[0].agent_check.take().unwrap();
            assert_eq!(poll, toml::from_str("port = 9999\naddress = \"10.0.0.11\"").unwrap());
            let watchdog = Some(std::time::Duration::from_secs(10));
            let notify = NotifySettings { watchdog, ..NotifySettings::default() };
            assert_eq!(agent.notify.take(), Some(notify));
            let bare: DecapSettings = toml::from_str("interfaces = [\"eth0\"]").unwrap();
            assert_eq!(agent.decap.take(), Some(bare));
        }
        assert_eq!(full, settings, "{name}");
    }
}
