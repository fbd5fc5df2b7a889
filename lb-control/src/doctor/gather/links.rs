//! Interfaces, and the XDP programs on them.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    pin::pin,
};

use aya::programs::{links::LinkType, loaded_links, loaded_programs};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::Handle;
use tokio_stream::StreamExt as _;

use super::device::Devices;
use crate::{
    doctor::facts::{Attached, Known, Link},
    xdp::interfaces::Interface,
};

/// Every interface. The other end of a veth that is in another network
/// namespace is asked about for those that `peers` wants.
pub(super) async fn links(
    handle: &Handle,
    devices: &Devices,
    peers: impl Fn(&Link) -> bool,
) -> Known<Vec<Link>> {
    let programs = Programs::read();
    let mut found = Vec::new();
    let mut namespaces = HashMap::new();
    {
        let mut messages = pin!(handle.link().get().execute());
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| format!("interfaces: {error}"))?;
            let link = link(&message, devices, &programs);
            if let Some(id) = netns_of(&message) {
                namespaces.insert(link.index, id);
            }
            found.push(link);
        }
    }
    let with_program: BTreeMap<u32, bool> =
        found.iter().map(|link| (link.index, link.program.is_some())).collect();
    for link in found.iter_mut().filter(|link| link.is("veth") && peers(link)) {
        link.peer_program = match (link.lower, namespaces.get(&link.index)) {
            (Some(peer), None) => with_program.get(&peer).copied(),
            (Some(peer), Some(&netns)) => program_elsewhere(handle, peer, netns).await,
            _ => None,
        };
    }
    Ok(found)
}

fn link(message: &LinkMessage, devices: &Devices, programs: &Programs) -> Link {
    let Interface { index, mac, mtu, program, .. } = Interface::of(message);
    let flags = message.header.flags;
    let mut link = Link {
        index,
        mac,
        mtu,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        program: program.map(|(id, place)| Attached {
            id,
            place,
            name: programs.names.get(&id).cloned(),
            link: programs.links.get(&id).copied(),
        }),
        elsewhere: netns_of(message).is_some(),
        features: devices.features.get(&index).cloned(),
        channels: devices.channels.get(&index).copied(),
        xdp: devices.xdp.get(&index).copied(),
        ..Link::default()
    };
    let (mut bus, mut parent) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Link(lower) => link.lower = Some(*lower),
            LinkAttribute::ParentDevName(name) => parent = Some(name),
            LinkAttribute::ParentDevBusName(name) => bus = Some(name),
            LinkAttribute::LinkInfo(infos) => link.kind = kind_of(infos),
            _ => {}
        }
    }
    link.driver = bus.zip(parent).and_then(|(bus, parent)| driver(bus, parent));
    link
}

/// Of the namespace that the lower link is in, when it is another one.
fn netns_of(message: &LinkMessage) -> Option<i32> {
    message.attributes.iter().find_map(|attribute| match *attribute {
        LinkAttribute::LinkNetNsId(id) if id >= 0 => Some(id),
        _ => None,
    })
}

fn kind_of(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(InfoKind::Other(kind)) => Some(kind.clone()),
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

/// Buses have no namespaces: this is right in each of them.
fn driver(bus: &str, device: &str) -> Option<String> {
    let link = fs::read_link(format!("/sys/bus/{bus}/devices/{device}/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// Whether an interface of another namespace carries an XDP program.
async fn program_elsewhere(handle: &Handle, index: u32, netns: i32) -> Option<bool> {
    let mut request = handle.link().get().match_index(index);
    request.message_mut().attributes.push(LinkAttribute::IfNetnsId(netns));
    let mut messages = pin!(request.execute());
    let message = messages.next().await?.ok()?;
    Some(Interface::of(&message).program.is_some())
}

/// What the kernel tells of the programs in it, without privilege: nothing.
#[derive(Default)]
struct Programs {
    names: HashMap<u32, String>,
    /// Ids of XDP links by their program's.
    links: HashMap<u32, u32>,
}

impl Programs {
    fn read() -> Self {
        let name = |program: aya::programs::ProgramInfo| {
            let name = program.name_as_str().filter(|name| !name.is_empty())?;
            Some((program.id(), name.to_owned()))
        };
        let links = loaded_links().filter_map(Result::ok);
        let xdp = links.filter(|link| matches!(link.link_type(), Ok(LinkType::Xdp)));
        Self {
            names: loaded_programs().filter_map(|program| name(program.ok()?)).collect(),
            links: xdp.map(|link| (link.program_id(), link.id())).collect(),
        }
    }
}
