//! How a simulated box is set up.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

/// What [`Simulator::start`](super::Simulator::start) is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where telnet, SSH and SNMP listen. The sockets are bound by the thread
    /// that calls `start`, so in its network namespace.
    pub address: IpAddr,
    /// Ports to listen at; 0 lets the kernel choose.
    pub ports: Ports,
    /// The box's name in prompts.
    pub name: String,
    /// Who may log in, by telnet and by SSH.
    pub login: Login,
    /// What `enable` asks for; `None` asks for nothing.
    pub enable_password: Option<String>,
    /// Said before a telnet login, and after an SSH one.
    pub banner: String,
    /// What one change takes. Changes wait for each other.
    pub latency: RangeInclusive<Duration>,
    /// Lines of a page, `--More--` included.
    pub page_lines: usize,
    pub limits: Limits,
    /// When `server force-delete` kills, counted from the shutdown's begin.
    pub force_delete_after: Duration,
    /// Whether what is deleted but waits for its connections is gone from
    /// `show running-config` at once. The facts leave it open.
    pub hide_leaving: bool,
    /// Of the v2c community that may read.
    pub read_community: String,
    /// Of the v2c community that may also write.
    pub write_community: String,
    /// Of SNMPv3. All may read and write.
    pub users: Vec<User>,
    /// Where v1 traps go.
    pub trap_sink: Option<SocketAddr>,
    /// Where in a prompt an asynchronous message lands follows from it.
    pub seed: u64,
}

impl Default for Options {
    /// A box on loopback that asks for the password `telnet-pass`, then for
    /// `enable-pass`, as slow as the original.
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::default(),
            name: "iron".to_owned(),
            login: Login::Password("telnet-pass".to_owned()),
            enable_password: Some("enable-pass".to_owned()),
            banner: String::new(),
            latency: Duration::from_millis(20)..=Duration::from_millis(25),
            page_lines: 24,
            limits: Limits::default(),
            force_delete_after: Duration::from_secs(120),
            hide_leaving: false,
            read_community: "public".to_owned(),
            write_community: "private".to_owned(),
            users: Vec::new(),
            trap_sink: None,
            seed: 1,
        }
    }
}

impl Options {
    /// The same box, but its changes take no time.
    #[must_use]
    pub fn instant(mut self) -> Self {
        self.latency = Duration::ZERO..=Duration::ZERO;
        self
    }
}

/// Ports to listen at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    pub telnet: u16,
    pub ssh: u16,
    pub snmp: u16,
}

/// How one logs in.
#[derive(Clone, Debug)]
pub enum Login {
    /// A password alone, and then the prompt is `>`. SSH takes any name with it.
    Password(String),
    /// Both, and then the prompt is `#`.
    Name { name: String, password: String },
}

/// How much fits into the tables.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub real_servers: usize,
    pub virtual_servers: usize,
    /// Up to 2048, the last index of the bind table.
    pub binds: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { real_servers: 2048, virtual_servers: 1024, binds: 2048 }
    }
}

/// A user of SNMPv3's User-based Security Model (RFC 3414).
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub auth: Auth,
    pub auth_password: String,
    /// Encrypts by AES-128-CFB (RFC 3826). With it, nothing less is let in.
    pub privacy_password: Option<String>,
}

/// How messages of a user are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// HMAC-SHA-96, RFC 3414 section 7.
    Sha1,
    /// HMAC-192-SHA-256, RFC 7860.
    Sha256,
}
