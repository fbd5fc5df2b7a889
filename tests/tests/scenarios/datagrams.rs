//! UDP: real datagrams to real sockets.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Host, Lab, Service, gue, l2, nat};

pub(crate) const UDP: &str = "protocol = \"tcp+udp\"";

/// Servers that answer every datagram with their name, until dropped.
pub(crate) struct Names(Arc<AtomicBool>);

impl Names {
    pub(crate) fn start(lab: &Lab, at: impl Fn(usize) -> SocketAddr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for (index, server) in lab.servers().iter().enumerate() {
            let address = at(index);
            let socket = server.netns().enter(|| Ok(UdpSocket::bind(address)?))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            let (name, stop) = (server.name().to_owned(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut bytes) {
                        let _ = socket.send_to(name.as_bytes(), from);
                    }
                }
            });
        }
        Ok(Self(stop))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Flows of one client, each from a port of its own.
pub(crate) fn flows(lab: &Lab, service: &str, count: usize) -> Result<Vec<UdpSocket>> {
    let vip = lab.vip(service);
    let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let open = || -> Result<UdpSocket> {
        let socket = UdpSocket::bind(any)?;
        socket.connect(vip)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    };
    lab.client().netns().enter(|| (0..count).map(|_| open()).collect())
}

/// Who answers each flow.
pub(crate) fn ask(flows: &[UdpSocket]) -> Result<Vec<String>> {
    let answer = |socket: &UdpSocket| {
        socket.send(b"who?")?;
        let mut bytes = [0; 64];
        let len = socket.recv(&mut bytes).context("no answer")?;
        Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
    };
    flows.iter().map(answer).collect()
}

fn spread(names: &[String]) -> BTreeMap<&str, usize> {
    names.iter().fold(BTreeMap::new(), |mut spread, name| {
        *spread.entry(name.as_str()).or_default() += 1;
        spread
    })
}

#[test]
fn datagrams_are_answered_in_every_mode() -> Result<()> {
    for service in [l2("names"), nat("names"), nat("names").v6(), gue("names").v6()] {
        let (lab, _names) = start(service.settings(UDP))?;
        let answers = ask(&flows(&lab, "names", 60)?)?;
        ensure!(spread(&answers).len() == 2, "{answers:?}");
    }
    Ok(())
}

fn start(service: Service) -> Result<(Lab, Names)> {
    let by_nat = format!("{service:?}").contains("nat");
    let lab = Lab::build().servers(2).service(service).start()?;
    // A server answers from the address that it was asked at.
    let vip = lab.vip("names");
    let names =
        Names::start(&lab, |server| if by_nat { lab.backend("names", server) } else { vip })?;
    Ok((lab, names))
}

#[test]
fn a_tracked_flow_stays_and_a_stateless_one_may_move() -> Result<()> {
    for (udp, stays) in [("tracked", true), ("stateless", false)] {
        let settings = format!("{UDP}\nudp = \"{udp}\"");
        let (lab, _names) = start(l2("names").settings(&settings))?;
        let flows = flows(&lab, "names", 60)?;
        let before = ask(&flows)?;
        let first = lab.backend("names", 0).to_string();
        lab.sluice(&["weight", "names", &first, "0"])?.stdout()?;
        let after = ask(&flows)?;
        ensure!((before == after) == stays, "{udp}: {before:?} became {after:?}");
        let new = ask(&self::flows(&lab, "names", 30)?)?;
        ensure!(spread(&new).len() == 1, "new flows go to one server: {new:?}");
    }
    Ok(())
}

#[test]
fn nobody_at_home_is_told_by_icmp() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("names").settings(UDP)).start()?;
    lab.sluice(&["drop", "names", "100"])?.stdout()?;
    let flows = flows(&lab, "names", 1)?;
    flows[0].send(b"who?")?;
    let error = flows[0].recv(&mut [0; 64]).unwrap_err();
    ensure!(error.kind() == std::io::ErrorKind::ConnectionRefused, "{error}");
    Ok(())
}

/// A packet of an open QUIC connection (RFC 9000 section 17.3), whose id names
/// a server: after one byte of its own the id holds the server's.
fn named(server: &Host) -> Vec<u8> {
    [&[0x40, 0x05], &server.server_id()[..], &[0x77; 40]].concat()
}

/// Who answers a packet from an address and port that it never came from before.
fn answers(client: &Host, vip: SocketAddr, packet: &[u8]) -> Result<String> {
    let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = client.netns().enter(|| Ok(UdpSocket::bind(any)?))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(vip)?;
    socket.send(packet)?;
    let mut bytes = [0; 64];
    let len = socket.recv(&mut bytes).context("no answer")?;
    Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
}

