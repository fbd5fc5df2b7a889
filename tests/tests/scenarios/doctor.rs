//! `sluice doctor` names real faults, and its remedies, taken literally, cure
//! them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Host, Lab, binary, eventually, ipip, l2, nat};
use nix::mount::{MntFlags, umount2};
use serde_json::Value;

const WELL: i32 = 0;
const SICK: i32 = 5;
/// A machine that is busy is no fault of a backend.
const PATIENT: &str = "missed_heartbeats = 40";
const PATIENCE: Duration = Duration::from_secs(60);

/// What doctor says of a host with this configuration.
#[derive(Debug)]
struct Report {
    status: Option<i32>,
    findings: Vec<Value>,
}

/// Runs it behind `before`, such as another user.
fn examine(host: &Host, before: &[&str], args: &[&str]) -> Result<Report> {
    let binary = binary()?.to_string_lossy().into_owned();
    let program = if before.is_empty() { vec![&*binary] } else { before.to_vec() };
    let line: Vec<&str> =
        program.into_iter().chain(["doctor", "-o", "json"]).chain(args.iter().copied()).collect();
    let outcome = host.run(line[0], &line[1..])?;
    let report: Value = serde_json::from_str(&outcome.stdout)
        .with_context(|| format!("doctor printed:\n{}{}", outcome.stdout, outcome.stderr))?;
    let findings = report["findings"].as_array().context("no findings")?.clone();
    Ok(Report { status: outcome.status, findings })
}

fn doctor(host: &Host, config: &Path) -> Result<Report> {
    examine(host, &[], &["--config", config.to_str().context("UTF-8")?])
}

impl Report {
    fn find(&self, severity: &str, check: &str, what: &str) -> Option<&Value> {
        self.findings.iter().find(|finding| {
            finding["severity"] == severity
                && finding["check"] == check
                && finding["what"].as_str().is_some_and(|text| text.contains(what))
        })
    }

    /// Neither a problem nor a warning.
    fn well(&self) -> Result<()> {
        self.well_but("")
    }

    /// The same, but for findings with these words.
    fn well_but(&self, words: &str) -> Result<()> {
        let but = |finding: &&Value| {
            !words.is_empty() && finding["what"].as_str().is_some_and(|what| what.contains(words))
        };
        let bad = |finding: &&Value| {
            ["problem", "warning"].iter().any(|s| finding["severity"] == *s) && !but(finding)
        };
        let bad: Vec<_> = self.findings.iter().filter(bad).collect();
        ensure!(bad.is_empty() && self.status == Some(WELL), "{:?}: {bad:#?}", self.status);
        Ok(())
    }
}

/// Waits until doctor says this, and returns the remedy.
fn complains(
    host: &Host,
    config: &Path,
    (severity, check, what): (&str, &str, &str),
) -> Result<String> {
    eventually(PATIENCE, &format!("{severity} {check}"), || {
        let report = doctor(host, config)?;
        let found = report.find(severity, check, what);
        let found = found.with_context(|| format!("not among {:#?}", report.findings))?;
        let expected = if severity == "problem" { Some(SICK) } else { report.status };
        ensure!(report.status == expected, "exit status {:?}", report.status);
        Ok(Some(found["remedy"].as_str().unwrap_or_default().to_owned()))
    })
}

/// Doctor of `host` says this; its remedy, done on `patient` as it is written,
/// cures that.
fn cured(
    host: &Host,
    config: &Path,
    complaint: (&str, &str, &str),
    patient: &Host,
) -> Result<String> {
    let remedy = complains(host, config, complaint)?;
    patient.run("sh", &["-c", &remedy])?.stdout().context("the remedy failed")?;
    let (severity, check, what) = complaint;
    eventually(PATIENCE, &format!("no more {severity} {check}"), || {
        let report = doctor(host, config)?;
        let found = report.find(severity, check, what);
        ensure!(found.is_none(), "`{remedy}` did not help: {found:#?}");
        Ok(Some(()))
    })?;
    Ok(remedy)
}

fn sh(host: &Host, command: &str) -> Result<String> {
    host.run("sh", &["-c", command])?.stdout()
}

fn edge_config(lab: &Lab) -> PathBuf {
    lab.directory().join("sluice.toml")
}

