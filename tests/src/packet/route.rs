//! A namespace with routes, for packets whose way the kernel's tables say.

use std::{fs, net::IpAddr, process::Command, thread};

use anyhow::{Context as _, Result, ensure};
use lb_common::abi::Reason;
use nix::sched::{CloneFlags, unshare};

use super::{Hop, world::Prefix};

/// Ethernet address of the interface towards clients.
pub const UPLINK_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Ethernet address of the router behind it.
pub const GATEWAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// Index of that interface.
pub(super) const UPLINK: u32 = 11;

/// Two veth ends; clients are behind the first, by routes over a gateway.
/// A second gateway's Ethernet address is not known.
const SET_UP: &[&str] = &[
    "link set lo up",
    "link add uplink index 11 address 02:00:00:00:00:01 type veth peer name peer",
    "link set uplink up",
    "link set peer up",
    "address add 192.0.2.1/24 dev uplink",
    "address add 2001:db8:f::1/64 dev uplink nodad",
    "neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev uplink nud permanent",
    "neighbour add 2001:db8:f::2 lladdr 02:00:00:00:00:02 dev uplink nud permanent",
    "route add 198.51.100.0/24 via 192.0.2.2",
    "route add 198.18.0.0/15 via 192.0.2.2",
    "route add 2001:db8:c::/64 via 2001:db8:f::2",
    "route add 198.51.101.0/24 via 192.0.2.3",
    "route add blackhole 198.51.102.0/24",
];

/// What the kernel says there of an address: over the gateway, to a next hop
/// whose Ethernet address it does not know (of kind `on_link`), or why nowhere.
pub(super) fn kernels_way(to: IpAddr) -> Result<Hop, Reason> {
    let within = |prefixes: &[&str]| prefixes.iter().any(|prefix| Prefix::of(prefix).holds(to));
    let way = |hop: Hop| Ok(hop.behind(UPLINK).mtu(1500));
    if within(&["192.0.2.1/32", "192.0.2.255/32", "2001:db8:f::/128", "2001:db8:f::1/128"]) {
        Err(Reason::NotOurs)
    } else if within(&["192.0.2.2/32", "2001:db8:f::2/128"])
        || within(&["198.51.100.0/24", "198.18.0.0/15", "2001:db8:c::/64"])
    {
        way(Hop::gateway())
    } else if within(&["192.0.2.0/24", "198.51.101.0/24", "2001:db8:f::/64"]) {
        way(Hop::on_link())
    } else if within(&["198.51.102.0/24"]) {
        Err(Reason::NoRoute)
    } else {
        // What has no route could be the kernel's own.
        Err(Reason::NotOurs)
    }
}

/// Runs `work` on a thread in a network namespace of its own.
///
/// # Panics
/// As `work` does, and when the namespace cannot be made.
pub fn routed<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let enter = || -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace; this needs root")?;
        for arguments in SET_UP {
            let status = Command::new("ip").args(arguments.split(' ')).status()?;
            ensure!(status.success(), "`ip {arguments}` failed");
        }
        forwarding(true)
    };
    let task = || {
        enter().expect("a namespace with routes");
        work()
    };
    match thread::scope(|scope| scope.spawn(task).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Switches forwarding on or off in this thread's namespace.
///
/// # Errors
/// Of the files under `/proc/sys/net`.
pub fn forwarding(on: bool) -> Result<()> {
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(format!("/proc/sys/net/{key}"), if on { "1" } else { "0" })
            .with_context(|| format!("setting {key}"))?;
    }
    Ok(())
}
