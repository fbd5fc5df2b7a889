//! The lab's `sluice` processes and its command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Host, Lab, Outcome, Process, command, eventually, lab::Server, settings};

/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(10);
/// How long a start may take, the verifier's work included, on a machine that
/// has other work too.
pub(crate) const START: Duration = Duration::from_secs(120);

/// One line of `sluice get backends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub service: String,
    pub address: SocketAddr,
    pub weight: u64,
    /// `pending`, `active`, `draining`, `down`, `unknown`.
    pub state: String,
    pub connections: u64,
    /// Which switch cannot send packets to it, and why.
    pub unreachable: Option<String>,
    /// Removed, and no switch sends its server anything any more.
    pub removable: bool,
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that labs run; without it, `SLUICE_BIN` does.
pub fn use_binary(path: PathBuf) {
    // The first word counts: labs may be running with it.
    let _ = BINARY.set(path);
}

/// The program that labs run.
pub fn binary() -> Result<PathBuf> {
    let path = match BINARY.get() {
        Some(path) => path.clone(),
        None => std::env::var_os("SLUICE_BIN")
            .context("SLUICE_BIN names no sluice program; run scenarios by `cargo xtask test`")?
            .into(),
    };
    ensure!(path.exists(), "{} is not there: cargo xtask build", path.display());
    Ok(path)
}

impl Lab {
    /// A copy of the program where everybody may read it, also without privilege.
    ///
    /// Another process makes it: one that this process had open for writing
    /// could be handed down to a program that starts at that moment, and could
    /// not be run while that has it (`ETXTBSY`).
    pub fn readable_binary(&self) -> Result<PathBuf> {
        let copy = self.directory().join("sluice");
        command::run("cp", &[binary()?, copy.clone()])?.stdout()?;
        Ok(copy)
    }

