//! The manager.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{AgentCheckSettings, AllowSettings, DfpSettings, FlapDamping, LimitSettings, duration};

/// `[manager]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManagerSettings {
    /// Where agents, edges and remote command lines connect. Default
    /// `127.0.0.1:7400`. An address other than loopback needs `[tls]`, or
    /// `insecure = true`.
    pub listen: SocketAddr,
    /// Accept plain connections from other hosts. Anybody who can reach the
    /// port can then change the configuration. Default false.
    pub insecure: bool,
    /// Where monitors ask for `/metrics`, `/healthz` and `/readyz`, over plain
    /// HTTP and whoever they are: they see names, addresses and counts, and
    /// change nothing. Default: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Unix socket of the local command line. Default `/run/sluice/sluice.sock`.
    pub socket: PathBuf,
    /// Where the operator's commands are kept. Default `/var/lib/sluice/intent.json`.
    pub intent: PathBuf,
    /// How long a started manager listens before it removes what nobody
    /// vouches for. Default 5 s.
    #[serde(with = "duration")]
    pub learning: Duration,
    /// Heartbeats an agent may miss: it is lost after `interval` times this of
    /// silence. Default 4.
    pub missed_heartbeats: u32,
    /// A service of which this share, in percent, is lost within
    /// `freeze_window` keeps what it has, until enough is back or
    /// `sluice thaw`; 0: none does. Default 50.
    pub freeze_percent: f64,
    /// Default 5 s.
    #[serde(with = "duration")]
    pub freeze_window: Duration,
    /// How long a lost backend's connections go on before they are broken. Default 30 s.
    #[serde(with = "duration")]
    pub down_grace: Duration,
    /// How long a graceful removal lets connections go on, where the command
    /// does not say. Default 60 s.
    #[serde(with = "duration")]
    pub drain_deadline: Duration,
    /// How long a broken binding stays on the switches, so that its clients
    /// learn by RST. Default 60 s.
    #[serde(with = "duration")]
    pub break_linger: Duration,
    /// Backends that are lost over and over.
    pub flap_damping: FlapDamping,
    /// Events kept for `sluice events`. Default 10000.
    pub keep_events: usize,
    /// Who may do what over the network, with `[tls]`. Default: nobody
    /// anything. The unix socket is for whom its file permissions let in.
    pub allow: Vec<AllowSettings>,
    /// How much each peer may ask for.
    pub limits: LimitSettings,
    /// DFP agents on servers, which say what their bindings weigh. Default none.
    pub dfp: Vec<DfpSettings>,
    /// Where balancers ask by HAProxy's agent-check. Default nowhere.
    pub agent_check: Option<AgentCheckSettings>,
}

impl Default for ManagerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            insecure: false,
            metrics: None,
            socket: "/run/sluice/sluice.sock".into(),
            intent: "/var/lib/sluice/intent.json".into(),
            learning: Duration::from_secs(5),
            missed_heartbeats: 4,
            freeze_percent: 50.0,
            freeze_window: Duration::from_secs(5),
            down_grace: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(60),
            break_linger: Duration::from_secs(60),
            flap_damping: FlapDamping::default(),
            keep_events: 10_000,
            allow: Vec::new(),
            limits: LimitSettings::default(),
            dfp: Vec::new(),
            agent_check: None,
        }
    }
}
