//! A real HAProxy: a switch that a manager drives.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Host, Process, eventually};

const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// A service in haproxy.cfg: frontend `fe_NAME` and backend `be_NAME`.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub name: String,
    /// Without one, it is a backend alone.
    pub vip: Option<SocketAddr>,
    /// `tcp` or `http`.
    pub mode: &'static str,
    /// More lines of the backend, such as servers of the site's own.
    pub lines: String,
}

impl Proxy {
    /// Mode `tcp`.
    pub fn new(name: &str, vip: Option<SocketAddr>) -> Self {
        Self { name: name.to_owned(), vip, mode: "tcp", lines: String::new() }
    }
}

/// HAProxy, on a host of the lab as a rule.
#[derive(Debug)]
pub struct Haproxy {
    process: Option<Process>,
    /// Processes before a reload, which go with their last connection.
    retired: Vec<Process>,
    /// None: in the namespace of whoever starts it.
    host: Option<Host>,
    /// Of its configuration, socket and log.
    directory: PathBuf,
    name: String,
}

/// A server of a backend, as HAProxy has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyServer {
    pub name: String,
    pub address: SocketAddr,
    pub weight: u32,
    /// Out by a command (`MAINT`).
    pub maintenance: bool,
    pub draining: bool,
}

impl Haproxy {
    /// Starts it, and waits until it takes commands. Its files are called `name`.
    pub fn start(host: &Host, name: &str, proxies: &[Proxy]) -> Result<Self> {
        let mut haproxy = Self {
            process: None,
            retired: Vec::new(),
            host: Some(host.clone()),
            directory: host.dir.clone(),
            name: name.to_owned(),
        };
        haproxy.restart(proxies)?;
        Ok(haproxy)
    }

    /// Likewise in this thread's namespace, without a lab. It ends with this thread.
    #[cfg(feature = "lab")]
    pub(crate) fn start_here(directory: &Path, name: &str, proxies: &[Proxy]) -> Result<Self> {
        let mut haproxy = Self {
            process: None,
            retired: Vec::new(),
            host: None,
            directory: directory.to_owned(),
            name: name.to_owned(),
        };
        haproxy.restart(proxies)?;
        Ok(haproxy)
    }

    /// The Runtime API.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!("{}.sock", self.name))
    }

    /// Kills it where it runs, and starts it anew: servers that were added are gone.
    pub fn restart(&mut self, proxies: &[Proxy]) -> Result<()> {
        self.kill()?;
        self.start_process(proxies, &[])
    }

    /// Starts a new process, to which the old one leaves new connections: servers that
    /// were added are gone, connections to them are not.
    pub fn reload(&mut self, proxies: &[Proxy]) -> Result<()> {
        let old = self.process.take().context("no HAProxy runs")?;
        let pid = old.pid().to_string();
        self.retired.push(old);
        self.start_process(proxies, &["-sf", &pid])?;
        let socket = self.socket();
        eventually(START, "the new HAProxy to take commands", || {
            let info = ask(&socket, "show info")?;
            Ok((!info.contains(&format!("\nPid: {pid}\n"))).then_some(()))
        })
    }

    fn start_process(&mut self, proxies: &[Proxy], more: &[&str]) -> Result<()> {
        let config = self.directory.join(format!("{}.cfg", self.name));
        fs::write(&config, self.config(proxies)).with_context(|| config.display().to_string())?;
        let mut args: Vec<&OsStr> = vec!["-db".as_ref(), "-f".as_ref(), config.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        let started = self.spawn(&args)?;
        let socket = self.socket();
        let process = self.process.insert(started);
        eventually(START, "HAProxy to take commands", || {
            process.check_alive()?;
            ask(&socket, "show version").map(|version| (!version.is_empty()).then_some(()))
        })
    }

    fn spawn(&self, args: &[&OsStr]) -> Result<Process> {
        let Some(host) = &self.host else {
            let wrapper = ["--pdeathsig", "KILL", "haproxy"].map(OsStr::new);
            let log = self.directory.join(format!("{}.log", self.name));
            let args = [&wrapper[..], args].concat();
            return Process::spawn(&self.name, "setpriv".as_ref(), &args, &log);
        };
        host.spawn(&self.name, "haproxy", args)
    }

    /// SIGKILL, where it runs.
    pub fn kill(&mut self) -> Result<()> {
        self.retired.drain(..).chain(self.process.take()).try_for_each(Process::kill)
    }

    fn config(&self, proxies: &[Proxy]) -> String {
        let mut config = format!(
            "global\n\
             stats socket {} mode 600 level admin\n\
             nbthread 1\n\
             defaults\n\
             timeout connect 5s\n\
             timeout client 1h\n\
             timeout server 1h\n",
            self.socket().display()
        );
        for Proxy { name, vip, mode, lines } in proxies {
            if let Some(vip) = vip {
                config += &format!(
                    "frontend fe_{name}\nmode {mode}\nbind {vip}\ndefault_backend be_{name}\n"
                );
            }
            config += &format!("backend be_{name}\nmode {mode}\nbalance roundrobin\n{lines}\n");
        }
        config
    }

    /// A command of an operator, and what is said to it.
    pub fn ask(&self, command: &str) -> Result<String> {
        ask(&self.socket(), command).with_context(|| format!("HAProxy, asked `{command}`"))
    }

    /// The servers of a backend, in HAProxy's order.
    pub fn servers(&self, backend: &str) -> Result<Vec<ProxyServer>> {
        let state = self.ask("show servers state")?;
        let mut lines = state.lines();
        ensure!(lines.next() == Some("1"), "{state}");
        let header = lines.next().and_then(|line| line.strip_prefix("# ")).context("no header")?;
        let names: Vec<_> = header.split(' ').collect();
        let rows = lines.filter(|line| !line.is_empty());
        let rows = rows
            .map(|row| -> BTreeMap<_, _> { names.iter().copied().zip(row.split(' ')).collect() });
        let server = |row: BTreeMap<&str, &str>| {
            let admin: u32 = row["srv_admin_state"].parse()?;
            Ok(ProxyServer {
                name: row["srv_name"].to_owned(),
                address: SocketAddr::new(row["srv_addr"].parse()?, row["srv_port"].parse()?),
                weight: row["srv_uweight"].parse()?,
                maintenance: admin & 0x01 != 0,
                draining: admin & 0x08 != 0,
            })
        };
        rows.filter(|row| row["be_name"] == backend).map(server).collect()
    }
}

fn ask(socket: &Path, command: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(command.as_bytes())?;
    stream.write_all(b"\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply.trim_end_matches('\n').to_owned())
}
