//! A device's session with the core.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, time::timeout};

use super::*;
use crate::{
    model::{Change, Delta, FromSwitch, Hello, Stamp, ToSwitch},
    switch::{Planned, session},
};

/// Of what is said soon, or never.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    fake: Fake,
    from: mpsc::Receiver<FromSwitch>,
    to: mpsc::Sender<ToSwitch>,
    ended: tokio::task::JoinHandle<(Planned, Result<(), Failure>)>,
    sequence: u64,
}

/// Polls and verifies all the time.
fn planned(fake: &Fake) -> Planned {
    let times = (Duration::from_millis(10), Duration::ZERO);
    let specs = www(&[]).services.into_iter().map(|(_, spec)| spec);
    Planned::new(Box::new(fake.clone()), shape(ABLE), times, specs)
}

impl World {
    fn start(fake: &Fake, mut adapter: Planned) -> Self {
        let (to_manager, from) = mpsc::channel(8);
        let (to, from_manager) = mpsc::channel(8);
        let ended = tokio::spawn(async move {
            let outcome = session(&name("box"), &mut adapter, to_manager, from_manager).await;
            (adapter, outcome)
        });
        Self { fake: fake.clone(), from, to, ended, sequence: 0 }
    }

    async fn next(&mut self) -> FromSwitch {
        let said = timeout(PATIENCE, self.from.recv()).await.expect("it says nothing");
        said.expect("the session goes on")
    }

    /// What is said beside counters.
    async fn told(&mut self) -> FromSwitch {
        let begun = Instant::now();
        loop {
            match self.next().await {
                FromSwitch::Counters(_) => assert!(begun.elapsed() < PATIENCE, "only counters"),
                other => return other,
            }
        }
    }

    async fn hello(&mut self) -> Hello {
        match self.told().await {
            FromSwitch::Hello(hello) => hello,
            other => panic!("no hello: {other:?}"),
        }
    }

    /// The answer to a delta.
    async fn apply(&mut self, changes: Vec<Change>) -> FromSwitch {
        self.sequence += 1;
        let stamp = Stamp { term: 1, sequence: self.sequence };
        self.to.send(ToSwitch::Apply(Delta { stamp, changes: changes.into() })).await.unwrap();
        self.told().await
    }

    fn servers(&self) -> Vec<String> {
        let inside = self.fake.inside();
        let servers = inside.holds.services.values().flat_map(|service| service.servers.keys());
        servers.map(ToString::to_string).collect()
    }
}

fn put(backend: &str, weight: Weight) -> Change {
    Change::PutBinding(key("www", backend), Binding::new(weight, Phase::Serve))
}

#[tokio::test]
async fn a_device_is_read_filled_and_counted() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    let hello = world.hello().await;
    assert_eq!((hello.name, hello.stamp, hello.state), (name("box"), Stamp::default(), www(&[])));
    assert!(hello.description.contains("weights 0-256"), "{}", hello.description);
    let answer = world.apply(vec![put("192.0.2.1:80", 5)]).await;
    assert!(matches!(answer, FromSwitch::Applied { generation: 1, .. }), "{answer:?}");
    assert_eq!(world.servers(), ["192.0.2.1:80"]);
    let ours = Count { key: key("www", "192.0.2.1:80"), connections: 3, total: 9 };
    let stranger = Count { key: key("www", "192.0.2.8:80"), connections: 1, total: 1 };
    fake.inside().counts = vec![ours, stranger];
    let counters = loop {
        match world.next().await {
            FromSwitch::Counters(counters) if !counters.backends.is_empty() => break counters,
            FromSwitch::Counters(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(counters.backends.len(), 1, "what is not ours is not counted");
    assert_eq!(counters.backends[0].remembered_flows, 3);
    assert_eq!(counters.backends[0].new_connections, 9);
}

#[tokio::test]
async fn a_refusal_is_in_the_devices_words_and_the_next_delta_makes_up_for_it() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    fake.inside().refuses = Some("Error - table full".to_owned());
    let refused = world.apply(vec![put("192.0.2.1:80", 5)]).await;
    let FromSwitch::Refused { reason, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "Error - table full");
    // What it holds meanwhile is no drift.
    fake.inside().holds = Plan::of(&www(&[("192.0.2.9:80", 1)]), &shape(ABLE)).0;
    tokio::time::sleep(Duration::from_millis(100)).await;
    while let Ok(message) = world.from.try_recv() {
        assert!(matches!(message, FromSwitch::Counters(_)), "{message:?}");
    }
    fake.inside().refuses = None;
    let answer = world.apply(vec![put("192.0.2.1:80", 5)]).await;
    assert!(matches!(answer, FromSwitch::Applied { .. }), "{answer:?}");
    assert_eq!(world.servers(), ["192.0.2.1:80"]);
}

#[tokio::test]
async fn what_another_hand_changes_is_told_as_a_full_read() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    world.apply(vec![put("192.0.2.1:80", 5)]).await;
    fake.inside().holds = Plan::of(&www(&[("192.0.2.2:80", 5)]), &shape(ABLE)).0;
    let hello = world.hello().await;
    assert_eq!(hello.stamp, Stamp { term: 1, sequence: 1 });
    assert_eq!(hello.state.bindings.keys().collect::<Vec<_>>(), [&key("www", "192.0.2.2:80")]);
}

