//! The command line's shape: its help is the reference.

mod certs;
mod daemons;
mod describe;
mod doctor;
mod notify;
mod operator;
mod trace;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::values::duration;
pub use self::{
    certs::{CertsArgs, CertsCommand},
    daemons::{AgentArgs, DropMode, DropServerArgs, EdgeArgs},
    describe::{DescribeArgs, DescribeWhat},
    doctor::DoctorArgs,
    notify::NotifyArgs,
    operator::{
        AddArgs, ApplyArgs, CountersArgs, DiffArgs, DropArgs, EventsArgs, GetArgs, RemoveArgs,
        Resource, ThawArgs, WeightArgs,
    },
    trace::TraceArgs,
    values::Bind,
};

/// Active connection management for Internet services.
///
/// Decides at run time which server each new client connection goes to, which
/// connections are let in, and when a server may leave.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    arg_required_else_help = true,
    after_help = "\
Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the manager cannot
be reached, 4 not live on every switch in time, 5 doctor has found a problem.
`sluice diff` has its own.

Examples:
  sluice run --config /etc/sluice/sluice.toml
  sluice status
  sluice remove www 10.0.0.11:80 --wait
  sluice get backends -o json"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Manager to talk to: unix:/path or HOST:PORT [default: the socket of
    /// --config, else unix:/run/sluice/sluice.sock]
    #[arg(long, global = true, value_name = "ADDR", env = "SLUICE_MANAGER")]
    pub manager: Option<String>,
    /// Configuration file; a client reads the manager's socket and [tls] from it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to print
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// How long to wait for the manager's answer
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Authority that signed the manager's certificate, PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate to show to the manager, PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of --tls-cert, PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Name that the manager's certificate must carry [default: the host of --manager]
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// What to log to stderr: error, warn, info, debug, trace, or directives
    /// such as lb_control::edge=debug [default: info for daemons, else warn]
    #[arg(long, global = true, value_name = "LEVEL", env = "SLUICE_LOG")]
    pub log: Option<String>,
    /// Form of log lines
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For people with wide screens.
    Wide,
    /// For programs: one document, or one a line from commands that go on.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// One object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run manager and edge in one process
    #[command(after_help = "\
A stop (SIGTERM, Ctrl-C) or a crash leaves the XDP program steering as it did
last; a new start adopts it. With --detach-on-exit a stop removes program and
maps from the kernel.

Example:
  sluice run --config /etc/sluice/sluice.toml")]
    Run(EdgeArgs),
    /// Run a manager that agents and edges connect to over the network
    #[command(after_help = "\
Needs no privilege.

Example:
  sluice manager --config /etc/sluice/sluice.toml")]
    Manager,
    /// Run an edge that takes its configuration from a manager
    #[command(after_help = "\
The manager is `edge.manager` of the file, unless --manager names another.

Example:
  sluice edge --config /etc/sluice/sluice.toml --manager 192.0.2.1:7400")]
    Edge(EdgeArgs),
    /// Run beside a server: bind it, check it, heartbeat for it
    #[command(after_help = "\
On SIGTERM the server leaves gracefully: it gets no new connections, and the
agent ends once none is left, or after the leave deadline. A second SIGTERM
ends the agent at once.

Examples:
  sluice agent --config /etc/sluice/agent.toml
  sluice agent --manager 192.0.2.1:7400 --bind www=10.0.0.11:80 --check-http /health
  sluice agent --manager 192.0.2.1:7400 --bind www=10.0.0.11:80,weight=50 --name s1")]
    Agent(AgentArgs),
    /// Tell the agent on this host what the application does
    #[command(after_help = "\
Run it on the server, beside the application. The agent tells its manager at
once, and again with every heartbeat. An application that has failed or left is
verified anew once it is ready. Exit status: 0 taken, 1 refused, 2 wrong usage,
3 the agent cannot be reached.

Examples:
  sluice notify ready
  sluice notify drain a backup runs
  sluice notify failed the disk is full --service www
  sluice notify weight 50% --service www --backend 10.0.0.11:80
  sluice notify load 0.75 -o json")]
    Notify(NotifyArgs),
    /// Run a bottomless sink, for switches that cannot refuse connections
    #[command(after_help = "\
An external switch that has no admission control (`sluice get switches -o wide`)
is given this server, as `drop_servers` of its [[switch]], with the weight that
sends it the share that `sluice drop` refuses; without such a policy it gets no
connection. Each is reset at once, or held: accepted, never read, and reset after
--hold, so that a client that tries again at once is kept waiting.

Examples:
  sluice drop-server --listen 10.0.0.99:80
  sluice drop-server --listen 0.0.0.0:80 --listen [::]:80 --mode hold --hold 30s --most 20000")]
    DropServer(DropServerArgs),
    /// Remove the XDP program and its maps from the kernel
    #[command(after_help = "\
Stop `sluice run` or `sluice edge` first. From then on, nothing is steered.

Example:
  sluice detach --config /etc/sluice/sluice.toml")]
    Detach,
    /// Make certificates for development
    #[command(after_help = "\
Mutual TLS to try out: an authority, and certificates that say who their holders
are. What each may do, [[manager.allow]] in the manager's file says.

Examples:
  sluice certs init /etc/sluice/certs
  sluice certs issue web-1 --role agent --dir /etc/sluice/certs
  sluice certs show /etc/sluice/certs/web-1.pem")]
    Certs(CertsArgs),
    /// Check a configuration file without running anything
    #[command(after_help = "\
