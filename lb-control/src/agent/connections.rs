//! How many connections the kernel holds for a server, by `NETLINK_SOCK_DIAG`
//! (sock_diag(7)).

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_FIN_WAIT2},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// Connections of which either side may still have something to say. Not the
/// ones of which only a SYN was seen: a flood of those must not hold up a
/// server that wants to leave.
const ALIVE: StateFlags = StateFlags::ESTABLISHED
    .union(StateFlags::FIN_WAIT1)
    .union(StateFlags::FIN_WAIT2)
    .union(StateFlags::CLOSE_WAIT)
    .union(StateFlags::LAST_ACK)
    .union(StateFlags::CLOSING);

/// Connections whose local port is `port`, over IPv4 and IPv6, under whatever
/// local address: in mode `l2` that is the VIP.
///
/// Blocks for as long as the kernel walks its table of connections.
///
/// # Errors
/// The kernel has no sock_diag for TCP (module `tcp_diag`).
pub(super) fn count(port: u16) -> io::Result<u64> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut connections = 0;
    for family in [AF_INET, AF_INET6] {
        socket.send(&request(family, port), 0)?;
        connections += answers(&socket)?;
    }
    Ok(connections)
}

/// A dump that the kernel itself filters by state and local port.
fn request(family: u8, port: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let wanted = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: ALIVE,
        socket_id: SocketId { source_port: port, ..wanted },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn answers(socket: &Socket) -> io::Result<u64> {
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut connections = 0;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let message =
                NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(malformed)?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(connections),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                    // Without an inode no process has it any more: the kernel
                    // only waits for the client's FIN.
                    let orphan = found.header.state == TCP_FIN_WAIT2 && found.header.inode == 0;
                    connections += u64::from(!orphan);
                }
                _ => {}
            }
            // Messages are aligned to four bytes (netlink(7)).
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length.max(4)..).unwrap_or_default();
        }
    }
}
