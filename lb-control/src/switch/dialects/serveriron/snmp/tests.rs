mod rows;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

use async_snmp::Value;
use tokio::net::UdpSocket;

use super::{
    super::{
        config::{Bind, Real},
        steps::Step,
    },
    write::waves,
    *,
};

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

/// Objects below the private MIB, as they are shown.
fn shown(pdu: &[(Oid, Value)]) -> Vec<(String, String)> {
    let prefix = "1.3.6.1.4.1.1991.1.1.4.";
    let value = |value: &Value| match value {
        Value::Integer(number) => number.to_string(),
        Value::OctetString(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    };
    let object = |oid: &Oid| oid.to_string().strip_prefix(prefix).expect("below L4").to_owned();
    pdu.iter().map(|(oid, set)| (object(oid), value(set))).collect()
}

#[test]
fn steps_are_rows() {
    let mut known = Config::default();
    known.reals.insert(ONE, Real { ports: [(80, true)].into(), ..Real::new(ONE) });
    type Row = (Step, &'static [(&'static str, &'static str)]);
    let table: [Row; 9] = [
        (
            Step::AddReal(ONE),
            &[
                ("19.1.1.2.10.0.0.1", "sluice-10.0.0.1"),
                ("19.1.1.3.10.0.0.1", "1"),
                ("19.1.1.5.10.0.0.1", "9"),
                ("19.1.1.6.10.0.0.1", "4"),
            ],
        ),
        (Step::Weigh(ONE, 3), &[("19.1.1.5.10.0.0.1", "3"), ("19.1.1.6.10.0.0.1", "5")]),
        (
            Step::Port(at(ONE, 80), false),
            &[("20.1.1.4.10.0.0.1.80", "0"), ("20.1.1.5.10.0.0.1.80", "5")],
        ),
        (
            Step::Port(at(ONE, 81), true),
            &[("20.1.1.4.10.0.0.1.81", "1"), ("20.1.1.5.10.0.0.1.81", "4")],
        ),
        (
            Step::AddVirtual(VIP, "www".into()),
            &[
                ("21.1.1.2.203.0.113.50", "www"),
                ("21.1.1.3.203.0.113.50", "1"),
                ("21.1.1.4.203.0.113.50", "3"),
                ("21.1.1.5.203.0.113.50", "4"),
            ],
        ),
        (
            Step::AddVirtualPort(at(VIP, 80)),
            &[("22.1.1.4.203.0.113.50.80", "1"), ("22.1.1.7.203.0.113.50.80", "4")],
        ),
        (Step::RemovePort(at(ONE, 80)), &[("20.1.1.5.10.0.0.1.80", "3")]),
        (Step::RemoveReal(ONE), &[("19.1.1.6.10.0.0.1", "3")]),
        (Step::RemoveVirtual(VIP), &[("21.1.1.5.203.0.113.50", "3")]),
    ];
    for (step, expected) in table {
        let pdu = tables::set(&step, &known, Some(9)).expect("a row");
        let expected: Vec<_> =
            expected.iter().map(|(o, v)| ((*o).to_owned(), (*v).to_owned())).collect();
        assert_eq!(shown(&pdu), expected, "{step:?}");
    }
    let bind = Bind { service: at(VIP, 80), server: at(ONE, 8080) };
    let expected = [
        ("6.1.1.2.7", "www"),
        ("6.1.1.3.7", "80"),
        ("6.1.1.4.7", "sluice-10.0.0.1"),
        ("6.1.1.5.7", "8080"),
        ("6.1.1.6.7", "4"),
    ];
    let row = tables::bind(bind, "www", 7);
    assert_eq!(shown(&row), expected.map(|(o, v)| (o.to_owned(), v.to_owned())));
    assert_eq!(shown(&tables::unbind(7)), [("6.1.1.6.7".to_owned(), "3".to_owned())]);
}

/// Also where a server that leaves has the highest address, and shares would go up before.
#[test]
fn who_leaves_does_so_before_others_take_its_share() {
    let two = Ipv4Addr::new(10, 0, 0, 2);
    let mut known = Config::default();
    for address in [ONE, two] {
        known.reals.insert(address, Real { ports: [(80, true)].into(), ..Real::new(address) });
    }
    let leaves = Step::Port(at(two, 80), false);
    // One that comes, and is not to serve, needs its real server first.
    let new = Ipv4Addr::new(10, 0, 0, 3);
    let steps =
        [Step::Weigh(ONE, 9), Step::AddReal(new), Step::Port(at(new, 80), false), leaves.clone()];
    let order: Vec<_> = waves(&steps, &known).concat().into_iter().cloned().collect();
    let [_, _, comes, _] = &steps;
    let expected = [leaves, Step::AddReal(new), Step::Weigh(ONE, 9), comes.clone()];
    assert_eq!(order, expected);
    assert_eq!(waves(&steps, &known).len(), 4);
}

#[test]
fn indexes_of_rows_are_read_with_care() {
    assert_eq!(tables::address(&[10, 0, 0, 1]), Some(ONE));
    assert_eq!(tables::address_and_port(&[10, 0, 0, 1, 80]), Some(at(ONE, 80)));
    for index in [&[][..], &[10, 0, 0], &[10, 0, 0, 256], &[10, 0, 0, 1, 2]] {
        assert_eq!(tables::address(index), None, "{index:?}");
    }
    for index in [&[][..], &[10, 0, 0, 1], &[10, 0, 0, 1, 65536], &[10, 0, 0, 300, 80]] {
        assert_eq!(tables::address_and_port(index), None, "{index:?}");
    }
}

#[test]
fn a_reboot_is_time_that_goes_back_and_no_turn_of_its_counter() {
    let table = [
        (100, 200, false),
        (200, 200, false),
        (200, 100, true),
        (u32::MAX - 10, 5, false),
        (u32::MAX / 2, 5, true),
    ];
    for (before, now, reboot) in table {
        assert_eq!(is_reboot(before, now), reboot, "{before} then {now}");
    }
}

/// A device at that address, by v2c or by v3 with what is added.
fn device(address: std::net::SocketAddr, more: &str) -> (Box<dyn Device>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    fs::write(&secret, "a secret to be kept\n").expect("write");
    let more = more.replace("SECRET", &secret.display().to_string());
    let text = format!(
        "name = 'iron'\nkind = 'serveriron-snmp'\ntimeout = '300ms'\n[options]\n\
         address = '{address}'\n{more}"
    );
    let settings: SwitchSettings = toml::from_str(&text).expect("settings");
    (make(&settings).expect("a device"), directory)
}

const V2C: &str = "version = '2c'\ncommunity_file = 'SECRET'";
const V3: &str = "version = '3'\nuser = 'sluice'\nauth_password_file = 'SECRET'\n\
                  priv_password_file = 'SECRET'";

/// Agents that are silent, or that answer with what is none.
#[tokio::test]
async fn what_makes_no_sense_is_a_lost_connection_and_soon() {
    let answers: [&[u8]; 4] = [b"", b"\x30\x84\xff\xff\xff\xff", &[0x30; 1400], &[0xff; 1400]];
    for answer in answers {
        for how in [V2C, V3] {
            let agent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
            let (mut device, _files) = device(agent.local_addr().expect("an address"), how);
            let peer = tokio::spawn(async move {
                let mut bytes = [0; 2048];
                while let Ok((_, from)) = agent.recv_from(&mut bytes).await {
                    if !answer.is_empty() {
                        agent.send_to(answer, from).await.expect("sent");
                    }
                }
            });
            let begun = Instant::now();
            let failure = device.read().await.expect_err("it makes no sense");
            assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
            assert!(!failure.to_string().contains("secret"), "{failure}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            peer.abort();
        }
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let table = [
        ("version = '2c'", "give community_file"),
        ("version = '2c'\ncommunity_env = 'C'\nuser = 'u'", "only version 3"),
        ("version = '3'\ncommunity_env = 'C'", "only version 2c"),
        ("version = '3'\nauth_password_env = 'A'\npriv_password_env = 'B'", "user is missing"),
        ("version = '3'\nuser = 'u'\nauth_password_env = 'A'", "give priv_password_file"),
        ("version = '3'\nuser = 'u'\npriv_password_env = 'A'", "give auth_password_file"),
    ];
    for (text, words) in table {
        let options: Options =
            toml::from_str(&format!("address = '1.2.3.4:161'\n{text}")).expect(text);
        let error = options.check().expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
    let inline = "address = '1.2.3.4:161'\nversion = '2c'\ncommunity = 'x'";
    toml::from_str::<Options>(inline).expect_err("an unknown field");
}
