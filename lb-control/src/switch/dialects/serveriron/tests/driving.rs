use super::*;
use crate::switch::Device as _;

fn refused(result: Result<(), Failure>) -> String {
    match result {
        Err(Failure::Refused(why)) => why,
        other => panic!("{other:?} is no refusal"),
    }
}

fn www(servers: &[(SocketAddrV4, PlannedServer)]) -> Plan {
    plan(&[("www", 80, servers)])
}

#[tokio::test]
async fn what_was_applied_is_read_back() {
    let mut driver = driver(Fake::default());
    assert_eq!(driver.read().await.expect("read"), Plan::default());
    let all = www(&[
        (at(ONE, 80), serve(7)),
        (at(TWO, 80), DRAIN),
        (at(Ipv4Addr::new(10, 0, 0, 4), 80), serve(0)),
        (at(Ipv4Addr::new(10, 0, 0, 3), 80), BREAK),
    ]);
    driver.apply(&all).await.expect("applied");
    assert_eq!(driver.read().await.expect("read"), all);
    let count = driver.language().log.len();
    driver.apply(&all).await.expect("applied again");
    assert_eq!(driver.language().log.len(), count, "nothing is left to do");
}

#[tokio::test]
async fn a_server_leaves_when_its_connections_have_ended() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    driver.apply(&www(&[(at(ONE, 80), serve(1)), (at(TWO, 80), serve(1))])).await.expect("applied");
    driver.language().connections.insert(at(TWO, 80), 2);
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("it leaves");
    assert_eq!(driver.language().config.enabled(at(TWO, 80)), Some(false));
    // It is there with its connections, and gone for the plan.
    let held = driver.read().await.expect("read");
    assert_eq!(held, www(&[(at(ONE, 80), serve(1))]));
    driver.poll().await.expect("polled");
    assert!(driver.language().config.reals.contains_key(&TWO), "it has connections");
    driver.language().connections.clear();
    let counts = driver.poll().await.expect("polled");
    assert!(!driver.language().config.reals.contains_key(&TWO), "it had none left");
    assert_eq!(counts.len(), 1);
    assert_eq!((counts[0].connections, counts[0].total), (0, 100));
    assert_eq!(counts[0].key.service.as_str(), "www");
}

#[tokio::test]
async fn a_server_without_connections_leaves_at_once() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("applied");
    driver.apply(&Plan::default()).await.expect("all of it goes");
    assert_eq!(driver.language().config, Config::default());
}

#[tokio::test]
async fn who_comes_back_in_a_shutdown_is_enabled_when_it_is_over() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    let serving = www(&[(at(ONE, 80), serve(1))]);
    driver.apply(&serving).await.expect("applied");
    driver.language().connections.insert(at(ONE, 80), 2);
    driver.apply(&www(&[(at(ONE, 80), DRAIN)])).await.expect("it drains");
    let why = refused(driver.apply(&serving).await);
    assert!(why.contains("2 connections"), "{why}");
    // It is not told of as serving before it does.
    assert_eq!(driver.read().await.expect("read"), www(&[(at(ONE, 80), DRAIN)]));
    driver.poll().await.expect("polled");
    assert_eq!(driver.language().config.enabled(at(ONE, 80)), Some(false));
    driver.language().connections.clear();
    driver.poll().await.expect("polled");
    assert_eq!(driver.read().await.expect("read"), serving);
}

#[tokio::test]
async fn the_rest_is_done_where_a_part_is_refused() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    driver.language().refuses.push(Step::AddReal(TWO));
    let both = www(&[(at(ONE, 80), serve(1)), (at(TWO, 80), serve(1))]);
    let why = refused(driver.apply(&both).await);
    assert!(why.contains("no AddReal(10.0.0.2)"), "{why}");
    assert!(driver.language().config.enabled(at(ONE, 80)).is_some());
    // It looks again before it writes again, and does what was missing.
    driver.language().refuses.clear();
    let reads = driver.language().reads;
    driver.apply(&both).await.expect("now");
    assert!(driver.language().reads > reads);
    assert_eq!(driver.read().await.expect("read"), both);
}