/// Unmounts what a remedy has mounted.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing is mounted when the remedy was not tried.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn an_edge_from_its_first_start_on() -> Result<()> {
    let mut lab = Lab::build().manager(PATIENT).service(l2("www")).service(nat("api")).prepare()?;
    let edge = lab.edge().clone();

    // Nothing has been started, pins would go nowhere, and somebody else is there.
    let pin = lab.directory().join("absent");
    let config = lab.directory().join("first.toml");
    let text = "[edge]\ninterfaces = [\"eth0\"]\n[[service]]\nname = \"www\"\n\
                address = \"198.18.0.10:80\"\nmode = \"l2\"\n";
    fs::write(&config, text.replace("[[", &format!("pin = \"{}\"\n[[", pin.display())))?;
    let _mounted = Mounted(pin.clone());
    cured(&edge, &config, ("problem", "bpffs", "is not in a BPF file system"), &edge)?;
    lab.attach_foreign(&edge)?;
    let foreign = ("problem", "program", "which is not ours: nothing is steered");
    let remedy = cured(&edge, &config, foreign, &edge)?;
    ensure!(remedy == "ip link set dev eth0 xdp off", "{remedy}");
    let remedy = complains(&edge, &config, ("problem", "edge", "nothing is steered"))?;
    ensure!(remedy == format!("sluice run --config {}", config.display()), "{remedy}");

    lab.start_sluice(&[])?;
    for server in 0..lab.servers().len() {
        lab.start_agent(server)?;
        lab.wait_state("www", server, Some("active"))?;
        lab.wait_state("api", server, Some("active"))?;
    }
    let config = edge_config(&lab);
    eventually(PATIENCE, "a healthy edge", || doctor(&edge, &config)?.well().map(Some))?;
    lab.get_many("www", 20)?.all_answered()?;
    lab.get_many("api", 20)?.all_answered()
}

#[test]
fn faults_of_an_edge() -> Result<()> {
    let mut lab = Lab::build().manager(PATIENT).service(l2("www")).service(nat("api")).start()?;
    let (edge, config) = (lab.edge().clone(), edge_config(&lab));
    eventually(PATIENCE, "a healthy edge", || doctor(&edge, &config)?.well().map(Some))?;

    sh(&edge, "sysctl -w net.ipv4.ip_forward=0")?;
    cured(&edge, &config, ("problem", "forwarding", "ipv4 forwarding is off"), &edge)?;
    sh(&edge, "sysctl -w net.ipv4.conf.all.rp_filter=1")?;
    cured(&edge, &config, ("warning", "rp_filter", "strict"), &edge)?;
    let server = lab.servers()[0].clone();
    sh(&server, "sysctl -w net.ipv4.conf.all.arp_ignore=0")?;
    let claims = "198.18.2.11 (";
    cured(&edge, &config, ("problem", "arp", claims), &server)?;

    // Frames leave by another interface, whose other end does not take them.
    sh(
        &edge,
        "ip link add eth1 type veth peer name far && ip link set eth1 up && ip link set far up && \
         ip neigh add 198.18.2.12 lladdr 02:00:00:00:00:12 dev eth1 nud permanent && \
         ip route add 198.18.2.12 dev eth1",
    )?;
    let lost = ("problem", "redirect", "driver veth does not take the frames");
    let remedy = cured(&edge, &config, lost, &edge)?;
    ensure!(remedy == "ethtool -K far gro on", "{remedy}");
    sh(&edge, "ip link del eth1")?;

    // Nobody's privileges: what can be seen is seen, and the rest is named.
    let sluice = lab.readable_binary()?;
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let before: Vec<_> = nobody.into_iter().chain(sluice.to_str()).collect();
    let report = examine(&edge, &before, &["--config", config.to_str().context("UTF-8")?])?;
    let missing = report.find("problem", "privileges", "CAP_BPF").context("no privileges")?;
    let again = missing["remedy"].as_str().unwrap_or_default();
    ensure!(again.starts_with("sudo ") && again.contains("doctor"), "{again}");
    ensure!(report.status == Some(SICK), "{report:#?}");
    for check in ["edge", "program", "vip", "kernel"] {
        let finding = report.find("warning", check, "could not be looked at");
        let finding = finding.with_context(|| format!("no {check} in {report:#?}"))?;
        ensure!(finding["remedy"] == again, "{finding:#?}");
    }

    // The cable of a server, as long after as the kernel takes to forget it.
    lab.servers()[1].unplug()?;
    // The edge asks for it again at once, so that there may be one to the end.
    sh(&edge, "ip neigh flush to 198.18.2.12 || true")?;
    let remedy = complains(&edge, &config, ("problem", "next_hop", "not answer"))?;
    ensure!(remedy == "ping -c 3 198.18.2.12", "{remedy}");
    lab.wait_state("www", 1, Some("down"))?;
    complains(&edge, &config, ("warning", "backend", "198.18.2.12:80 is down"))?;

    lab.kill_sluice()?;
    complains(&edge, &config, ("warning", "edge", "does not run"))?;
    complains(&edge, &config, ("problem", "manager", "cannot connect"))?;
    edge.unplug()?;
    let down = ("problem", "interface", "is down");
    let remedy = cured(&edge, &config, down, &edge)?;
    ensure!(remedy == "ip link set dev eth0 up", "{remedy}");
    Ok(())
}

