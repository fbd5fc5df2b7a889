//! A simulated box, and a device that speaks to it in one of its languages.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use lab::serveriron::{Auth, Login, Options, Simulator, User};
use lb_control::{
    config::SwitchSettings,
    model::{Phase, Protocol, Share, Verdict},
    switch::{Device, Failure, Plan, PlannedServer, PlannedService, dialects},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
/// For one operation, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where it is waited for.
pub(crate) const HASTE: Duration = Duration::from_secs(3);

pub(crate) const TELNET_PASSWORD: &str = "telnet-pass";
pub(crate) const ENABLE_PASSWORD: &str = "enable-pass";
pub(crate) const COMMUNITY: &str = "private";
pub(crate) const AUTH_PASSWORD: &str = "auth-pass-1";
pub(crate) const PRIV_PASSWORD: &str = "priv-pass-1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Telnet,
    Ssh,
    V2c,
    V3,
}

impl Language {
    pub(crate) const ALL: [Self; 4] = [Self::Telnet, Self::Ssh, Self::V2c, Self::V3];
    pub(crate) const CLI: [Self; 2] = [Self::Telnet, Self::Ssh];
    pub(crate) const SNMP: [Self; 2] = [Self::V2c, Self::V3];

    pub(crate) fn is_cli(self) -> bool {
        Self::CLI.contains(&self)
    }
}

/// A box, and one who speaks to it.
pub(crate) struct Bench {
    pub(crate) iron: Simulator,
    pub(crate) device: Box<dyn Device>,
    language: Language,
    files: TempDir,
    runtime: Runtime,
}

/// A box that has all logins.
pub(crate) fn options() -> Options {
    let user = |name: &str, auth| User {
        name: name.to_owned(),
        auth,
        auth_password: AUTH_PASSWORD.to_owned(),
        privacy_password: Some(PRIV_PASSWORD.to_owned()),
    };
    let users = vec![user("sluice", Auth::Sha1), user("sluice-256", Auth::Sha256)];
    Options { users, ..Options::default() }.instant()
}

impl Bench {
    pub(crate) fn new(language: Language, options: Options) -> Result<Self> {
        Self::with(language, options, json!({}))
    }

    /// One that soon gives up.
    pub(crate) fn hasty(language: Language, options: Options) -> Result<Self> {
        Self::with(language, options, json!({ "timeout": format!("{}ms", HASTE.as_millis()) }))
    }

    /// With options of the dialect, or `timeout`, instead of, or besides, the usual ones.
    pub(crate) fn with(language: Language, options: Options, more: Value) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let named = matches!(options.login, Login::Name { .. });
        let iron = Simulator::start(options)?;
        let device = device(language, &iron, &files, named, &more)?;
        Ok(Self {
            iron,
            device,
            language,
            files,
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Another who speaks to the same box.
    pub(crate) fn another(&self) -> Result<Box<dyn Device>> {
        device(self.language, &self.iron, &self.files, false, &json!({}))
    }

    pub(crate) fn read(&mut self) -> Result<Plan, Failure> {
        self.runtime.block_on(self.device.read())
    }

    /// None: it is not read by then.
    pub(crate) fn read_within(&mut self, limit: Duration) -> Option<Result<Plan, Failure>> {
        let read = async { tokio::time::timeout(limit, self.device.read()).await };
        self.runtime.block_on(read).ok()
    }

    pub(crate) fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.runtime.block_on(self.device.apply(plan))
    }

    pub(crate) fn poll(&mut self) -> Result<Vec<lb_control::switch::Count>, Failure> {
        self.runtime.block_on(self.device.poll())
    }

    /// Both read, and then both write at the same time. Each would take out what it does
    /// not know, if it were asked again.
    pub(crate) fn together(
        &mut self,
        other: &mut dyn Device,
        (ours, theirs): (&Plan, &Plan),
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            self.device.read().await?;
            other.read().await?;
            let (first, second) = tokio::join!(self.device.apply(ours), other.apply(theirs));
            first.and(second)
        })
    }

    /// Reads first, as whoever connects does.
    pub(crate) fn start(&mut self, plan: &Plan) -> Result<()> {
        let language = self.language;
        self.read().with_context(|| format!("{language:?}: reading"))?;
        self.apply(plan).with_context(|| format!("{language:?}: applying"))
    }

    /// Nothing was done that the vendor forbids.
    pub(crate) fn no_violation(&self) -> Result<()> {
        let violations = self.iron.state().violations;
        anyhow::ensure!(violations.is_empty(), "{:?}: {violations:?}", self.language);
        Ok(())
    }
}