Example:
  sluice check /etc/sluice/sluice.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Show the manager at a glance, and what needs attention
    #[command(after_help = "\
Examples:
  sluice status
  sluice status --manager 192.0.2.1:7400 --config /etc/sluice/client.toml")]
    Status,
    /// List services, backends, switches or classes
    #[command(after_help = "\
Examples:
  sluice get services
  sluice get backends www
  sluice get switches -o wide
  sluice get backends -o json | jq -r '.[].address'")]
    Get(GetArgs),
    /// Show everything that is known of one service, backend or switch
    #[command(after_help = "\
The last events are those of `sluice events --service … --backend …`: what led to
the state, the decision, and the delta that carried it to each switch.

Examples:
  sluice describe backend www 10.0.0.11:80
  sluice describe service www
  sluice describe switch edge1 -o json")]
    Describe(DescribeArgs),
    /// Add a backend to a service
    #[command(after_help = "\
It gets its share of new connections once its health is verified.

Examples:
  sluice add www 10.0.0.14:80 --weight 50
  sluice add h3 10.0.0.14:443 --server-id 0a1b2c3d")]
    Add(AddArgs),
    /// Remove a backend from a service
    #[command(after_help = "\
New connections stop at once. Existing ones go on until they end or the
deadline has passed; with --force they are reset.

Examples:
  sluice remove www 10.0.0.11:80
  sluice remove www 10.0.0.11:80 --deadline 5m --wait
  sluice remove www 10.0.0.11:80 --force")]
    Remove(RemoveArgs),
    /// Change a backend's share of new connections
    #[command(after_help = "\
Existing connections stay where they are.

Example:
  sluice weight www 10.0.0.11:80 200")]
    Weight(WeightArgs),
    /// Refuse a share of a service's new connections
    #[command(after_help = "\
Examples:
  sluice drop www 50
  sluice drop www 100 --class crawlers --verdict silent
  sluice drop www 0")]
    Drop(DropArgs),
    /// Let a frozen service go on without what it has lost
    #[command(after_help = "\
The manager freezes a service of which too much is lost at once (by default
half): its backends stay on the switches. See `sluice status` and `sluice get
backends`; if they really are gone, thaw it: their new connections go elsewhere.

Example:
  sluice thaw www")]
    Thaw(ThawArgs),
    /// Write the operator's whole intent to standard output
    #[command(after_help = "\
Services with their static backends and policies, as the configuration file
writes them, and what was said of backends that agents bind: [[weight]] and
[[removal]]. Whoever may look may export.

Examples:
  sluice export
  sluice export -o json")]
    Export,
    /// Make the operator's intent what a file says, all of it or nothing
    #[command(after_help = "\
The file is the whole intent: a static backend, policy, weight or removal that
it does not have goes, backends as by `sluice remove`. Services that it does not
have go only with --prune, their connections with them. Everything is checked
first, and switches get it as one change. Applied again it changes nothing.

Examples:
  sluice apply intent.toml
  sluice apply intent.toml --dry-run
  sluice apply intent.toml --prune -o json")]
    Apply(ApplyArgs),
    /// Show what applying a file would change, or what a switch lacks
    #[command(after_help = "\
+ comes, - goes, ~ changes. Whoever may look may ask. A service that the file
does not have is shown as going, as with `sluice apply --prune`. With --switch:
from what it holds, as it has last said, to what it should hold.
Exit status: 0 no difference, 1 differences, 2 the file is not taken or another
failure, 3 the manager cannot be reached.

Examples:
  sluice diff intent.toml
  sluice diff --switch lb1")]
    Diff(DiffArgs),
    /// Show what the switches have counted
    #[command(after_help = "\
With --watch: rates per second, until interrupted.

Examples:
  sluice counters
  sluice counters --watch --interval 2s
  sluice counters --switch edge1 -o json")]
    Counters(CountersArgs),
    /// Say what the edge on this host does with a packet, and why
    #[command(after_help = "\
Run it on the edge. The XDP program itself is asked, and counts and remembers
nothing for it. A flow is a client's; replies of servers are not asked about.
With --watch, packets as they pass, until interrupted.

Examples:
  sluice trace 198.51.100.7:40000 203.0.113.10:80 --config /etc/sluice/sluice.toml
  sluice trace 198.51.100.7:40000 203.0.113.10:443 --protocol udp --new
  sluice trace --watch --service www --sample 1
  sluice trace --watch --source 198.51.100.0/24 --count 100 -o json")]
    Trace(TraceArgs),
    /// Say why nothing arrives: look at this host, and name the remedies
    #[command(after_help = "\
Run it as root, on an edge with its configuration, on a server with the agent's
configuration or flags. Without either it looks at what it finds in the kernel.
It changes nothing. It asks on the link who has the VIPs and the backends, does
the agent's checks once, and calls the manager.

A problem keeps packets from arriving, a warning may; a note is worth knowing.
Exit status: 0 without a problem, 5 with one, others as in `sluice --help`.

Examples:
  sluice doctor --config /etc/sluice/sluice.toml
  sluice doctor --manager 192.0.2.1:7400 --bind www=10.0.0.11:80 --check-http /health
  sluice doctor --all -o json")]
    Doctor(DoctorArgs),
    /// Show what has happened
    #[command(after_help = "\
Examples:
  sluice events
  sluice events --service www --backend 10.0.0.11:80
  sluice events --follow --service www
  sluice events --follow -o json")]
    Events(EventsArgs),
    /// Show the version
    #[command(after_help = "\
Example:
  sluice version -o json")]
    Version,
}
