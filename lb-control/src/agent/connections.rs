//! The connections that the kernel holds for a server, by `NETLINK_SOCK_DIAG`
//! (sock_diag(7)): counting them, and closing them.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_sock_diag::{
    SockDiagDestroy, SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_FIN_WAIT2},
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr as Kernel, protocols::NETLINK_SOCK_DIAG};
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, sys::socket::SockaddrStorage};

use crate::model::ServerEnd;

/// Connections of which either side may still have something to say. Not the
/// ones of which only a SYN was seen: a flood of those must not hold up a
/// server that wants to leave. Nor listening sockets.
const ALIVE: StateFlags = StateFlags::ESTABLISHED
    .union(StateFlags::FIN_WAIT1)
    .union(StateFlags::FIN_WAIT2)
    .union(StateFlags::CLOSE_WAIT)
    .union(StateFlags::LAST_ACK)
    .union(StateFlags::CLOSING);

/// The most that are closed in one go: heartbeats wait meanwhile.
const MOST: usize = 10_000;

/// Which of this host's connections are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// Those that end where the manager says.
    End(ServerEnd),
    /// All with this local port, under whatever local address: in the modes
    /// with direct server return that is the VIP, which nobody has named yet.
    Port(u16),
}

impl Meant {
    /// The local port; None: any.
    fn port(&self) -> Option<u16> {
        match self {
            Self::End(end) => end.local.port(),
            Self::Port(port) => Some(*port),
        }
    }

    fn holds(&self, local: SocketAddr, own: &BTreeSet<IpAddr>) -> bool {
        match self {
            // A prefix may hold addresses that the host has for other ends.
            Self::End(end) => {
                end.holds(local) && !(end.local.is_prefix() && own.contains(&local.ip()))
            }
            Self::Port(port) => local.port() == *port,
        }
    }
}

/// How many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Of each that was asked for.
    pub(super) each: Vec<u64>,
    /// Of all together, each connection once.
    pub(super) all: u64,
}

/// Counts connections, over IPv4 and IPv6. Blocks for as long as the kernel
/// walks its table of connections.
///
/// # Errors
/// The kernel has no sock_diag for TCP (module `tcp_diag`).
pub(super) fn count(meant: &[Meant]) -> io::Result<Census> {
    let mut ports: BTreeSet<_> = meant.iter().map(Meant::port).collect();
    if ports.contains(&None) {
        ports = BTreeSet::from([None]);
    }
    let own = own_addresses(meant)?;
    let socket = open()?;
    let mut census = Census { each: vec![0; meant.len()], all: 0 };
    for port in ports {
        list(&socket, port, |found| {
            let mut any = false;
            for (one, count) in meant.iter().zip(&mut census.each) {
                let is_meant = one.holds(local(&found.socket_id), &own);
                *count += u64::from(is_meant);
                any |= is_meant;
            }
            census.all += u64::from(any);
        })?;
    }
    Ok(census)
}

/// Closes the connections that end there, up to [`MOST`] of them, and says how
/// many: the application sees `ECONNABORTED`, the client an RST. A connection of
/// this host with itself came by no switch, and is left alone. Nothing is closed
/// when listing them is not done by `until`: some may be new.
///
/// # Errors
/// `PermissionDenied` without `CAP_NET_ADMIN`, `Unsupported` where the kernel
/// was built without `CONFIG_INET_DIAG_DESTROY`.
pub(super) fn close(end: &ServerEnd, until: Instant) -> io::Result<u64> {
    let meant = Meant::End(end.clone());
    let own = own_addresses(std::slice::from_ref(&meant))?;
    let socket = open()?;
    let mut doomed = Vec::new();
    list(&socket, end.local.port(), |found| {
        let id = &found.socket_id;
        let with_itself = id.source_address == id.destination_address;
        if doomed.len() < MOST && !with_itself && meant.holds(local(id), &own) {
            doomed.push((found.family, id.clone()));
        }
    })?;
    if Instant::now() >= until {
        return Ok(0);
    }
    let mut closed = 0;
    for (family, id) in doomed {
        closed += u64::from(destroy(&socket, family, id)?);
    }
    Ok(closed)
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&Kernel::new(0, 0))?;
    Ok(socket)
}

/// The host's addresses elsewhere than on `lo`, where they matter.
fn own_addresses(meant: &[Meant]) -> io::Result<BTreeSet<IpAddr>> {
    let is_prefix = |one: &Meant| matches!(one, Meant::End(end) if end.local.is_prefix());
    if !meant.iter().any(is_prefix) {
        return Ok(BTreeSet::new());
    }
    let elsewhere = getifaddrs()?.filter(|one| !one.flags.contains(InterfaceFlags::IFF_LOOPBACK));
    let ip = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(elsewhere.filter_map(|one| ip(one.address?)).collect())
}

/// The local address; of a socket for both families, as IPv4 where it is that.
fn local(id: &SocketId) -> SocketAddr {
    SocketAddr::new(id.source_address.to_canonical(), id.source_port)
}

/// Every connection with this local port, or with any.
fn list(
    socket: &Socket,
    port: Option<u16>,
    mut each: impl FnMut(&InetResponseHeader),
) -> io::Result<()> {
    for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        // The kernel itself filters by state and port; port 0 is any.
        let id = SocketId { source_port: port.unwrap_or(0), ..any };
        let request = request(family, id);
        send(socket, NLM_F_REQUEST | NLM_F_DUMP, request.into())?;
        answers(socket, |found| {
            // Without an inode no process has it any more: the kernel only
            // waits for the client's FIN.
            if !(found.state == TCP_FIN_WAIT2 && found.inode == 0) {
                each(found);
            }
        })?;
    }
    Ok(())
}

/// Whether it was still there.
fn destroy(socket: &Socket, family: u8, id: SocketId) -> io::Result<bool> {
    let request = SockDiagDestroy::new(request(family, id));
    send(socket, NLM_F_REQUEST | NLM_F_ACK, request.into())?;
    match answers(socket, |_| ()) {
        Ok(()) => Ok(true),
        // It ended meanwhile, or another one has its addresses now.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn request(family: u8, socket_id: SocketId) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: ALIVE,
        socket_id,
    })
}

fn send<M: NetlinkSerializable>(
    socket: &Socket,
    flags: u16,
    payload: NetlinkPayload<M>,
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop)
}

/// Reads until a dump is done or a request acknowledged.
fn answers(socket: &Socket, mut each: impl FnMut(&InetResponseHeader)) -> io::Result<()> {
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if read(&datagram, &mut each)? {
            return Ok(());
        }
    }
}

/// Reads one datagram of answers; whether the last one was among them.
fn read(datagram: &[u8], each: &mut impl FnMut(&InetResponseHeader)) -> io::Result<bool> {
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(malformed)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            // An error that is none acknowledges.
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                each(&found.header);
            }
            _ => {}
        }
        // Messages are aligned to four bytes (netlink(7)).
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length.max(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
