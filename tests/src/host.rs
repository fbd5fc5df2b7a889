//! A computer of the lab: a namespace with addresses.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use crate::{Netns, Outcome, Process, command, plan::Net};

/// A computer of the lab. All of them share the machine's file system.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) name: String,
    pub(crate) netns: Netns,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    /// Logs and configuration of what runs on it.
    pub(crate) dir: PathBuf,
}

impl Host {
    /// `client`, `edge`, `server-1`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its own address, of the asked family.
    pub fn address(&self, v6: bool) -> IpAddr {
        if v6 { self.v6.into() } else { self.v4.into() }
    }

    /// What names it in QUIC connection ids.
    pub fn server_id(&self) -> [u8; 4] {
        self.v4.octets()
    }

    /// Whether its own address is in this network.
    pub(crate) fn is_on(&self, net: Net) -> bool {
        self.v4.octets()[..3] == net.v4(0).octets()[..3]
    }

    /// Runs a program to its end.
    ///
    /// ```no_run
    /// # fn main() -> anyhow::Result<()> {
    /// # let lab = lab::Lab::build().start()?;
    /// let pinged = lab.client().run("ping", &["-c", "1", "198.18.1.1"])?;
    /// assert!(pinged.success());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it cannot be started. How it ended is in the outcome.
    pub fn run(
        &self,
        program: impl AsRef<OsStr> + Sync,
        args: &[impl AsRef<OsStr> + Sync],
    ) -> Result<Outcome> {
        self.netns
            .enter(|| command::run(&program, args))
            .with_context(|| format!("on {}: {}", self.name, command::line(program.as_ref(), args)))
    }

    /// Starts a program that goes on; its outputs go to a file named after `name`.
    pub fn spawn(
        &self,
        name: &str,
        program: impl AsRef<OsStr> + Sync,
        args: &[impl AsRef<OsStr> + Sync],
    ) -> Result<Process> {
        let log = self.dir.join(format!("{name}.log"));
        let title = format!("{name} on {}", self.name);
        self.netns.enter(|| Process::spawn(&title, program.as_ref(), args, &log))
    }

    /// Cuts its cable: what it sends is lost and nothing reaches it.
    pub fn unplug(&self) -> Result<()> {
        self.run("ip", &["link", "set", "eth0", "down"])?.stdout()?;
        Ok(())
    }

    /// Undoes [`unplug`](Self::unplug), but for IPv6 addresses, which are lost.
    pub fn plug(&self) -> Result<()> {
        self.run("ip", &["link", "set", "eth0", "up"])?.stdout()?;
        Ok(())
    }
}
