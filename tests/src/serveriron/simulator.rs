//! The box as tests hold it.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{
    Faults, Health, Options, Refusal, State,
    cli::{self, Protocol},
    device::Device,
    snmp::{self, Event},
};

/// How often `server force-delete` looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// How long its threads may take to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running box.
#[derive(Debug)]
pub struct Simulator {
    device: Arc<Device>,
    telnet: SocketAddr,
    ssh: SocketAddr,
    snmp: SocketAddr,
    /// The agent's socket once more, for traps.
    traps: UdpSocket,
    host_key: String,
    /// Taken when it is dropped, which ends all listeners and sessions.
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Boots a box with an empty configuration. It listens in the network
    /// namespace of the calling thread.
    ///
    /// # Errors
    /// When an address cannot be listened at.
    pub fn start(options: Options) -> Result<Self> {
        let bind = |port| {
            let address = SocketAddr::new(options.address, port);
            let listener = TcpListener::bind(address);
            let listener = listener.with_context(|| format!("listening at {address}"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok((listener.local_addr()?, listener))
        };
        let (telnet, telnet_listener) = bind(options.ports.telnet)?;
        let (ssh, ssh_listener) = bind(options.ports.ssh)?;
        let address = SocketAddr::new(options.address, options.ports.snmp);
        let agent = UdpSocket::bind(address);
        let agent = agent.with_context(|| format!("listening at {address}"))?;
        agent.set_nonblocking(true)?;
        let (snmp, traps) = (agent.local_addr()?, agent.try_clone()?);
        let key = cli::host_key();
        let host_key = cli::public_line(&key);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("serveriron")
            .enable_all()
            .build()?;
        let device = Arc::new(Device::new(options));
        let inside = runtime.enter();
        for (listener, protocol) in [
            (telnet_listener, Protocol::Telnet),
            (ssh_listener, Protocol::Ssh(Arc::new(cli::ssh_config(key)))),
        ] {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(cli::listen(Arc::clone(&device), listener, protocol));
        }
        let agent = tokio::net::UdpSocket::from_std(agent)?;
        tokio::spawn(snmp::serve(Arc::clone(&device), agent));
        tokio::spawn(tick(Arc::clone(&device)));
        drop(inside);
        Ok(Self { device, telnet, ssh, snmp, traps, host_key, runtime: Some(runtime) })
    }

    /// Where telnet listens.
    pub fn cli_address(&self) -> SocketAddr {
        self.telnet
    }

    /// Where SSH listens.
    pub fn ssh_address(&self) -> SocketAddr {
        self.ssh
    }

    /// Where the SNMP agent listens.
    pub fn snmp_address(&self) -> SocketAddr {
        self.snmp
    }

    /// The SSH host key as `known_hosts` has it, without the host:
    /// `ssh-ed25519 AAAA…`.
    pub fn ssh_host_key(&self) -> &str {
        &self.host_key
    }

    /// What it holds now.
    pub fn state(&self) -> State {
        self.device.read(State::clone)
    }

    /// Changes it past command line and SNMP, in no time: another operator's
    /// edits behind a driver's back, and clients that come and go.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.device.change(change)
    }

    /// What health checks are to have found of a real server, or of one of its
    /// ports. A change between up and not up is trapped.
    ///
    /// # Errors
    /// When there is no such server or port, or the trap cannot be sent.
    pub fn set_health(&self, real: &str, port: Option<u16>, health: Health) -> Result<()> {
        let before = self.device.change(|state| -> Result<bool, Refusal> {
            let found = state.running.reals.get(real);
            let before = match port {
                None => found.map(|found| found.health),
                Some(port) => found.and_then(|found| found.ports.get(&port)).map(|at| at.health),
            };
            state.set_health(real, port, health)?;
            Ok(before == Some(Health::Up))
        })?;
        let event = match (before, health == Health::Up, port) {
            (false, true, None) => Event::RealUp,
            (true, false, None) => Event::RealDown,
            (false, true, Some(_)) => Event::RealPortUp,
            (true, false, Some(_)) => Event::RealPortDown,
            (true, true, _) | (false, false, _) => return Ok(()),
        };
        let mut about = vec![real.to_owned()];
        about.extend(port.map(|port| port.to_string()));
        self.trap(event, &about)
    }

    /// Takes over from its twin, or gives over to it, which is trapped and
    /// changes nothing else.
    ///
    /// # Errors
    /// When the trap cannot be sent.
    pub fn set_active(&self, active: bool) -> Result<()> {
        self.trap(if active { Event::BecomeActive } else { Event::BecomeStandby }, &[])
    }

    fn trap(&self, event: Event, about: &[String]) -> Result<()> {
        let state = self.state();
        snmp::send_trap(&self.traps, &self.device.options, &state, event, about)
            .context("sending a trap")
    }

    /// Sets what goes wrong from now on, instead of what did.
    pub fn set_faults(&self, faults: Faults) {
        *self.device.faults() = faults;
    }

    /// What still goes wrong.
    pub fn faults(&self) -> Faults {
        self.device.faults().clone()
    }

    /// A hard reboot: sessions and clients' connections drop, what was not
    /// saved by `write memory` is forgotten, and nothing answers for a while.
    pub fn reboot(&self, lasting: Duration) {
        self.device.reboot(lasting);
    }

    /// Drops every connection to the command line, and nothing else.
    pub fn hang_up(&self) {
        self.device.kick();
    }

    /// Command lines and SNMP requests so far.
    pub fn commands(&self) -> usize {
        self.device.commands.load(Ordering::Relaxed)
    }

    /// Changes so far that took their time: one for each configuration
    /// command, for each pair of a `bind` line, and for each row of an SNMP set.
    pub fn operations(&self) -> usize {
        self.device.operations.load(Ordering::Relaxed)
    }

    /// Logins on the command line so far.
    pub fn logins(&self) -> usize {
        self.device.logins.load(Ordering::Relaxed)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A test that is asynchronous itself must not be blocked.
        if Handle::try_current().is_ok() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(FAREWELL);
        }
    }
}

/// Lets time pass for what waits.
async fn tick(device: Arc<Device>) {
    loop {
        tokio::time::sleep(TICK).await;
        if device.read(|state| state.running.force_delete) {
            device.change(|_| ());
        }
    }
}