#[test]
fn faults_of_a_server() -> Result<()> {
    let mut lab = Lab::build()
        .manager(PATIENT)
        .servers(1)
        .service(l2("www"))
        .service(ipip("web"))
        .service(nat("api"))
        .start()?;
    let server = lab.servers()[0].clone();
    let config = lab.directory().join("server-1.toml");
    eventually(PATIENCE, "a healthy server", || doctor(&server, &config)?.well().map(Some))?;
    // With the agent's flags alone, too.
    let manager = format!("{}:7400", lab.edge().address(false));
    let bind = format!("www={}", lab.backend("www", 0));
    examine(&server, &[], &["--manager", &manager, "--bind", &bind])?.well()?;

    for service in ["www", "web"] {
        let vip = lab.vip(service).ip();
        sh(&server, &format!("ip addr del {vip}/32 dev lo"))?;
        let missing = format!("VIP {vip} is missing");
        cured(&server, &config, ("problem", "vip", &missing), &server)?;
        eventually(PATIENCE, "answers again", || {
            lab.get_many(service, 1)?.all_answered().map(Some)
        })?;
    }
    sh(&server, "sysctl -w net.ipv4.conf.all.arp_ignore=0")?;
    cured(&server, &config, ("problem", "arp", "answers ARP for VIP"), &server)?;

    // Packets come out of their tunnel on an interface that is not the way back.
    sh(
        &server,
        "ip link add eth1 type veth peer name far && ip link set eth1 up && ip link set far up && \
         ip route add 192.0.2.0/24 dev eth1 && sysctl -w net.ipv4.conf.all.rp_filter=1",
    )?;
    cured(
        &server,
        &config,
        ("problem", "rp_filter", "the way back to clients is by eth1"),
        &server,
    )?;
    sh(&server, "ip link del eth1")?;

    lab.kill_nginx(0)?;
    complains(&server, &config, ("problem", "listen", "nobody listens at TCP 198.18.0.10:80"))?;
    complains(&server, &config, ("problem", "health", "the agent's check fails"))?;
    complains(&server, &config, ("problem", "backend", "is down"))?;
    lab.start_nginx(0)?;
    // Probes came through the tunnel while its VIP was missing.
    let probes = "what was inside was to none of the VIPs here";
    eventually(PATIENCE, "a healthy server", || {
        doctor(&server, &config)?.well_but(probes).map(Some)
    })?;

    // An edge whose way is too narrow for the tunnel.
    let edge = lab.edge().clone();
    let narrow = ("warning", "mtu", "leaves 1480 for packets of service web");
    let remedy = cured(&edge, &edge_config(&lab), narrow, &edge)?;
    ensure!(remedy == "ip link set dev eth0 mtu 1520", "{remedy}");

    lab.kill_agent(0)?;
    complains(&server, &config, ("warning", "decap", "no agent runs"))?;
    sh(&server, "ip link set dev eth0 down")?;
    cured(&server, &config, ("problem", "interface", "is down"), &server)?;
    Ok(())
}
