//! A switch, its manager, servers and clients; and a second switch that nobody
//! disturbs.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Answers, Builder, Client, Haproxy, Lab, Process, Proxy, binary, eventually};

use crate::switch::{API, Holds, Standing, Switch, WWW};

/// How long a switch may take to do as it should, on a machine that has other work.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// curl's exit statuses for a connection that was taken and ended without an answer.
const ENDED: [u32; 2] = [52, 56];

/// Port of the drop server.
const SINK: u16 = 9;

/// See the module.
pub struct Site<S> {
    // Dropped in this order.
    pub switch: S,
    witness: Haproxy,
    _sink: Option<Process>,
    pub lab: Lab,
}

impl<S: Switch> Site<S> {
    /// With the manager running and both switches in step.
    pub fn start() -> Result<Self> {
        Self::of(S::lab())
    }

    /// The same in another lab.
    pub fn of(lab: Builder) -> Result<Self> {
        let mut lab = lab.prepare()?;
        let switch = S::start(&lab)?;
        let backends = [WWW, API].map(|service| Proxy::new(service, None));
        let witness = Haproxy::start(lab.manager_host(), "witness", &backends)?;
        let at: SocketAddr = (lab.edge().address(false), SINK).into();
        let sink = S::CAN.drop_servers.then(|| drop_server(&lab, at)).transpose()?;
        let common = "poll = \"200ms\"\nverify = \"1s\"\ntimeout = \"2s\"\n";
        let settings = switch.settings();
        if !settings.is_empty() {
            let drop_servers = sink.as_ref().map(|_| format!("\"{at}\""));
            lab.add_tables(&format!(
                "[[switch]]\nname = \"trial\"\n{common}drop_servers = [{}]\n{settings}",
                drop_servers.unwrap_or_default()
            ));
        }
        lab.add_tables(&format!(
            "[[switch]]\nname = \"witness\"\nkind = \"haproxy\"\n{common}[switch.options]\n\
             address = \"unix:{}\"\nbackends = {{ {WWW} = \"be_{WWW}\", {API} = \"be_{API}\" }}",
            witness.socket().display()
        ));
        let mut site = Self { switch, witness, _sink: sink, lab };
        site.start_manager()?;
        Ok(site)
    }

    pub fn start_manager(&mut self) -> Result<()> {
        self.lab.start_manager()?;
        self.switch.attach(&mut self.lab)?;
        self.lab.wait_switch_in_step()
    }

    pub fn backend(&self, service: &str, server: usize) -> SocketAddr {
        self.lab.backend(service, server)
    }

    /// A command of the operator, which need not be live on all switches at once.
    pub fn sluice(&self, words: &[&str]) -> Result<()> {
        /// The exit status for what is accepted and not live everywhere.
        const NOT_LIVE: i32 = 4;
        match self.lab.sluice(words)? {
            outcome if outcome.status == Some(NOT_LIVE) => Ok(()),
            outcome => outcome.stdout().map(drop),
        }
    }

    /// Adds those of the first servers of a service that do not serve yet, with these
    /// weights, and waits until all serve.
    pub fn add(&self, service: &str, weights: &[u32]) -> Result<()> {
        let known = self.lab.backends(service)?;
        for (server, weight) in weights.iter().enumerate() {
            let backend = self.backend(service, server);
            if !known.iter().any(|known| known.address == backend && known.state == "active") {
                let (backend, weight) = (backend.to_string(), weight.to_string());
                self.sluice(&["add", service, &backend, "--weight", &weight])?;
            }
        }
        self.serves(service, weights)
    }

    pub fn weigh(&self, service: &str, server: usize, weight: u32) -> Result<()> {
        let backend = self.backend(service, server).to_string();
        self.sluice(&["weight", service, &backend, &weight.to_string()])
    }

    pub fn remove(&self, service: &str, server: usize, how: &[&str]) -> Result<()> {
        let backend = self.backend(service, server).to_string();
        self.sluice(&[&["remove", service, &backend], how].concat())
    }

    /// What the switch should hold: those of the first servers that have a weight.
    pub fn wanted(&self, service: &str, weights: &[u32]) -> Holds {
        let servers = weights.iter().enumerate();
        let standing = |weight: u32| match S::CAN.weights {
            Some(_) => Standing::Serves { weight },
            None => Standing::Serves { weight: u32::from(weight > 0) },
        };
        servers.map(|(server, &weight)| (self.backend(service, server), standing(weight))).collect()
    }