    /// What the edge has said, where it is a process of its own.
    pub fn edge_log(&self) -> String {
        self.edge_role.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Host that the manager runs on.
    pub fn manager_host(&self) -> &Host {
        self.manager.as_ref().unwrap_or(&self.edge)
    }

    /// Where the manager takes agents and edges.
    pub fn manager_address(&self) -> SocketAddr {
        self.settings.manager
    }

    /// Starts `sluice run` with these further arguments (with roles apart,
    /// `sluice manager`, and `sluice edge` with the arguments; with another switch
    /// in the edge's place, `sluice manager` alone) and waits until it answers.
    pub fn start_sluice(&mut self, args: &[&str]) -> Result<()> {
        if self.settings.apart {
            self.start_manager()?;
            if self.settings.external {
                return Ok(());
            }
            self.start_edge(args)?;
            return (1..=self.further.len()).try_for_each(|edge| self.start_edge_at(edge));
        }
        let config = self.settings.write_manager(&self.site)?;
        self.sluice = Some(spawn(&self.edge, "run", config, args)?);
        self.wait_answer()
    }

    /// Starts `sluice run` without a capability, such as `net_raw`, and waits
    /// until it answers.
    pub fn start_sluice_without(&mut self, capability: &str) -> Result<()> {
        let config = self.settings.write_manager(&self.site)?;
        let words = ["--bounding-set", "--inh-caps"].map(|set| format!("{set}=-{capability}"));
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.extend([binary()?.into(), "run".into(), "--config".into(), config.into()]);
        self.sluice = Some(self.edge.spawn("sluice-run", "setpriv", &args)?);
        self.wait_answer()
    }

    /// Starts `sluice manager` and waits until it answers.
    pub fn start_manager(&mut self) -> Result<()> {
        let config = self.settings.write_manager(&self.site)?;
        self.sluice = Some(spawn(self.manager_host(), "manager", config, &[])?);
        self.wait_answer()
    }

    /// The same as user `nobody`, without any capability.
    pub fn start_manager_as_nobody(&mut self) -> Result<()> {
        const NOBODY: u32 = 65_534;
        let config = self.settings.write_manager(&self.site)?;
        let directory = settings::manager_dir(&self.site);
        std::fs::create_dir_all(&directory)?;
        let entries = std::fs::read_dir(&directory)?.map(|entry| entry.map(|entry| entry.path()));
        for path in entries.chain([Ok(directory.clone())]) {
            std::os::unix::fs::chown(path?, Some(NOBODY), Some(NOBODY))?;
        }
        let program = self.readable_binary()?;
        let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.extend([program.into(), "manager".into(), "--config".into(), config.into()]);
        self.sluice = Some(self.manager_host().spawn("sluice-manager", "setpriv", &args)?);
        self.wait_answer()
    }

    /// Starts `sluice edge` with these further arguments and waits until the
    /// manager knows it.
    pub fn start_edge(&mut self, args: &[&str]) -> Result<()> {
        let config = self.settings.write_edge(&self.site, "edge")?;
        self.edge_role = Some(spawn(&self.edge, "edge", config, args)?);
        self.wait_switch_in_step()
    }

    fn wait_answer(&mut self) -> Result<()> {
        eventually(START, "sluice to answer", || {
            if let Some(process) = &mut self.sluice {
                process.check_alive()?;
            }
            Ok(self.sluice(&["status"])?.success().then_some(()))
        })
        .with_context(|| self.last_words())
    }

    /// Waits until every switch is connected and has applied all it was sent.
    pub fn wait_switch_in_step(&self) -> Result<()> {
        eventually(START, "the edge to be in step with its manager", || {
            let term = &self.sluice_json(&["status"])?["term"];
            let switches = self.sluice_json(&["get", "switches"])?;
            let switches = switches.as_array().context("not a list")?;
            let in_step = |switch: &Value| {
                let (sent, live) = (&switch["sequence_sent"], &switch["sequence_live"]);
                // A new manager may find nothing to change.
                let applied = *sent == 0 || (sent == live && switch["term"] == *term);
                switch["connected"] == true && applied
            };
            ensure!(!switches.is_empty() && switches.iter().all(in_step), "{switches:?}");
            Ok(Some(()))
        })
        .with_context(|| self.last_words())
    }

    /// The running `sluice` processes: `sluice run`, or manager and edge, then
    /// the agents.
    pub fn daemons(&self) -> impl Iterator<Item = &Process> {
        let agents = self.processes.iter().filter_map(|Server { agent, .. }| agent.as_ref());
        let further = self.further.iter().filter_map(|edge| edge.process.as_ref());
        self.sluice.iter().chain(&self.edge_role).chain(further).chain(agents)
    }

    /// `sluice run`, or manager and edges.
    fn take_all(&mut self) -> Vec<Process> {
        let further = self.further.iter_mut().map(|edge| edge.process.take());
        let first = [self.sluice.take(), self.edge_role.take()];
        first.into_iter().chain(further).flatten().collect()
    }

    /// SIGKILL for `sluice run`, or for both roles.
    pub fn kill_sluice(&mut self) -> Result<()> {
        for process in self.take_all() {
            process.kill()?;
        }
        Ok(())
    }

    /// SIGKILL for `sluice manager`.
    pub fn kill_manager(&mut self) -> Result<()> {
        self.sluice.take().context("no manager runs")?.kill()
    }

    /// SIGKILL for `sluice edge`.
    pub fn kill_edge(&mut self) -> Result<()> {
        self.edge_role.take().context("no edge runs apart")?.kill()
    }

    /// SIGTERM for `sluice run`, or for both roles.
    ///
    /// # Errors
    /// When it takes long or fails.
    pub fn stop_sluice(&mut self) -> Result<()> {
        for process in self.take_all() {
            process.stop(STOP)?.stdout().context("an orderly stop of sluice")?;
        }
        Ok(())
    }

    /// Starts the agent of a server.
    pub fn start_agent(&mut self, server: usize) -> Result<()> {
        let host = &self.servers[server];
        let config = self.settings.write_agent(&self.site, host)?;
        self.processes[server].agent = Some(spawn(host, "agent", config, &[])?);
        Ok(())
    }

    /// SIGTERM for a server's agent, which then leaves gracefully; its process
    /// is given back, still running.
    pub fn leave(&mut self, server: usize) -> Result<Process> {
        let agent = self.processes[server].agent.take().context("no agent runs there")?;
        agent.signal(nix::sys::signal::Signal::SIGTERM)?;
        Ok(agent)
    }

    /// SIGKILL for a server's agent.
    pub fn kill_agent(&mut self, server: usize) -> Result<()> {
        self.processes[server].agent.take().context("no agent runs there")?.kill()
    }

    /// A server's agent stands still (SIGSTOP), or goes on.
    pub fn freeze_agent(&self, server: usize, frozen: bool) -> Result<()> {
        use nix::sys::signal::Signal;
        let agent = self.processes[server].agent.as_ref().context("no agent runs there")?;
        agent.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Where a server's agent takes events by lines.
    pub fn notify_socket(&self, server: usize) -> PathBuf {
        settings::notify_socket(&self.site, &self.servers[server], false)
    }

    /// The `NOTIFY_SOCKET` of a server's agent.
    pub fn systemd_socket(&self, server: usize) -> PathBuf {
        settings::notify_socket(&self.site, &self.servers[server], true)
    }

    /// `sluice notify` on a server.
    pub fn notify(&self, server: usize, words: &[&str]) -> Result<Outcome> {
        let socket = self.notify_socket(server).display().to_string();
        let args = [&["notify", "--socket", &socket], words].concat();
        self.servers[server].run(binary()?, &args)
    }

    /// Runs the command line on the manager's host, over its unix socket.
    ///
    /// ```no_run
    /// # fn main() -> anyhow::Result<()> {
    /// # let lab = lab::Lab::build().service(lab::l2("www")).start()?;
    /// lab.sluice(&["weight", "www", "198.18.2.11:80", "0"])?.stdout()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it cannot be started. How it ended is in the outcome.
    pub fn sluice(&self, args: &[&str]) -> Result<Outcome> {
        let manager = format!("unix:{}", settings::socket(&self.site).display());
        let mut all = vec!["--manager", &manager];
        all.extend(args);
        self.manager_host().run(binary()?, &all)
    }

    /// The command line's answer with `-o json`.
    pub fn sluice_json(&self, args: &[&str]) -> Result<Value> {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        let answer = self.sluice(&all)?.stdout()?;
        serde_json::from_str(&answer)
            .with_context(|| format!("sluice {args:?} -o json printed:\n{answer}"))
    }

    /// `sluice get backends`, of one service.
    pub fn backends(&self, service: &str) -> Result<Vec<Backend>> {
        let answer = self.sluice_json(&["get", "backends"])?;
        let all = read_backends(&answer)
            .with_context(|| format!("sluice get backends printed:\n{answer:#}"))?;
        Ok(all.into_iter().filter(|backend| backend.service == service).collect())
    }

    /// One counter of a service, such as `new_connections`, as `sluice counters`
    /// shows it.
    pub fn counter(&self, service: &str, name: &str) -> Result<u64> {
        let counters = self.sluice_json(&["counters"])?;
        let rows = counters["services"].as_array().context("no services")?;
        let row = rows.iter().find(|row| row["service"] == service);
        let value = row.and_then(|row| row[name].as_u64());
        value.with_context(|| format!("no {name} of {service} in {counters:#}"))
    }

    /// Packets that left the edge for this reason.
    pub fn reason(&self, name: &str) -> Result<u64> {
        let counters = self.sluice_json(&["counters"])?;
        let rows = counters["reasons"].as_array().context("no reasons")?;
        let row = rows.iter().find(|row| row["reason"] == name);
        let packets = row.and_then(|row| row["packets"].as_u64());
        packets.with_context(|| format!("no reason {name} in {counters:#}"))
    }

    /// State of one server in a service; `None` when it is not bound.
    pub fn state(&self, service: &str, server: usize) -> Result<Option<String>> {
        let address = self.backend(service, server);
        Ok(self
            .backends(service)?
            .into_iter()
            .find(|backend| backend.address == address)
            .map(|backend| backend.state))
    }

    /// Waits until a server has this state in a service (`None`: is not bound)
    /// and the edge steers accordingly.
    pub fn wait_state(&self, service: &str, server: usize, state: Option<&str>) -> Result<()> {
        let what = format!(
            "{} to be {} in {service}",
            self.servers[server].name(),
            state.unwrap_or("gone")
        );
        self.until(20, &what, || {
            let seen = self.state(service, server)?;
            if seen.as_deref() == state {
                return Ok(Some(()));
            }
            bail!("it is {}", seen.as_deref().unwrap_or("gone"))
        })
        .with_context(|| self.last_words())?;
        self.wait_switch_in_step()
    }

    /// Waits until every server is active in every service.
    pub(crate) fn wait_all_active(&self, patience: Duration) -> Result<()> {
        for placed in &self.settings.services {
            let name = &placed.service.name;
            eventually(patience, &format!("every server to be active in {name}"), || {
                let backends = self.backends(name)?;
                let active = backends.iter().filter(|backend| backend.state == "active").count();
                ensure!(active == self.servers.len(), "{backends:?}");
                Ok(Some(()))
            })
            .with_context(|| self.last_words())?;
        }
        self.wait_switch_in_step()
    }

    /// The ends of the logs of every `sluice` process, for an error message.
    pub fn last_words(&self) -> String {
        self.daemons()
            .map(|process| format!("--- {}\n{}\n", process.name(), process.log_tail()))
            .collect()
    }
}

pub(crate) fn spawn(host: &Host, role: &str, config: PathBuf, args: &[&str]) -> Result<Process> {
    let mut all: Vec<OsString> = vec![role.into(), "--config".into(), config.into()];
    all.extend(args.iter().map(OsString::from));
    host.spawn(&format!("sluice-{role}"), binary()?, &all)
}

fn read_backends(answer: &Value) -> Result<Vec<Backend>> {
    let rows = answer.as_array().context("not a list")?;
    let text = |row: &Value, field: &str| {
        row[field].as_str().map(str::to_owned).with_context(|| format!("no text {field}"))
    };
    let number = |row: &Value, field: &str| {
        row[field].as_u64().with_context(|| format!("no number {field}"))
    };
    rows.iter()
        .map(|row| {
            Ok(Backend {
                service: text(row, "service")?,
                address: text(row, "address")?.parse()?,
                weight: number(row, "weight")?,
                state: text(row, "state")?,
                connections: number(row, "connections")?,
                unreachable: row["unreachable"].as_str().map(str::to_owned),
                removable: row["removable"].as_bool().context("no truth removable")?,
            })
        })
        .collect()
}
