//! Kernels check what reaches them: in every mode and family, of what the edge
//! forwards and of what it answers, no checksum is wrong.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Host, Lab, Service, eventually, gue, ipip, l2, nat};

use crate::datagrams::{Names, UDP, ask, flows};

const SERVICES: [&str; 9] =
    ["l2", "l2-6", "nat", "nat-6", "ipip", "ipip-6", "ipip-46", "gue", "gue-6"];

fn service(name: &str) -> Service {
    let mode = match name.split('-').next() {
        Some("l2") => l2,
        Some("nat") => nat,
        Some("ipip") => ipip,
        _ => gue,
    };
    let service = mode(name).settings(UDP).settings("echo = \"answer\"");
    match name.split_once('-') {
        Some((_, "6")) => service.v6(),
        Some(_) => service.over_v6(),
        None => service,
    }
}

#[test]
fn every_kernel_finds_every_checksum_right() -> Result<()> {
    // Nine services for each agent: a busy machine takes its time for heartbeats.
    let build = Lab::build().servers(2).manager("missed_heartbeats = 40");
    let lab = SERVICES.iter().fold(build, |build, name| build.service(service(name))).start()?;
    for name in SERVICES {
        serves(&lab, name).with_context(|| name.to_owned())?;
    }
    for host in lab.clients().iter().chain(lab.servers()).chain([lab.edge()]) {
        let wrong = host.wrong_checksums()?;
        ensure!(wrong.is_empty(), "{}: {wrong:?}", host.name());
    }
    // Answers that a kernel does not believe are no answers: it took them in.
    let client = lab.client().counters()?;
    for counter in [
        "Icmp.InDestUnreachs",
        "Icmp.InTimeExcds",
        "Icmp.InEchoReps",
        "Icmp6InDestUnreachs",
        "Icmp6InPktTooBigs",
        "Icmp6InTimeExcds",
        "Icmp6InEchoReplies",
        "Tcp.AttemptFails",
    ] {
        ensure!(client.get(counter).is_some_and(|count| *count != 0), "{counter}: {client:?}");
    }
    Ok(())
}

/// All that can come of a service, both ways.
fn serves(lab: &Lab, name: &str) -> Result<()> {
    let vip = lab.vip(name);
    lab.get_many(name, 30)?.all_answered()?;
    fetches(lab, vip)?;
    let by_nat = name.starts_with("nat");
    let at = |server| if by_nat { lab.backend(name, server) } else { vip };
    let names = Names::start(lab, at)?;
    ask(&flows(lab, name, 20)?)?;
    // A client that is gone when the answer comes says so, and the edge tells
    // the server.
    errors_reach_servers(lab, name)?;
    drop(names);
    if by_nat {
        // They are gone within a moment.
        eventually(Duration::from_secs(5), "a server's port to be closed", || {
            is_refused(&flows(lab, name, 1)?[0]).map(Some)
        })?;
    }
    let ping = ["-n", "-c", "3", "-i", "0.1", "-W", "2", "-s", "33", &vip.ip().to_string()];
    lab.client().run("ping", &ping)?.stdout()?;
    comes_too_far(lab, vip)?;
    lab.sluice(&["drop", name, "100"])?.stdout()?;
    let answers = lab.get_many(name, 20)?;
    ensure!(answers.refused == 20, "{answers:?}");
    is_refused(&flows(lab, name, 1)?[0]).context("refused by a policy")
}

/// A file, with a request that does not fit one segment.
fn fetches(lab: &Lab, vip: SocketAddr) -> Result<()> {
    let (header, url) = (format!("X-Long: {}", "x".repeat(6000)), format!("http://{vip}/file"));
    let target = lab.directory().join("fetched");
    let target = target.to_string_lossy();
    let args =
        ["--silent", "--fail", "--max-time", "20", "--header", &header, "--output", &target, &url];
    lab.client().run("curl", &args)?.stdout()?;
    Ok(())
}

fn errors_reach_servers(lab: &Lab, name: &str) -> Result<()> {
    let heard = || lab.reason("forward_icmp");
    let before = heard()?;
    eventually(Duration::from_secs(20), "a server to hear of a client that is gone", || {
        for socket in flows(lab, name, 10)? {
            socket.send(b"who?")?;
        }
        Ok((heard()? > before).then_some(()))
    })
}

fn is_refused(socket: &UdpSocket) -> Result<()> {
    socket.send(b"who?")?;
    match socket.recv(&mut [0; 64]) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("it heard {other:?}"),
    }
}

