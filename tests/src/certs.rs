//! Certificates of a guarded lab: an authority of its own, and who is whom.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{Host, Lab, Outcome, command, sluice::binary};

/// What begins the identities of a lab's authority.
pub const IDENTITIES: &str = "spiffe://sluice.internal";

/// Makes an authority in a directory.
pub(crate) fn init(directory: &Path) -> Result<()> {
    let directory = directory.to_string_lossy();
    command::run(binary()?, &["certs", "init", &directory])?.stdout()?;
    Ok(())
}

/// Issues a certificate for `spiffe://sluice.internal/ROLE/NAME`.
pub(crate) fn issue(directory: &Path, name: &str, role: &str, host: &[&str]) -> Result<()> {
    let directory = directory.to_string_lossy();
    let mut args = vec!["certs", "issue", name, "--role", role, "--dir", &directory];
    for host in host {
        args.extend(["--host", host]);
    }
    command::run(binary()?, &args)?.stdout()?;
    Ok(())
}

/// The arguments that show a certificate.
fn shown(directory: &Path, name: &str) -> Vec<String> {
    let file = |file: String| directory.join(file).to_string_lossy().into_owned();
    let pairs = [
        ("--tls-ca", "ca.pem".to_owned()),
        ("--tls-cert", format!("{name}.pem")),
        ("--tls-key", format!("{name}.key")),
    ];
    pairs.into_iter().flat_map(|(flag, name)| [flag.to_owned(), file(name)]).collect()
}

impl Lab {
    /// Where the certificates of a guarded lab are.
    pub fn certificates(&self) -> PathBuf {
        self.site.dir.join("certs")
    }

    /// Another authority, in a directory of this name, and a certificate of it
    /// for an agent.
    pub fn strange_authority(&self, directory: &str, agent: &str) -> Result<PathBuf> {
        let directory = self.site.dir.join(directory);
        init(&directory)?;
        issue(&directory, agent, "agent", &[])?;
        Ok(directory)
    }

    /// One more certificate.
    pub fn issue(&self, name: &str, role: &str) -> Result<()> {
        issue(&self.certificates(), name, role, &[])
    }

    /// Arguments of `sluice` for somebody on another host who shows this
    /// certificate to the manager.
    pub fn as_holder(&self, directory: &Path, name: &str) -> Vec<String> {
        let mut args = vec!["--manager".to_owned(), self.settings.manager.to_string()];
        args.extend(shown(directory, name));
        args
    }

    /// Runs the command line on a host, over the network, with a certificate.
    pub fn sluice_as(&self, host: &Host, name: &str, args: &[&str]) -> Result<Outcome> {
        let mut all = self.as_holder(&self.certificates(), name);
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        host.run(binary()?, &all)
    }
}
