//! UDP: real datagrams to real sockets.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Service, gue, l2, nat};

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