    /// Waits until the switch holds exactly these servers, and the manager knows.
    pub fn serves(&self, service: &str, weights: &[u32]) -> Result<()> {
        self.holds(service, &self.wanted(service, weights))?;
        self.lab.wait_switch_in_step()
    }

    /// Waits until the switch holds exactly this, as far as it has words for it.
    pub fn holds(&self, service: &str, wanted: &Holds) -> Result<()> {
        let serves = |standing: &Standing| matches!(standing, Standing::Serves { weight: 1.. });
        let mut wanted = wanted.clone();
        wanted.retain(|_, standing| S::CAN.drains || serves(standing));
        self.eventually(&format!("the switch to hold {wanted:?} of {service}"), || {
            let held = self.switch.holds(&self.lab, service)?;
            ensure!(held == wanted, "it holds {held:?}");
            Ok(())
        })
    }

    /// Waits until the other switch has exactly these servers of a service serving.
    pub fn witness_serves(&self, service: &str, weights: &[u32]) -> Result<()> {
        let wanted: BTreeSet<_> = weights
            .iter()
            .enumerate()
            .map(|(server, &weight)| (self.backend(service, server), weight))
            .collect();
        let what = format!("the other switch to have {wanted:?} of {service}");
        // It is held up by nobody.
        eventually(Duration::from_secs(5), &what, || {
            let servers = self.witness.servers(&format!("be_{service}"))?;
            let serving = servers.iter().filter(|s| !s.maintenance && !s.draining);
            let has: BTreeSet<_> = serving.map(|server| (server.address, server.weight)).collect();
            ensure!(has == wanted, "it has {has:?}");
            Ok(Some(()))
        })
        .with_context(|| self.lab.last_words())
    }

    /// New connections, all answered, that follow these weights.
    pub fn follows(&self, service: &str, weights: &[u32]) -> Result<()> {
        let answers = self.switch.visit(&self.lab, service, 60 * weights.len())?;
        answers.all_answered()?;
        let names = self.lab.servers().iter().map(lab::Host::name);
        let weights: Vec<_> = names.zip(weights.iter().copied()).collect();
        answers.spread.follows(&weights)
    }

    /// How many were turned away of these.
    pub fn turned_away(&self, answers: &Answers) -> Result<u64> {
        let ended = answers.failed.iter().filter(|status| ENDED.contains(status)).count();
        ensure!(ended == answers.failed.len(), "some hung: {answers:?}");
        ensure!(S::CAN.proxy || ended == 0, "not refused at once: {answers:?}");
        Ok(answers.refused + ended as u64)
    }

    /// What an operator should look at.
    pub fn alarms(&self) -> Result<Vec<String>> {
        let status = self.lab.sluice_json(&["status"])?;
        let alarms = status["alarms"].as_array().context("no alarms")?;
        Ok(alarms.iter().filter_map(|alarm| alarm.as_str().map(str::to_owned)).collect())
    }

    /// Waits until an alarm holds these words.
    pub fn alarm(&self, words: &str) -> Result<()> {
        self.eventually(&format!("an alarm about `{words}`"), || {
            let alarms = self.alarms()?;
            ensure!(alarms.iter().any(|alarm| alarm.contains(words)), "{alarms:?}");
            Ok(())
        })
    }

    /// How often this was noted of the switch.
    pub fn events(&self, kind: &str) -> Result<usize> {
        let events = self.lab.sluice(&["events"])?.stdout()?;
        let of_it = |line: &&str| line.contains(kind) && line.contains("trial");
        Ok(events.lines().filter(of_it).count())
    }

    pub fn eventually(&self, what: &str, mut probe: impl FnMut() -> Result<()>) -> Result<()> {
        eventually(PATIENCE, what, || probe().map(Some)).with_context(|| self.lab.last_words())
    }
}

/// `sluice drop-server` on the switch's host.
fn drop_server(lab: &Lab, at: SocketAddr) -> Result<Process> {
    let args = ["drop-server", "--listen", &at.to_string()];
    let mut process = lab.edge().spawn("drop-server", binary()?, &args)?;
    eventually(PATIENCE, "the drop server to listen", || {
        process.check_alive()?;
        Ok(Client::of(lab.edge()).connect(at)?.stream.ok().map(drop))
    })?;
    Ok(process)
}
