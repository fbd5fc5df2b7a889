//! What an edge's maps take, the process that feeds them, and a look at whether the
//! kernel has them as they should be: each site in a process of its own, so that
//! nobody else's memory is counted.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use lb_common::abi::{DEFAULT_RING, DEFAULT_RING_POOL, maps};
use lb_control::model::{Binding, BindingKey, Change, Mode, Name, Phase, ServiceSpec, Vip};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Filter,
    commits::{Manager, with_edge, with_pins},
    usage::Usage,
};
use crate::{
    command::{Family, ip_batch},
    packet::routed,
};

/// Names the site of a process that was started for it.
const SITE: &str = "SLUICE_BENCH_SITE";
/// The edge at rest is watched for this long, with a look at its tables in each
/// second and without.
const REST: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);
/// Copies of its ring that a service needs in the pool.
const COPIES: u32 = 3;

/// Services, backends of each, and slots of each ring.
const SITES: [(u32, u32, u32); 3] =
    [(0, 0, DEFAULT_RING), (1000, 10, DEFAULT_RING), (1000, 10, 4099)];

/// Bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    case: String,
    /// Slots of the pool of rings.
    ring_pool: u32,
    /// Of all maps, of the rings, and of the tables of flows.
    maps: u64,
    rings: u64,
    flows: u64,
    /// What the process has besides.
    process: u64,
    /// CPU seconds for a look at all that the kernel holds.
    look: f64,
}

fn name((services, backends, ring): (u32, u32, u32)) -> String {
    if services == 0 {
        return "memory/defaults".into();
    }
    format!("memory/services={services}/backends={}/ring={ring}", services * backends)
}

/// Those that the filter takes.
pub(super) fn measure(filter: &Filter) -> Result<Vec<Taken>> {
    let names = SITES.map(name).into_iter().filter(|name| filter.takes("edge", name));
    names.map(|name| routed(|| ask(&name)).with_context(|| name.clone())).collect()
}

/// Starts a process for a site, in this thread's namespace.
fn ask(name: &str) -> Result<Taken> {
    eprintln!("{name}");
    let output = Command::new(env::current_exe()?).env(SITE, name).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Whether this process was started for a site; then it has told what it takes.
///
/// # Errors
/// Of an edge.
pub(super) fn is_told() -> Result<bool> {
    let Ok(asked) = env::var(SITE) else { return Ok(false) };
    let site = SITES.into_iter().find(|&site| name(site) == asked).context("no such site")?;
    println!("{}", serde_json::to_string(&tell(site)?)?);
    Ok(true)
}

fn tell(site: (u32, u32, u32)) -> Result<Taken> {
    let (services, _, ring) = site;
    // One router is the next hop of all servers.
    ip_batch(None, Family::V4, "route add 10.1.0.0/16 via 192.0.2.2\n")?;
    with_pins(|mut settings, pins| {
        let needed = COPIES * services * ring.next_multiple_of(2);
        settings.ring_pool = needed.max(DEFAULT_RING_POOL);
        settings.verify = Duration::ZERO;
        let runtime = Runtime::new()?;
        let (mut taken, still) = runtime.block_on(with_edge(&settings, async |manager| {
            fill(manager, site).await?;
            let (maps, rings, flows) = maps_below(&pins.join("sluice"))?;
            let (ring_pool, process) = (settings.ring_pool, anonymous()?);
            let taken =
                Taken { case: name(site), ring_pool, maps, rings, flows, process, look: 0.0 };
            Ok((taken, rest(manager).await?))
        }))?;
        // The next edge finds everything in place.
        settings.verify = LOOK;
        let looking = runtime.block_on(with_edge(&settings, rest))?;
        taken.look = (looking - still) * LOOK.as_secs_f64();
        Ok(taken)
    })
}

/// What this process takes of a core while nothing happens.
async fn rest(manager: &mut Manager) -> Result<f64> {
    // The first look comes with the start.
    manager.listen(LOOK).await?;
    let usage = Usage::from_now(Pid::this())?;
    manager.listen(REST).await?;
    Ok(usage.share()?[0])
}

async fn fill(manager: &mut Manager, (services, backends, ring): (u32, u32, u32)) -> Result<()> {
    for service in 0..services {
        let name: Name = format!("service-{service}").parse()?;
        let [high, low] = (service as u16).to_be_bytes();
        let vip: Vip = SocketAddr::from((Ipv4Addr::new(203, 0, high, low), 80)).into();
        let mut spec = ServiceSpec::tcp(name.clone(), vip, Mode::Ipip);
        spec.ring_size = ring;
        let mut changes = vec![Change::PutService(spec)];
        for backend in 0..backends {
            let [high, low] = ((service * backends + backend) as u16).to_be_bytes();
            let backend = SocketAddr::from((Ipv4Addr::new(10, 1, high, low), 80));
            let key = BindingKey { service: name.clone(), backend };
            changes.push(Change::PutBinding(key, Binding::new(100, Phase::Serve)));
        }
        manager.commit(changes).await?;
    }
    Ok(())
}

/// What the kernel says that pinned maps take: all, rings, tables of flows.
fn maps_below(pins: &Path) -> Result<(u64, u64, u64)> {
    let (mut all, mut rings, mut flows) = (0, 0, 0);
    for entry in fs::read_dir(pins)? {
        let path = entry?.path();
        if path.is_dir() {
            let below = maps_below(&path)?;
            (all, rings, flows) = (all + below.0, rings + below.1, flows + below.2);
            continue;
        }
        // Links and programs are pinned too.
        let Ok(map) = MapData::from_pin(&path) else { continue };
        let info =
            fs::read_to_string(format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd()))?;
        let Some(bytes) = info.lines().find_map(|line| line.strip_prefix("memlock:")) else {
            continue;
        };
        let bytes: u64 = bytes.trim().parse()?;
        all += bytes;
        match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            maps::RINGS => rings += bytes,
            maps::FLOWS | maps::SYN_FLOWS | maps::UDP_FLOWS => flows += bytes,
            _ => {}
        }
    }
    Ok((all, rings, flows))
}

/// Memory of this process that is nobody else's: the maps that it has mapped
/// are not in it.
fn anonymous() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no RssAnon")?;
    Ok(1024 * kilobytes.trim().parse::<u64>()?)
}

pub(super) fn print(taken: &[Taken]) {
    if taken.is_empty() {
        return;
    }
    println!(
        "\n{:50}  {:>8}  {:>8}  {:>8}  {:>8}  {:>12}",
        "MiB of an edge", "maps", "rings", "flows", "process", "a look, ms"
    );
    for Taken { case, maps, rings, flows, process, look, .. } in taken {
        let [maps, rings, flows, process] =
            [maps, rings, flows, process].map(|bytes| *bytes as f64 / f64::from(1 << 20));
        println!(
            "{case:50}  {maps:8.1}  {rings:8.1}  {flows:8.1}  {process:8.1}  {:12.1}",
            look * 1000.0
        );
    }
}

pub(super) fn rows(taken: &[Taken]) -> Vec<Value> {
    taken.iter().map(|taken| json!(taken)).collect()
}