/// A datagram whose hops end at the edge: its sender is told.
fn comes_too_far(lab: &Lab, vip: SocketAddr) -> Result<()> {
    let name = if vip.is_ipv4() { "Icmp.InTimeExcds" } else { "Icmp6InTimeExcds" };
    let told = || Ok(lab.client().counters()?.get(name).copied().unwrap_or_default());
    let before: u64 = told()?;
    lab.client().netns().enter(|| {
        let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        hops(&socket, vip, 1)?;
        socket.send_to(b"who?", vip)?;
        Ok(())
    })?;
    let wait = Duration::from_secs(5);
    eventually(wait, "the client to be told", || {
        let now: Result<u64> = told();
        Ok((now? > before).then_some(()))
    })
}

/// Sets the TTL or hop limit of what a socket sends.
fn hops(socket: &UdpSocket, to: SocketAddr, hops: libc::c_int) -> Result<()> {
    let (level, option) = if to.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_TTL)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS)
    };
    let size = size_of_val(&hops) as libc::socklen_t;
    // SAFETY: the option is an integer, which lives through the call.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const hops).cast(), size)
    };
    ensure!(set == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}

/// Without `sluice_decap` it is the kernel that takes GUE in, and it checks the
/// UDP checksum that the edge has made without summing the packet.
#[test]
fn the_checksum_of_gue_over_ipv6_is_one_to_a_kernel() -> Result<()> {
    // No agent ends the tunnel, so that no probe through it is answered.
    let service = |name| gue(name).settings(UDP).settings("health = { probe = \"backend\" }");
    let build = Lab::build().servers(1);
    let mut lab =
        build.service(service("four").over_v6()).service(service("six").v6()).prepare()?;
    lab.start_sluice(&[])?;
    let server = &lab.servers()[0];
    let tunnel = server.netns().enter(|| Ok(UdpSocket::bind("[::]:6080")?))?;
    tunnel.set_read_timeout(Some(Duration::from_secs(5)))?;
    for name in ["four", "six"] {
        lab.sluice(&["add", name, &lab.backend(name, 0).to_string()])?.stdout()?;
        lab.wait_state(name, 0, Some("active"))?;
        let flows = flows(&lab, name, 50)?;
        for (length, socket) in flows.iter().enumerate() {
            let sent = vec![0xa5; length];
            socket.send(&sent)?;
            let mut bytes = [0; 2000];
            let length = tunnel.recv(&mut bytes).context("no tunnelled packet")?;
            ensure!(bytes[..length].ends_with(&sent), "{name}: {:02x?}", &bytes[..length]);
        }
    }
    let wrong = server.wrong_checksums()?;
    ensure!(wrong.is_empty(), "{wrong:?}");
    ensure!(server.counters()?["Udp6InDatagrams"] >= 100);
    Ok(())
}

/// What the others rely on.
#[test]
fn a_wrong_checksum_is_counted() -> Result<()> {
    let lab = Lab::build().servers(1).prepare()?;
    for v6 in [false, true] {
        let (from, to) = (&lab.servers()[0], lab.client());
        let listener = to.netns().enter(|| Ok(UdpSocket::bind((to.address(v6), 9999))?))?;
        send_spoilt(from, listener.local_addr()?)?;
    }
    eventually(Duration::from_secs(5), "both to be counted", || {
        let wrong = lab.client().wrong_checksums()?;
        let names: Vec<_> = wrong.keys().map(String::as_str).collect();
        Ok((names == ["Udp.InCsumErrors", "Udp6InCsumErrors"]).then_some(()))
    })
}

/// Sends a datagram whose checksum is wrong.
fn send_spoilt(from: &Host, to: SocketAddr) -> Result<()> {
    from.netns().enter(|| {
        let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: takes plain numbers.
        let fd = unsafe { libc::socket(family, libc::SOCK_RAW, libc::IPPROTO_UDP) };
        ensure!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the kernel has just given us this descriptor. What the type
        // does with a socket (here: send) is the same for any kind.
        let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let [high, low] = to.port().to_be_bytes();
        let datagram = [0x27, 0x10, high, low, 0, 12, 0xde, 0xad, b'w', b'h', b'o', b'?'];
        // A raw socket has no port, and IPv6 insists on it.
        socket.send_to(&datagram, SocketAddr::new(to.ip(), 0))?;
        Ok(())
    })
}
