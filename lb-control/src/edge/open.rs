//! Starting an edge, and removing everything one has left.

use std::{
    os::fd::AsFd as _,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use aya::maps::PerCpuArray;
use lb_common::abi::{maps, words};
use tracing::{info, warn};

use super::{
    counters::{CounterMaps, CounterStore as _, PerCpu},
    flow_key,
    flows::Flows,
    grace::{Grace as _, KernelGrace},
    hops::ClientMap,
    memory::Memory,
    object::Loaded,
    pins::Pins,
    plane::{Plane, Site},
    shared::Shared,
    sweep::Sweeper,
    sys,
    upgrade::Upgrade,
    verify::Drifts,
};
use crate::{
    config::EdgeSettings,
    xdp::{
        attach, host,
        interfaces::{self, Place},
    },
};

/// See [`Edge::open`](super::Edge::open).
pub(super) fn open(settings: &EdgeSettings) -> anyhow::Result<Shared> {
    host::check()?;
    for name in &settings.interfaces {
        interfaces::look_up(name)?;
    }
    let pins = Pins::open(&settings.pin)?;
    let adopting = pins.check(settings)?;
    if adopting {
        info!("adopting what is pinned in {}", pins.dir().display());
    }
    match start(settings, &pins, adopting) {
        Ok(parts) => Ok(parts.finish(settings, pins)),
        Err(error) => {
            // Nobody would look after what a first start left behind.
            if !adopting && let Err(error) = pins.clear() {
                warn!("{error:#}");
            }
            Err(error)
        }
    }
}

struct Parts {
    plane: Plane,
    open_flows: aya::maps::MapData,
    syn_flows: aya::maps::MapData,
    udp_flows: aya::maps::MapData,
    clients: ClientMap,
    counters: CounterMaps,
    grace: Arc<KernelGrace>,
    places: Vec<Place>,
    steering: Steering,
}

/// Whose program steers.
enum Steering {
    Ours(Loaded),
    Older(Upgrade),
}

fn start(settings: &EdgeSettings, pins: &Pins, adopting: bool) -> anyhow::Result<Parts> {
    let mut loaded = Loaded::load(settings, pins.dir())?;
    let memory = Memory::of(&mut loaded, settings.ring_pool)?;
    let open_flows = loaded.take_data(maps::FLOWS)?;
    let syn_flows = loaded.take_data(maps::SYN_FLOWS)?;
    let udp_flows = loaded.take_data(maps::UDP_FLOWS)?;
    let clients = ClientMap::try_from(loaded.take(maps::NEIGHBORS)?)?;
    let counters = CounterMaps {
        services: PerCpu::new(PerCpuArray::try_from(loaded.take(maps::SERVICE_COUNTERS)?)?),
        backends: PerCpu::new(PerCpuArray::try_from(loaded.take(maps::BACKEND_COUNTERS)?)?),
        classes: PerCpu::new(PerCpuArray::try_from(loaded.take(maps::CLASS_COUNTERS)?)?),
        reasons: PerCpu::new(PerCpuArray::try_from(loaded.take(maps::REASONS)?)?),
        class_totals: Mutex::default(),
    };
    let grace = Arc::new(KernelGrace::start().context("no thread can be started")?);
    // Packets that began before the last commit may be about to remember a
    // flow with a binding that it removed.
    grace.wait(grace.begin());
    let flows = Flows { open: &open_flows, syns: &syn_flows, udp: &udp_flows };
    let named = flows.named().context("the remembered flows cannot be read")?;
    let named = |id: u16| named[usize::from(id)];
    let mut plane = Plane::adopt(memory, Arc::clone(&grace) as _, named).with_context(|| {
        format!(
            "the maps in {} cannot be adopted: run `sluice detach` (connections through this edge \
             are then no longer steered) and start again",
            pins.dir().display()
        )
    })?;
    if !settings.tracking {
        warn!("`tracking` is off: every change of a ring breaks connections");
    }
    let live = Some(plane.flow_key()).filter(|key| *key != [0, 0]);
    // Somebody may have been killed while he watched.
    plane.set_word(words::WATCH, 0);
    plane.set_site(&Site::new(settings, flow_key::load(&settings.flow_key, live)?));
    if adopting {
        zero_free(&plane, &counters).context("counters cannot be written")?;
    }
    let (places, steering) = attach_all(loaded, settings, pins)?;
    plane.set_tracking(settings.tracking && matches!(steering, Steering::Ours(_)));
    Ok(Parts {
        plane,
        open_flows,
        syn_flows,
        udp_flows,
        clients,
        counters,
        grace,
        places,
        steering,
    })
}

/// Ids that rested when the process before us ended start from zero, too.
fn zero_free(plane: &Plane, counters: &CounterMaps) -> std::io::Result<()> {
    let (services, bindings) = plane.free_ids();
    services.into_iter().try_for_each(|id| counters.zero_service(id))?;
    bindings.into_iter().try_for_each(|id| counters.zero_backend(id))
}

/// Attaches to every interface, except where a program of an older version runs:
/// ours would have nothing to steer by yet.
fn attach_all(
    mut loaded: Loaded,
    settings: &EdgeSettings,
    pins: &Pins,
) -> anyhow::Result<(Vec<Place>, Steering)> {
    let mut places = Vec::new();
    let mut waiting = Vec::new();
    for name in &settings.interfaces {
        let older = pins.older_link(interfaces::look_up(name)?.index)?;
        let runs = older.as_ref().map(|path| attach::runs(path, name, settings.xdp)).transpose()?;
        places.push(match (older, runs.flatten()) {
            (Some(path), Some(place)) => {
                waiting.push((name.clone(), path));
                place
            }
            _ => {
                let program = loaded.program()?;
                attach::attach(program, |index| pins.link(index), name, settings.xdp)?
            }
        });
    }
    if waiting.is_empty() {
        pins.settle(loaded.program()?, settings)?;
        return Ok((places, Steering::Ours(loaded)));
    }
    Ok((places, Steering::Older(Upgrade::new(loaded, waiting))))
}

impl Parts {
    fn finish(self, settings: &EdgeSettings, pins: Pins) -> Shared {
        let place = |(name, place): (&String, Place)| format!("{} {name}", place.name());
        let places: Vec<_> = settings.interfaces.iter().zip(self.places).map(place).collect();
        let (program, upgrade) = match self.steering {
            Steering::Ours(loaded) => (Some(loaded), None),
            Steering::Older(upgrade) => (None, Some(upgrade)),
        };
        Shared {
            description: format!("xdp {}", places.join(", ")),
            plane: Mutex::new(self.plane),
            open_flows: self.open_flows,
            syn_flows: self.syn_flows,
            udp_flows: self.udp_flows,
            counters: self.counters,
            grace: self.grace,
            sweeper: Mutex::new(Sweeper::new(settings.idle, settings.flows)),
            tally: Mutex::default(),
            bindings_changed: tokio::sync::Notify::new(),
            clients: tokio::sync::Mutex::new(self.clients),
            resolving: Mutex::default(),
            ways_set: tokio::sync::watch::Sender::new(()),
            managed: tokio::sync::watch::Sender::new(false),
            settings: settings.clone(),
            upgrade: Mutex::new(upgrade),
            program: Mutex::new(program),
            drifts: Drifts::default(),
            pins,
        }
    }
}

/// Removes links, programs and maps that an edge has left in the kernel, of
/// whatever version. Without any, does nothing.
///
/// # Errors
/// When another process uses them, or the kernel refuses.
pub fn detach(settings: &EdgeSettings) -> anyhow::Result<()> {
    let Some(pins) = Pins::find(&settings.pin)? else {
        info!("nothing is pinned in {}", settings.pin.display());
        return Ok(());
    };
    for path in pins.all_links()? {
        // At once, and not only when the kernel has dropped the last reference.
        sys::open_pin(&path)
            .and_then(|link| sys::detach_link(link.as_fd()))
            .with_context(|| format!("link {} cannot be detached", path.display()))?;
    }
    pins.remove()
}
