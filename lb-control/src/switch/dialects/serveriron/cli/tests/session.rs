//! Steps, in the words that are typed.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    super::{
        super::{
            config::{Bind, Config, Real},
            driver::Language as _,
            options::WriteMemory,
            steps::Step,
        },
        Cli, Session,
        options::{Access, Over},
    },
    *,
};

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn bind(server: Ipv4Addr) -> Bind {
    Bind { service: at(VIP, 80), server: at(server, 80) }
}

/// A box that answers each line with the prompt that is named, or with other words before
/// it.
fn typed(script: &[(&str, &str)]) -> (Session, JoinHandle<()>) {
    let answer = |(line, said): &(&str, &str)| match *line {
        "CR" => format!("\r\n{said}"),
        echo => format!("{echo}\r\n{said}"),
    };
    let said: Vec<_> = script.iter().map(answer).collect();
    let said: Vec<_> = said.iter().map(|said| [said.as_str()]).collect();
    let script: Vec<Exchange<'_>> =
        script.iter().zip(&said).map(|((line, _), said)| (*line, said.as_slice())).collect();
    let (screen, peer) = play(&script);
    (Session { screen, host: host() }, peer)
}

/// Steps, given to such a box.
async fn type_steps(
    steps: &[Step],
    config: &mut Config,
    script: &[(&str, &str)],
) -> (Vec<Step>, Vec<String>) {
    let (mut session, peer) = typed(script);
    let outcome = session.run(steps, config).await.expect("the connection holds");
    // What the script still waits for never comes.
    drop(session);
    peer.await.expect("the script is played");
    (outcome.taken, outcome.refusals)
}

const TOP: &str = "iron(config)#";
const IN_ONE: &str = "iron(config-rs-sluice-10.0.0.1)#";
const IN_TWO: &str = "iron(config-rs-sluice-10.0.0.2)#";
const IN_WWW: &str = "iron(config-vs-www)#";

#[tokio::test]
async fn a_new_service_with_two_servers() {
    let steps = [
        Step::AddReal(ONE),
        Step::Weigh(ONE, 5),
        Step::Port(at(ONE, 80), true),
        Step::AddReal(TWO),
        Step::Port(at(TWO, 80), false),
        Step::AddVirtual(VIP, "www".into()),
        Step::AddVirtualPort(at(VIP, 80)),
        Step::Bind(vec![bind(ONE), bind(TWO)]),
    ];
    let mut config = Config::default();
    let (taken, refusals) = type_steps(
        &steps,
        &mut config,
        &[
            ("configure terminal", TOP),
            ("server real sluice-10.0.0.1 10.0.0.1", IN_ONE),
            ("weight 5", IN_ONE),
            ("port http", IN_ONE),
            ("exit", TOP),
            ("server real sluice-10.0.0.2 10.0.0.2", IN_TWO),
            ("port http disable", IN_TWO),
            ("exit", TOP),
            ("server virtual www 203.0.113.50", IN_WWW),
            ("predictor weighted", IN_WWW),
            ("port http", IN_WWW),
            ("bind http sluice-10.0.0.1 http sluice-10.0.0.2 http", IN_WWW),
            ("end", "telnet@iron#"),
        ],
    )
    .await;
    assert_eq!((taken.as_slice(), refusals.len()), (steps.as_slice(), 0));
    assert_eq!(config.our_binds().count(), 2);
    assert_eq!(config.enabled(at(TWO, 80)), Some(false));
}

fn bound() -> Config {
    let mut config = Config::default();
    for step in [
        Step::AddReal(ONE),
        Step::Port(at(ONE, 80), true),
        Step::AddReal(TWO),
        Step::Port(at(TWO, 80), true),
        Step::AddVirtual(VIP, "www".into()),
        Step::AddVirtualPort(at(VIP, 80)),
        Step::Bind(vec![bind(ONE), bind(TWO)]),
    ] {
        config.take(&step);
    }
    config
}

#[tokio::test]
async fn out_again_and_broken() {
    let steps = [
        Step::Port(at(TWO, 80), false),
        Step::Break(TWO),
        Step::Unbind(bind(ONE)),
        Step::RemoveReal(ONE),
        Step::RemoveVirtualPort(at(VIP, 443)),
    ];
    let mut config = bound();
    let (taken, refusals) = type_steps(
        &steps,
        &mut config,
        &[
            ("configure terminal", TOP),
            ("server real sluice-10.0.0.2 10.0.0.2", IN_TWO),
            ("port http disable", IN_TWO),
            ("exit", TOP),
            ("server virtual www 203.0.113.50", IN_WWW),
            ("no bind http sluice-10.0.0.1 http", IN_WWW),
            ("exit", TOP),
            (
                "no server real sluice-10.0.0.1",
                "Server sluice-10.0.0.1 successfully \
                                                deleted.\r\niron(config)#",
            ),
            ("server virtual www 203.0.113.50", IN_WWW),
            ("no port 443", IN_WWW),
            ("end", "iron#"),
            ("clear server session sluice-10.0.0.2", "iron#"),
        ],
    )
    .await;
    assert_eq!((taken.len(), refusals.len()), (steps.len(), 0));
    assert!(!config.reals.contains_key(&ONE));
}

