//! Network interfaces and the XDP programs on them, over rtnetlink.

use std::{pin::pin, thread};

use anyhow::{Context as _, anyhow};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::Handle;
use tokio_stream::StreamExt as _;

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub index: u32,
    pub name: String,
    /// Whether packets can leave by it: it is up, and so is what it is plugged
    /// into.
    pub running: bool,
    /// Its Ethernet address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// Longest IP packet that it takes; 0 is not known.
    pub mtu: u32,
    /// The XDP program on it, by id.
    pub program: Option<(u32, Place)>,
}

impl Interface {
    pub(crate) fn of(link: &LinkMessage) -> Self {
        let mut found = Self {
            index: link.header.index,
            name: String::new(),
            running: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            mac: None,
            mtu: 0,
            program: None,
        };
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Address(address) => found.mac = address.as_slice().try_into().ok(),
                LinkAttribute::IfName(name) => found.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
                LinkAttribute::Xdp(xdp) => found.program = program_of(xdp),
                _ => {}
            }
        }
        found
    }
}

fn program_of(xdp: &[LinkXdp]) -> Option<(u32, Place)> {
    let place = xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::None) => None,
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(Place::Generic),
        LinkXdp::Attached(_) => Some(Place::Native),
        _ => None,
    })?;
    // With several programs there is no plain id, but one for each place.
    let id = xdp.iter().find_map(|attribute| match *attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::HwProgId(id) => Some(id),
        _ => None,
    });
    Some((id.unwrap_or_default(), place))
}

/// Looks at an interface by name. Blocks for as long as the kernel takes.
///
/// # Errors
/// When there is no such interface, or netlink fails.
pub(crate) fn look_up(name: &str) -> anyhow::Result<Interface> {
    // On a thread of its own: the caller may or may not be inside a runtime. It
    // stays in the caller's network namespace.
    let find = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let connection = tokio::spawn(connection);
            let found = by_name(&handle, name).await;
            connection.abort();
            found
        })
    };
    let found = thread::scope(|scope| scope.spawn(find).join());
    found.map_err(|_| anyhow!("looking at interface {name} failed"))?
}

async fn by_name(handle: &Handle, name: &str) -> anyhow::Result<Interface> {
    let mut links = pin!(handle.link().get().match_name(name.to_owned()).execute());
    match links.next().await {
        Some(Ok(link)) => Ok(Interface::of(&link)),
        Some(Err(rtnetlink::Error::NetlinkError(error))) if error.raw_code() == -libc::ENODEV => {
            let all = names(handle).await.unwrap_or_default();
            Err(anyhow!("there is no interface `{name}` here: there are {}", all.join(", ")))
        }
        Some(Err(error)) => {
            Err(error).with_context(|| format!("interface {name} cannot be looked at"))
        }
        None => Err(anyhow!("the kernel does not tell about interface {name}")),
    }
}

async fn names(handle: &Handle) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut links = pin!(handle.link().get().execute());
    while let Some(link) = links.try_next().await? {
        names.extend(link.attributes.into_iter().filter_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        }));
    }
    Ok(names)
}
