//! What a broken connection's two ends notice, and when.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Client, Lab, Service, ask_name, eventually, ipip, l2, nat};

/// An open connection and the server that answers it.
struct Connection {
    stream: TcpStream,
    server: String,
}

fn connections(lab: &Lab, service: &str, count: usize) -> Result<Vec<Connection>> {
    let open = |attempt: lab::Attempt| {
        let stream = attempt.stream?;
        let server = ask_name(&stream)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Connection { stream, server })
    };
    let attempts = Client::of(lab.client()).connect_many(lab.vip(service), count)?;
    attempts.into_iter().map(open).collect()
}

/// Those of one server, and the others.
fn of(all: Vec<Connection>, server: &str) -> Result<(Vec<Connection>, Vec<Connection>)> {
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.server == server);
    ensure!(!own.is_empty() && !others.is_empty(), "all connections are on one side");
    Ok((own, others))
}

/// How reading ends, and after how long.
fn read(mut stream: &TcpStream) -> (Result<usize, ErrorKind>, Duration) {
    let begun = Instant::now();
    let read = stream.read(&mut [0; 64]).map_err(|error| error.kind());
    (read, begun.elapsed())
}

/// Connections that a server's kernel holds on a service's port.
fn held(lab: &Lab, service: &str, server: usize) -> Result<usize> {
    let port = lab.backend(service, server).port();
    let filter = format!("( sport = :{port} )");
    let args = ["-Htn", "state", "connected", &filter];
    // The agent's own checks come and go, from the server to itself.
    let own = lab.backend(service, server).ip().to_string();
    let listed = lab.servers()[server].run("ss", &args)?.stdout()?;
    Ok(listed.lines().filter(|line| line.matches(&own).count() < 2).count())
}

/// With nothing but the edge to tell them.
#[test]
fn a_waiting_client_is_reset_at_its_next_packet() -> Result<()> {
    for service in [l2("www"), nat("www").v6()] {
        let lab = Lab::build().service(service).agent("close = false").start()?;
        let (leaving, staying) = of(connections(&lab, "www", 20)?, "server-1")?;
        let address = lab.backend("www", 0).to_string();
        let begun = Instant::now();
        let args = ["remove", "www", &address, "--deadline", "2s", "--wait"];
        let said = lab.sluice(&args)?.stdout()?;
        let took = begun.elapsed();
        ensure!(said.contains("can be taken away"), "{said}");
        ensure!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
        for one in &leaving {
            let ended = thread::scope(|scope| {
                let reading = scope.spawn(|| read(&one.stream));
                thread::sleep(Duration::from_millis(50));
                ensure!(!reading.is_finished(), "it ended before it sent anything");
                let sent = Instant::now();
                (&one.stream).write_all(b"G")?;
                let (ended, _) = reading.join().expect("reading does not panic");
                Ok((ended, sent.elapsed()))
            })?;
            // A repetition of the packet would take 200 ms and more.
            ensure!(ended.0 == Err(ErrorKind::ConnectionReset), "{ended:?}");
            ensure!(ended.1 < Duration::from_millis(150), "{ended:?}");
        }
        let row = lab.sluice(&["get", "backends", "www"])?.stdout()?;
        ensure!(row.contains("broken, removable"), "{row}");
        ensure!(held(&lab, "www", 0)? > 0, "the agent was told not to close them");
        for one in &staying {
            ensure!(ask_name(&one.stream)? == "server-2");
        }
    }
    Ok(())
}

#[test]
fn the_agent_closes_the_servers_side_over_l2() -> Result<()> {
    closes_the_servers_side(l2("www"))
}

#[test]
fn the_agent_closes_the_servers_side_over_nat() -> Result<()> {
    closes_the_servers_side(nat("www").v6())
}

#[test]
fn the_agent_closes_the_servers_side_over_ipip() -> Result<()> {
    closes_the_servers_side(ipip("www").v6())
}