/// A client's address changes with every packet, and the backends too.
#[test]
fn a_quic_connection_stays_with_the_server_that_its_id_names() -> Result<()> {
    for service in [l2("h3"), nat("h3").v6()] {
        let by_nat = format!("{service:?}").contains("nat");
        let service = service.quic_by_server_id().settings("udp_idle = \"2s\"");
        let lab = Lab::build()
            .clients(2)
            .servers(3)
            .service(service)
            // A busy machine must not look like a dead server.
            .manager("missed_heartbeats = 30")
            .start()?;
        let vip = lab.vip("h3");
        let _names =
            Names::start(&lab, |server| if by_nat { lab.backend("h3", server) } else { vip })?;
        // An Initial (RFC 9000 section 17.2.2) with an id that the client made up.
        let first = [&[0xc0, 0, 0, 0, 1, 8, 0x13][..], &[0x77; 1200]].concat();
        let spread: std::collections::BTreeSet<_> =
            (0..40).map(|_| answers(lab.client(), vip, &first)).collect::<Result<_>>()?;
        ensure!(spread.len() == 3, "what begins goes to every server: {spread:?}");

        let (stayer, leaver) = (&lab.servers()[0], &lab.servers()[1]);
        let stays = |server: &Host| -> Result<()> {
            for client in lab.clients().iter().cycle().take(20) {
                let answer = answers(client, vip, &named(server))?;
                ensure!(answer == server.name(), "{} expected, {answer} answered", server.name());
            }
            Ok(())
        };
        let address = |server| lab.backend("h3", server).to_string();
        stays(stayer)?;
        lab.sluice(&["weight", "h3", &address(0), "0"])?.stdout()?;
        stays(stayer)?;
        lab.sluice(&["remove", "h3", &address(1), "--deadline", "60s"])?.stdout()?;
        lab.sluice(&["weight", "h3", &address(2), "7"])?.stdout()?;
        // For longer than silence would take to end it.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            stays(stayer)?;
            stays(leaver)?;
        }
        ensure!(lab.state("h3", 1)?.as_deref() == Some("draining"));
        // When its connections have fallen silent, it is gone.
        lab.wait_state("h3", 1, None)?;
        let answer = answers(lab.client(), vip, &named(leaver))?;
        ensure!(answer != leaver.name(), "it is gone");
        stays(stayer)?;

        // Nothing leads to a broken one: others answer, or it is refused.
        lab.sluice(&["remove", "h3", &address(0), "--force"])?.stdout()?;
        for _ in 0..20 {
            let answer = answers(lab.client(), vip, &named(stayer));
            ensure!(!answer.is_ok_and(|by| by == stayer.name()), "it was broken");
        }
    }
    Ok(())
}

#[test]
fn the_operator_names_servers_without_an_agent() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("h3").quic_by_server_id()).prepare()?;
    lab.start_sluice(&[])?;
    let vip = lab.vip("h3");
    let _names = Names::start(&lab, |_| vip)?;
    let (first, second) = (lab.backend("h3", 0).to_string(), lab.backend("h3", 1).to_string());
    let ids: Vec<_> = lab
        .servers()
        .iter()
        .map(|server| format!("{:08x}", u32::from_be_bytes(server.server_id())))
        .collect();
    lab.sluice(&["add", "h3", &first, "--server-id", &ids[0]])?.stdout()?;
    let taken = lab.sluice(&["add", "h3", &second, "--server-id", &ids[0]])?;
    ensure!(taken.status == Some(1), "{taken:?}");
    let has = format!("server id {} of {second} is already that of h3/{first}", ids[0]);
    ensure!(taken.stderr.contains(&has), "{taken:?}");
    let short = lab.sluice(&["add", "h3", &second, "--server-id", "01"])?;
    ensure!(short.stderr.contains("takes server ids of 4 byte(s)"), "{short:?}");
    lab.sluice(&["add", "h3", &second, "--server-id", &ids[1]])?.stdout()?;
    for server in lab.servers() {
        for _ in 0..10 {
            ensure!(answers(lab.client(), vip, &named(server))? == server.name());
        }
    }
    let wide = lab.sluice(&["get", "backends", "-o", "wide"])?.stdout()?;
    ensure!(ids.iter().all(|id| wide.contains(id.as_str())), "{wide}");
    // Program, maps and intent outlive the process.
    lab.kill_sluice()?;
    lab.start_sluice(&[])?;
    lab.wait_state("h3", 0, Some("active"))?;
    for (row, id) in
        lab.sluice_json(&["get", "backends"])?.as_array().context("a list")?.iter().zip(&ids)
    {
        ensure!(row["server_id"] == id.as_str(), "{row}");
    }
    for server in lab.servers() {
        ensure!(answers(lab.client(), vip, &named(server))? == server.name());
    }
    Ok(())
}