fn device(
    language: Language,
    iron: &Simulator,
    files: &TempDir,
    named: bool,
    more: &Value,
) -> Result<Box<dyn Device>> {
    let file = |name: &str, secret: &str| -> Result<String> {
        let path = files.path().join(name);
        fs::write(&path, format!("{secret}\n"))?;
        Ok(path.display().to_string())
    };
    let password = file("password", TELNET_PASSWORD)?;
    let enable = file("enable", ENABLE_PASSWORD)?;
    let mut options = match language {
        Language::Telnet => json!({
            "address": iron.cli_address(), "transport": "telnet",
            "password_file": password, "enable_password_file": enable,
        }),
        Language::Ssh => {
            let at = iron.ssh_address();
            let host = format!("[{}]:{} {}\n", at.ip(), at.port(), iron.ssh_host_key());
            let known = files.path().join("known_hosts");
            fs::write(&known, host)?;
            json!({
                "address": at, "transport": "ssh", "user": "sluice", "known_hosts": known,
                "password_file": password, "enable_password_file": enable,
            })
        }
        Language::V2c => json!({
            "address": iron.snmp_address(), "version": "2c",
            "community_file": file("community", COMMUNITY)?,
        }),
        Language::V3 => json!({
            "address": iron.snmp_address(), "version": "3", "user": "sluice",
            "auth_password_file": file("auth", AUTH_PASSWORD)?,
            "priv_password_file": file("priv", PRIV_PASSWORD)?,
        }),
    };
    if let Some(options) = options.as_object_mut() {
        if named && language.is_cli() {
            options.insert("user".into(), json!("sluice"));
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            if value.is_null() {
                options.remove(name);
            } else {
                options.insert(name.clone(), value.clone());
            }
        }
    }
    let kind = if language.is_cli() { "serveriron-cli" } else { "serveriron-snmp" };
    let timeout = options.as_object_mut().and_then(|options| options.remove("timeout"));
    let timeout = timeout.unwrap_or_else(|| json!(format!("{}ms", PATIENCE.as_millis())));
    let settings: SwitchSettings = serde_json::from_value(json!({
        "name": "iron", "kind": kind, "timeout": timeout, "options": options,
    }))?;
    let dialect = dialects::find(kind).map_err(|error| anyhow!(error))?;
    (dialect.make)(&settings).map_err(|error| anyhow!(error))
}

pub(crate) fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 8080))
}

/// The name of our real server of that number.
pub(crate) fn real(number: u8) -> String {
    format!("sluice-10.0.0.{number}")
}

pub(crate) fn serve(weight: u32) -> PlannedServer {
    PlannedServer { weight, phase: Phase::Serve }
}

pub(crate) const DRAIN: PlannedServer = PlannedServer { weight: 0, phase: Phase::Drain };
pub(crate) const BREAK: PlannedServer = PlannedServer { weight: 0, phase: Phase::Break };

/// A plan of service `www` at port 80 of [`VIP`].
pub(crate) fn www(servers: &[(u8, PlannedServer)]) -> Plan {
    let servers = servers.iter().map(|(number, planned)| (server(*number), *planned));
    service("www", 80, servers.collect())
}

pub(crate) fn service(name: &str, port: u16, servers: BTreeMap<SocketAddr, PlannedServer>) -> Plan {
    let service = PlannedService {
        address: VIP.into(),
        port,
        protocol: Protocol::Tcp,
        servers,
        refuse: Share::NONE,
        verdict: Verdict::default(),
    };
    Plan { services: [(name.parse().expect("a name"), service)].into() }
}

/// The words of a refusal.
pub(crate) fn refused(result: Result<(), Failure>) -> Result<String> {
    match result {
        Err(Failure::Refused(words)) => Ok(words),
        other => Err(anyhow!("{other:?} is no refusal")),
    }
}