/// Both ends learn of it although neither sends anything, and another service
/// of the same servers is left alone.
fn closes_the_servers_side(service: Service) -> Result<()> {
    let lab = Lab::build().service(service).service(l2("other")).start()?;
    let (leaving, staying) = of(connections(&lab, "www", 20)?, "server-1")?;
    let mut other = lab.crowd("other", 20)?;
    let held_by_others = other.spread().of("server-1") as usize;
    ensure!(held(&lab, "www", 0)? >= leaving.len());
    let address = lab.backend("www", 0).to_string();
    let clients: Vec<_> = leaving.iter().map(|one| &one.stream).collect();
    thread::scope(|scope| {
        let reading: Vec<_> = clients.iter().map(|one| scope.spawn(|| read(one))).collect();
        lab.sluice(&["remove", "www", &address, "--force"])?.stdout()?;
        let shared = lab.backend("www", 0).port() == lab.backend("other", 0).port();
        let rest = if shared { held_by_others } else { 0 };
        eventually(Duration::from_secs(2), "the server to be rid of them", || {
            let held = held(&lab, "www", 0)?;
            ensure!(held == rest, "it holds {held}, {rest} of them are others");
            Ok(Some(()))
        })?;
        for one in reading {
            let (ended, took) = one.join().expect("reading does not panic");
            ensure!(ended == Err(ErrorKind::ConnectionReset), "{ended:?}");
            ensure!(took < Duration::from_secs(5), "{took:?}");
        }
        anyhow::Ok(())
    })?;
    for one in &staying {
        ensure!(ask_name(&one.stream)? == "server-2");
    }
    other.ask().untouched()?;
    let events = lab.sluice(&["events", "--service", "www"])?.stdout()?;
    let closed = format!("agent `server-1` closed {} on the server", leaving.len());
    ensure!(events.contains("connections.closed") && events.contains(&closed), "{events}");
    Ok(())
}

#[test]
fn an_agent_without_the_privilege_says_what_it_lacks() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).start()?;
    let config = lab.directory().join("server-1.toml");
    lab.kill_agent(0)?;
    let sluice = lab::binary()?;
    let words = ["--bounding-set=-net_admin".as_ref(), sluice.as_os_str(), "agent".as_ref()];
    let args = [&words[..], &["--config".as_ref(), config.as_os_str()]].concat();
    let agent = lab.servers()[0].spawn("weak", "setpriv", &args)?;
    lab.wait_state("www", 0, Some("active"))?;
    let (leaving, _) = of(connections(&lab, "www", 20)?, "server-1")?;
    let address = lab.backend("www", 0).to_string();
    lab.sluice(&["remove", "www", &address, "--force", "--wait"])?.stdout()?;
    thread::sleep(Duration::from_millis(500));
    let log = agent.log();
    ensure!(log.matches("give the agent CAP_NET_ADMIN").count() == 1, "{log}");
    ensure!(held(&lab, "www", 0)? >= leaving.len());
    // It goes on, and the edge does its part.
    (&leaving[0].stream).write_all(b"G")?;
    let (ended, _) = read(&leaving[0].stream);
    ensure!(ended == Err(ErrorKind::ConnectionReset), "{ended:?}");
    lab.sluice(&["add", "www", &address])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn connections_of_a_server_without_power_are_broken_after_the_grace() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).manager("down_grace = \"3s\"").start()?;
    let (lost, staying) = of(connections(&lab, "www", 20)?, "server-1")?;
    lab.cut_power(0)?;
    let cut = Instant::now();
    lab.wait_state("www", 0, Some("down"))?;
    ensure!(cut.elapsed() < Duration::from_secs(3), "found after {:?}", cut.elapsed());
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1)])?;
    // Its client speaks, hears nothing, and repeats until it is reset.
    let one = &lost[0];
    (&one.stream).write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let (ended, _) = read(&one.stream);
    let after = cut.elapsed();
    ensure!(ended == Err(ErrorKind::ConnectionReset), "{ended:?}");
    ensure!(after > Duration::from_secs(3) && after < Duration::from_secs(15), "{after:?}");
    for one in &staying {
        ensure!(ask_name(&one.stream)? == "server-2");
    }
    let events = lab.sluice_json(&["events"])?;
    let events = events.as_array().context("not a list")?;
    let address = lab.backend("www", 0).to_string();
    let own = events.iter().filter(|event| event["backend"] == address.as_str());
    let kinds: Vec<_> = own.filter_map(|event| event["kind"].as_str()).collect();
    ensure!(kinds.ends_with(&["binding.active", "binding.down", "binding.broken"]), "{kinds:?}");
    Ok(())
}