#[tokio::test]
async fn a_drop_server_that_is_no_longer_asked_for_goes_though_the_core_cannot_see_it() {
    let fake = Fake::default();
    let mut state = www(&[("192.0.2.1:80", 5)]);
    refuse(&mut state, "default", 50.0);
    fake.inside().holds = Plan::of(&state, &shape(ABLE)).0;
    assert_eq!(fake.inside().holds.services[&name("www")].servers.len(), 2);
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    let begun = Instant::now();
    while fake.inside().applied == 0 {
        assert!(begun.elapsed() < PATIENCE, "it stays");
        world.next().await;
    }
    assert_eq!(world.servers(), ["192.0.2.1:80"]);
    for _ in 0..5 {
        world.next().await;
    }
    assert_eq!(fake.inside().applied, 1, "and once is enough");
}

#[tokio::test]
async fn what_it_lacks_is_told_when_it_changes() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    let mut any = service("any", "203.0.113.11:80");
    any.address = "203.0.113.11:*".parse().unwrap();
    world.apply(vec![Change::PutService(any)]).await;
    let told = world.told().await;
    assert!(matches!(&told, FromSwitch::Lacks(lacks) if lacks.len() == 1), "{told:?}");
    world.apply(vec![put("192.0.2.1:80", 5)]).await;
    let answer = world.apply(vec![Change::DeleteService(name("any"))]).await;
    assert!(matches!(answer, FromSwitch::Applied { .. }), "the same lack is not told again");
    let told = world.told().await;
    assert!(matches!(&told, FromSwitch::Lacks(lacks) if lacks.is_empty()), "{told:?}");
}

#[tokio::test]
async fn a_lost_device_ends_the_session_and_is_read_anew_in_the_next() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    world.apply(vec![put("192.0.2.1:80", 5)]).await;
    fake.inside().fails = Some(Failure::Rebooted("uptime went back".to_owned()));
    fake.inside().holds = Plan::default();
    let (adapter, outcome) = world.ended.await.unwrap();
    assert_eq!(outcome, Err(Failure::Rebooted("uptime went back".to_owned())));
    let mut world = World::start(&fake, adapter);
    let hello = world.hello().await;
    assert_eq!(hello.stamp, Stamp::default(), "an empty switch has seen no delta");
    assert!(hello.state.bindings.is_empty());
    drop(world.to);
    assert_eq!(world.ended.await.unwrap().1, Ok(()), "the manager ended it");
}

#[tokio::test]
async fn a_delta_that_was_done_counts_though_its_answer_was_lost() {
    let fake = Fake::default();
    let mut world = World::start(&fake, planned(&fake));
    world.hello().await;
    fake.inside().mute = true;
    let stamp = Stamp { term: 1, sequence: 1 };
    let changes = vec![put("192.0.2.1:80", 5000)].into();
    world.to.send(ToSwitch::Apply(Delta { stamp, changes })).await.unwrap();
    let (adapter, outcome) = world.ended.await.unwrap();
    assert_eq!(outcome, Err(Failure::Lost("no answer".to_owned())));
    let hello = World::start(&fake, adapter).hello().await;
    assert_eq!(hello.stamp, stamp);
    let wanted = Binding::new(5000, Phase::Serve);
    assert_eq!(hello.state.bindings.get(&key("www", "192.0.2.1:80")), Some(&wanted));
}