#[tokio::test]
async fn services_are_called_what_they_were_called_or_as_the_virtual_server() {
    let two = plan(&[
        ("shop", 443, &[(at(ONE, 443), serve(1))]),
        ("www", 80, &[(at(ONE, 80), serve(1))]),
    ]);
    let mut first = driver(Fake::default());
    first.read().await.expect("read");
    first.apply(&two).await.expect("applied");
    assert_eq!(first.read().await.expect("read"), two);
    // Another process, which has not heard of them: of one virtual server's two ports the
    // name says nothing.
    let config = first.language().config.clone();
    let mut second = driver(Fake { config: config.clone(), ..Fake::default() });
    let names = second.read().await.expect("read").services.into_keys();
    let names: Vec<_> = names.map(String::from).collect();
    assert_eq!(names, ["203.0.113.50-443", "203.0.113.50-80"]);
    // Of its only one it does.
    let mut one = config;
    one.take(&Step::RemoveVirtualPort(at(VIP, 443)));
    one.binds.retain(|bind| bind.service.port() == 80);
    let mut third = driver(Fake { config: one.clone(), ..Fake::default() });
    let names: Vec<_> = third.read().await.expect("read").services.into_keys().collect();
    assert_eq!(names.first().map(|name| name.as_str()), Some("www"));
    // And what the options say comes first.
    let named = [("front".to_owned(), "www".to_owned())].into();
    let options = Common::new(named, None).expect("good options");
    let mut fourth = Driver::new(Fake { config: one, ..Fake::default() }, options);
    let names: Vec<_> = fourth.read().await.expect("read").services.into_keys().collect();
    assert_eq!(names.first().map(|name| name.as_str()), Some("front"));
}

#[tokio::test]
async fn a_lost_connection_forgets_what_was_on_the_way() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("applied");
    driver.language().connections.insert(at(ONE, 80), 2);
    driver.apply(&Plan::default()).await.expect("it leaves");
    driver.language().lost = true;
    let failure = driver.apply(&www(&[(at(TWO, 80), serve(1))])).await.expect_err("it is gone");
    assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
    // What was leaving is told of again: nobody remembers that it should.
    let held = driver.read().await.expect("read");
    assert_eq!(held, www(&[(at(ONE, 80), DRAIN)]));
}

#[tokio::test]
async fn a_box_without_any_of_ours_has_begun_anew() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    driver.poll().await.expect("an empty box is as it was");
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("applied");
    driver.poll().await.expect("it is there");
    driver.language().config = Config::default();
    let failure = driver.poll().await.expect_err("it is not");
    assert!(matches!(failure, Failure::Rebooted(_)), "{failure:?}");
    assert_eq!(driver.read().await.expect("read"), Plan::default());
}

#[tokio::test]
async fn what_changed_is_kept_and_what_did_not_is_not_written() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    let one = www(&[(at(ONE, 80), serve(1))]);
    driver.apply(&one).await.expect("applied");
    driver.apply(&one).await.expect("applied");
    assert_eq!(driver.language().saves, 1);
}

#[tokio::test]
async fn connections_are_broken_once_for_each_time_it_is_asked() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    let breaks = |driver: &mut Driver<Fake>| {
        driver.language().log.iter().filter(|step| **step == Step::Break(ONE)).count()
    };
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("applied");
    for _ in 0..2 {
        driver.apply(&www(&[(at(ONE, 80), BREAK)])).await.expect("broken");
    }
    assert_eq!(breaks(&mut driver), 1);
    driver.apply(&www(&[(at(ONE, 80), serve(1))])).await.expect("it is back");
    driver.apply(&www(&[(at(ONE, 80), BREAK)])).await.expect("broken");
    assert_eq!(breaks(&mut driver), 2);
}

/// The box counts by port, whatever is bound to it.
#[tokio::test]
async fn a_port_of_two_services_is_counted_once() {
    let mut driver = driver(Fake::default());
    driver.read().await.expect("read");
    let one = [(at(ONE, 80), serve(1))];
    driver.apply(&plan(&[("www", 80, &one), ("api", 81, &one)])).await.expect("applied");
    driver.language().connections.insert(at(ONE, 80), 7);
    let counts = driver.poll().await.expect("polled");
    let counts: Vec<_> = counts.iter().map(|count| (count.connections, count.total)).collect();
    assert_eq!(counts, [(7, 107)]);
}
