//! SNMP v2c and v3.
//!
//! Configuration is written as rows of the box's private MIB, one SET for each, several
//! under way at once. A reboot shows as `sysUpTime` going back. There is no object that
//! breaks connections, and none that writes to flash.

mod binding;
mod options;
mod read;
mod tables;
mod write;

use std::time::Duration;

use async_snmp::{Client, Oid, Retry};
use async_trait::async_trait;

use self::{
    options::{Access, Options},
    read::Rows,
};
use super::{
    config::{Activity, Config},
    driver::{Driver, Language, Outcome},
    steps::Step,
};
use crate::{
    config::SwitchSettings,
    switch::{Device, Failure, dialects::Dialect},
};

/// Requests of a read that are lost before it is given up. A SET is not repeated: what
/// became of it is read.
const RETRIES: u32 = 2;
/// Objects that one request asks for at the most.
const OBJECTS: usize = 16;
/// `sysUpTime` begins anew after 497 days: from so many hundredths before that on, going
/// back is no reboot.
const TURN: u32 = 600 * 100;

/// The row in the table of dialects.
pub(super) static DIALECT: Dialect = Dialect {
    kind: "serveriron-snmp",
    about: "Foundry or Brocade ServerIron, by SNMP v2c or v3",
    needs: &[],
    make,
};

fn make(settings: &SwitchSettings) -> Result<Box<dyn Device>, String> {
    let options: Options = super::super::options(settings)?;
    let about = |error| format!("[switch.options] of `{}`: {error}", settings.name);
    let (access, common) = options.check().map_err(about)?;
    let snmp =
        Snmp { access, timeout: settings.timeout, session: None, rows: Rows::new(), up_time: None };
    Ok(Box::new(Driver::new(snmp, common)))
}

struct Snmp {
    access: Access,
    timeout: Duration,
    session: Option<Session>,
    /// The table of bindings, as read and written.
    rows: Rows,
    /// As last seen in this session.
    up_time: Option<u32>,
}

/// Two clients, since what is read may be asked for twice.
#[derive(Clone)]
struct Session {
    reads: Client,
    writes: Client,
}

#[async_trait]
impl Language for Snmp {
    const BREAKS: bool = false;

    fn description(&self) -> String {
        format!("ServerIron at {} over SNMP {}", self.access.address, self.access.version())
    }

    fn hang_up(&mut self) {
        self.session = None;
        self.up_time = None;
    }

    async fn config(&mut self) -> Result<Config, Failure> {
        if self.session.is_none() {
            self.session = Some(connect(&self.access, self.timeout).await?);
        }
        self.same_start().await?;
        let (config, rows) = read::config(&self.session()?.reads).await?;
        self.rows = rows;
        Ok(config)
    }

    async fn activity(&mut self) -> Result<Activity, Failure> {
        read::activity(&self.session()?.reads).await
    }

    async fn run(&mut self, steps: &[Step], config: &mut Config) -> Result<Outcome, Failure> {
        let session = self.session()?.clone();
        write::run(&session, steps, config, &mut self.rows).await
    }

    /// There is no object for it.
    async fn save(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn same_start(&mut self) -> Result<(), Failure> {
        let up_time = Oid::new(tables::SYS_UP_TIME);
        let values = read::get(&self.session()?.reads, &[up_time]).await;
        // An agent that does not tell its age says nothing else of use either.
        let values = values.map_err(|failure| Failure::Lost(failure.to_string()))?;
        let now = values.first().and_then(|value| value.as_u32());
        let now = now.ok_or_else(|| Failure::Lost("it does not tell its sysUpTime".into()))?;
        match self.up_time.replace(now) {
            Some(before) if is_reboot(before, now) => Err(Failure::Rebooted(format!(
                "its sysUpTime went back from {} s to {} s",
                before / 100,
                now / 100
            ))),
            _ => Ok(()),
        }
    }
}

impl Snmp {
    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| Failure::Lost("there is no session".into()))
    }
}

fn is_reboot(before: u32, now: u32) -> bool {
    now < before && before < u32::MAX - TURN
}

async fn connect(access: &Access, patience: Duration) -> Result<Session, Failure> {
    let auth = access.auth().map_err(Failure::Lost)?;
    let salt = access.salt().map_err(Failure::Lost)?;
    let retries =
        Retry::fixed(RETRIES, Duration::ZERO).map_err(|error| Failure::Lost(error.to_string()))?;
    let client = |retry: Retry| {
        let builder = Client::builder(access.address, auth.clone());
        // The time for one operation is that of all its attempts.
        let attempt = patience / (retry.retries() + 1);
        let builder = builder.request_timeout(attempt).retry(retry).max_oids_per_request(OBJECTS);
        match &salt {
            Some(salt) => builder.des_salt_state(salt.clone()),
            None => builder,
        }
    };
    let failed = |error: Box<async_snmp::Error>| read::failure(&error);
    let reads = client(retries).connect().await.map_err(failed)?;
    let writes = client(Retry::none()).connect().await.map_err(failed)?;
    Ok(Session { reads, writes })
}

#[cfg(test)]
mod tests;
