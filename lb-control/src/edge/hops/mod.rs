//! Next hops: which interface and Ethernet address backends are reached by,
//! and the clients of services in mode `nat`.
//!
//! The kernel's own tables decide. They are read once, flattened, and followed
//! by what the kernel tells of its changes: an event acts at once on whom it
//! concerns, and on nobody else. Now and then everything is read again, so that
//! a missed event costs seconds, not correctness.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`watch`] | the task that follows |
//! | [`netlink`] | reading and asking the kernel |
//! | [`messages`] | what its messages say |
//! | [`kernel`] | its tables, as far as it has told |
//! | [`routes`] | its routes, flattened |
//! | [`ways`] | what follows from them for backends and clients |
//! | [`clients`] | clients on a link, as packets find them |

mod clients;
mod kernel;
mod messages;
mod netlink;
mod routes;
mod watch;
mod ways;

use std::net::IpAddr;

use lb_common::abi;
use rtnetlink::{Error, Handle};

pub(super) use self::{clients::ClientMap, watch::watch};
use self::{kernel::Kernel, routes::Routes};

/// Where packets to a backend go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The next hop's Ethernet address.
    pub dst_mac: [u8; 6],
    /// The egress interface's own.
    pub src_mac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
    /// Longest IP packet that the way takes; 0 is not known.
    pub mtu: u16,
}

/// The way to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Known(NextHop),
    /// The kernel has been asked to find the Ethernet address.
    Asked,
    /// There is no way, and why.
    None(String),
}

impl Answer {
    pub(super) fn hop(&self) -> Option<&NextHop> {
        match self {
            Self::Known(hop) => Some(hop),
            Self::Asked | Self::None(_) => None,
        }
    }
}

/// The ways back to clients, as packets read them; without any, packets ask the
/// kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteTables {
    pub routes: Vec<abi::Route>,
    pub next_hops: Vec<abi::NextHop>,
}

/// One look at the ways to these addresses, without following them: the kernel
/// is asked to find what it does not know.
///
/// # Errors
/// Of netlink.
pub(super) async fn look(
    handle: &Handle,
    addresses: &[IpAddr],
) -> Result<Vec<(IpAddr, Answer)>, Error> {
    let (links, neighbors) = (netlink::links(handle).await?, netlink::neighbors(handle).await?);
    let kernel = Kernel { links, neighbors, routes: Routes::unknown() };
    let mut answers = Vec::new();
    for &address in addresses {
        let answer = match netlink::way(handle, address).await? {
            Ok(path) => {
                let answer = kernel.follow(&path, address);
                if answer.hop().is_none() {
                    let gateway = path.gateway.unwrap_or(address);
                    netlink::ask(handle, &(path.ifindex, gateway)).await?;
                }
                answer
            }
            Err(why) => Answer::None(why),
        };
        answers.push((address, answer));
    }
    Ok(answers)
}