/// What is refused is told of in the box's words, and holds up nothing else.
#[tokio::test]
async fn a_refusal_holds_up_nothing_else() {
    let steps = [
        Step::Weigh(ONE, 9),
        Step::AddReal(Ipv4Addr::new(10, 0, 0, 9)),
        Step::Port(at(Ipv4Addr::new(10, 0, 0, 9), 80), true),
        Step::Bind(vec![bind(ONE), bind(TWO)]),
    ];
    let mut config = bound();
    config.binds.clear();
    let (taken, refusals) = type_steps(
        &steps,
        &mut config,
        &[
            ("configure terminal", TOP),
            ("server real sluice-10.0.0.1 10.0.0.1", IN_ONE),
            ("weight 9", &format!("Invalid input -> 9\r\nType ? for a list\r\n{IN_ONE}")),
            ("exit", TOP),
            ("server real sluice-10.0.0.9 10.0.0.9", &format!("Error - no room\r\n{TOP}")),
            ("server virtual www 203.0.113.50", IN_WWW),
            (
                "bind http sluice-10.0.0.1 http sluice-10.0.0.2 http",
                &format!("Error - sluice-10.0.0.2 is unfit\r\n{IN_WWW}"),
            ),
            ("bind http sluice-10.0.0.1 http", IN_WWW),
            (
                "bind http sluice-10.0.0.2 http",
                &format!("Error - sluice-10.0.0.2 is unfit\r\n{IN_WWW}"),
            ),
            ("end", "iron#"),
        ],
    )
    .await;
    assert_eq!(taken, [Step::Bind(vec![bind(ONE)])]);
    assert_eq!(
        refusals,
        [
            "`weight 9`: Invalid input -> 9 / Type ? for a list",
            "`server real sluice-10.0.0.9 10.0.0.9`: Error - no room",
            "`bind http sluice-10.0.0.2 http`: Error - sluice-10.0.0.2 is unfit",
        ]
    );
    assert_eq!(config.reals[&ONE].weight, Real::WEIGHT);
    assert_eq!(config.our_binds().collect::<Vec<_>>(), [bind(ONE)]);
}

/// Another one has the one configuration session that there is.
#[tokio::test]
async fn no_configuration_session_is_a_refusal() {
    let mut config = bound();
    let (taken, refusals) = type_steps(
        &[Step::Weigh(ONE, 9)],
        &mut config,
        &[("configure terminal", "Error - another user is configuring\r\ntelnet@iron#")],
    )
    .await;
    assert!(taken.is_empty());
    assert_eq!(refusals, ["`configure terminal`: Error - another user is configuring"]);
}

/// `port N` undoes `port N disable` on some boxes, and not on others.
#[tokio::test]
async fn a_port_is_enabled_the_one_way_or_the_other() {
    const ENTER: &str = "server real sluice-10.0.0.1 10.0.0.1";
    let way = |way| [("configure terminal", TOP), (ENTER, IN_ONE), (way, IN_ONE), ("end", "iron#")];
    for (state, again) in [("", false), (" disable", true)] {
        let running = format!("{ENTER}\r\n port http{state}\r\nend\r\niron#");
        let mut script = way("port http").to_vec();
        script.extend([("show running-config", running.as_str()), ("CR", "iron#")]);
        script.extend(way("no port http disable").into_iter().filter(|_| again));
        let (session, peer) = typed(&script);
        let mut cli = over_telnet(session);
        let mut config = bound();
        config.take(&Step::Port(at(ONE, 80), false));
        let enable = [Step::Port(at(ONE, 80), true)];
        let outcome = cli.run(&enable, &mut config).await.expect("the connection holds");
        drop(cli);
        peer.await.expect("the script is played");
        assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
        assert_eq!(config.enabled(at(ONE, 80)), Some(true));
    }
}

fn over_telnet(session: Session) -> Cli {
    let access = Access {
        address: ([192, 0, 2, 1], 23).into(),
        user: None,
        password: None,
        enable: None,
        over: Over::Telnet,
    };
    Cli { access, write_memory: WriteMemory::Never, timeout: PATIENCE, session: Some(session) }
}
