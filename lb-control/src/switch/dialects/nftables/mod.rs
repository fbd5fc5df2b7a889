//! A Linux router by its nf_tables: the manager's own host, or the network namespace
//! that it runs in.
//!
//! Netlink, and no nft(8): a change is one batch, carried out as a whole or not at
//! all, which the kernel takes only if the ruleset is still the one it was made for.
//! Everything is in a table of our own (`inet sluice`); others are never touched.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `router` | what the table holds, and how it changes |
//! | `ruleset` | the table that makes a plan so |
//! | `key`, `expression` | its keys and its rules' expressions |
//! | `delta` | from one ruleset to another, as messages |
//! | `dump`, `recognise` | from what the kernel shows to a plan |
//! | `conntrack` | connections of each backend; the end of those that are gone |
//! | `link`, `attribute`, `uapi` | netlink |

mod attribute;
mod conntrack;
mod delta;
mod dump;
mod expression;
mod key;
mod link;
mod recognise;
mod router;
mod ruleset;
mod uapi;

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use caps::Capability;
use serde::Deserialize;

use self::router::Router;
use super::Dialect;
use crate::{
    config::SwitchSettings,
    switch::{Capabilities, Count, Device, Failure, Plan},
};

/// The row in the table of dialects.
pub static DIALECT: Dialect = Dialect {
    kind: "nftables",
    about: "a Linux router: this host's nf_tables",
    needs: &[Capability::CAP_NET_ADMIN],
    make,
};

/// `[switch.options]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Name of the table, of family inet. Default `"sluice"`.
    #[serde(default = "table")]
    table: String,
    /// Connections come to servers from the router's own address: for servers whose
    /// way back to clients does not lead through this router. Default false.
    #[serde(default)]
    masquerade: bool,
}

fn table() -> String {
    "sluice".to_owned()
}

fn make(settings: &SwitchSettings) -> Result<Box<dyn Device>, String> {
    let options: Options = super::options(settings)?;
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let first = options.table.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !first || options.table.len() > 63 || !options.table.bytes().all(inner) {
        return Err(format!(
            "[switch.options] of `{}`: `{}` is not a table's name: use 1 to 63 of a-z, A-Z, 0-9, \
             '-', '.', '_', beginning with a letter",
            settings.name, options.table
        ));
    }
    Ok(Box::new(Nftables::new(options, settings.timeout)))
}

struct Nftables {
    description: String,
    timeout: Duration,
    router: Arc<Mutex<Router>>,
}

impl Nftables {
    fn new(options: Options, timeout: Duration) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let description = format!("nftables of Linux {}, table {}", kernel.trim(), options.table);
        let router = Arc::new(Mutex::new(Router::new(options, timeout)));
        Self { description, timeout, router }
    }

    /// The kernel answers at once, but a dump of a million connections takes its time.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Router) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let router = Arc::clone(&self.router);
        let work = move || work(&mut router.lock().unwrap_or_else(PoisonError::into_inner));
        let late = || Failure::Lost(format!("the kernel did not answer within {:?}", self.timeout));
        match tokio::time::timeout(self.timeout, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(Failure::Lost(error.to_string())),
            Err(_) => Err(late()),
        }
    }
}

#[async_trait]
impl Device for Nftables {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: Some(u16::MAX.into()),
            drain: true,
            breaks: true,
            admission: true,
            ipv6: true,
            udp: true,
            counters: true,
        }
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        self.work(Router::read).await
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let plan = plan.clone();
        self.work(move |router| router.apply(&plan)).await
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        self.work(Router::poll).await
    }
}

#[cfg(test)]
mod tests;
