//! How probes get out and their answers in: packet sockets (packet(7)), opened
//! while we may, and ports that are nobody else's.

use std::{
    io::{self, Read as _},
    mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd as _, BorrowedFd},
};

use libc::{
    AF_PACKET, BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K,
    BPF_LD, BPF_LDX, BPF_MSH, BPF_RET, ETH_P_IP, ETH_P_IPV6,
};
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

/// Ports in a row that probes use in turn, so that a server which still has an
/// earlier one in mind takes the next one as new.
const PORTS: u16 = 8;
/// Where a row of free ports is looked for.
const FIRST_PORTS: std::ops::Range<u16> = 32_768..60_000;
const TRIES: usize = 64;
/// Longest IP packet that is an answer: headers with all their options.
const ANSWER: usize = 128;

/// The sockets of an edge's probes.
#[derive(Debug)]
pub(super) struct Sockets {
    out: Socket,
    heard_v4: Socket,
    heard_v6: Socket,
    first_port: u16,
    _held: Vec<Socket>,
}

impl Sockets {
    /// # Errors
    /// The kernel refuses, mostly for want of `CAP_NET_RAW`, or has no ports.
    pub(super) fn open() -> io::Result<Self> {
        let out = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let (first_port, held) = hold_ports()?;
        let last_port = first_port + PORTS - 1;
        let heard_v4 = hears(ETH_P_IP, &filter_v4(first_port, last_port))?;
        let heard_v6 = hears(ETH_P_IPV6, &filter_v6(first_port, last_port))?;
        out.set_nonblocking(true)?;
        Ok(Self { out, heard_v4, heard_v6, first_port, _held: held })
    }

    /// One of the ports.
    pub(super) fn port(&self, random: u64) -> u16 {
        self.first_port + (random % u64::from(PORTS)) as u16
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Of the kernel: the interface is down, or its queue is full.
    pub(super) fn send(&self, frame: &[u8], ifindex: u32) -> io::Result<()> {
        let ethertype = frame.get(12..14).and_then(|bytes| bytes.try_into().ok());
        let protocol = u16::from_be_bytes(ethertype.unwrap_or_default());
        self.out.send_to(frame, &link(ifindex, protocol)).map(|_| ())
    }

    /// Hands over each packet that may be an answer; does not end.
    ///
    /// # Errors
    /// A socket fails for good.
    pub(super) async fn listen(&self, hear: impl Fn(&[u8])) -> io::Result<()> {
        tokio::try_join!(listen(&self.heard_v4, &hear), listen(&self.heard_v6, &hear))?;
        Ok(())
    }
}

async fn listen(socket: &Socket, hear: &impl Fn(&[u8])) -> io::Result<()> {
    let fd: BorrowedFd<'_> = socket.as_fd();
    // SAFETY: the socket is borrowed for as long as this lives, and is not closed.
    let ready = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
    let mut buffer = [0; ANSWER];
    loop {
        let mut guard = ready.readable().await?;
        let read = guard.try_io(|_| (&mut &*socket).read(&mut buffer));
        match read {
            Ok(Ok(len)) => hear(buffer.get(..len).unwrap_or_default()),
            // An interface went down under it: the others go on.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
}

/// A socket that hears IP packets of a kind, from any interface, without their
/// Ethernet headers.
fn hears(ethertype: libc::c_int, filter: &[SockFilter]) -> io::Result<Socket> {
    // It hears nothing before it is bound, and then only what the filter takes.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
    socket.attach_filter(filter)?;
    socket.set_nonblocking(true)?;
    socket.bind(&link(0, ethertype as u16))?;
    Ok(socket)
}

fn link(ifindex: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the platform's socket addresses, and fits.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = ifindex as i32;
    let len = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds a whole sockaddr_ll.
    unsafe { SockAddr::new(storage, len) }
}

/// Takes ports in a row. Whoever listens on them drops all that comes: the kernel
/// would answer by resets that take its own routes to the service's address.
fn hold_ports() -> io::Result<(u16, Vec<Socket>)> {
    let mut error = io::Error::other("no try");
    for _ in 0..TRIES {
        let first = fastrand::u16(FIRST_PORTS);
        match (first..first + PORTS).map(hold_port).collect::<io::Result<Vec<_>>>() {
            Ok(held) => return Ok((first, held)),
            Err(other) => error = other,
        }
    }
    Err(error)
}

fn hold_port(port: u16) -> io::Result<Socket> {
    let dual = Socket::new(Domain::IPV6, Type::STREAM, None).and_then(|socket| {
        socket.set_only_v6(false)?;
        Ok((socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))))
    });
    // Some hosts have no IPv6.
    let (socket, address) = dual.or_else(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        io::Result::Ok((socket, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
    })?;
    socket.attach_filter(&[statement(BPF_RET | BPF_K, 0)])?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket)
}

const fn statement(code: u32, k: u32) -> SockFilter {
    SockFilter::new(code as u16, 0, 0, k)
}

const fn jump(code: u32, k: u32, yes: u8, no: u8) -> SockFilter {
    SockFilter::new((BPF_JMP | code | BPF_K) as u16, yes, no, k)
}

/// TCP to one of these ports over IPv4; no fragments but the first.
fn filter_v4(first: u16, last: u16) -> [SockFilter; 10] {
    [
        statement(BPF_LD | BPF_B | BPF_ABS, 9),
        jump(BPF_JEQ, 6, 0, 7),
        statement(BPF_LD | BPF_H | BPF_ABS, 6),
        jump(BPF_JSET, 0x1fff, 5, 0),
        statement(BPF_LDX | BPF_B | BPF_MSH, 0),
        statement(BPF_LD | BPF_H | BPF_IND, 2),
        jump(BPF_JGE, first.into(), 0, 2),
        jump(BPF_JGT, last.into(), 1, 0),
        statement(BPF_RET | BPF_K, ANSWER as u32),
        statement(BPF_RET | BPF_K, 0),
    ]
}

/// The same over IPv6, without extension headers.
fn filter_v6(first: u16, last: u16) -> [SockFilter; 7] {
    [
        statement(BPF_LD | BPF_B | BPF_ABS, 6),
        jump(BPF_JEQ, 6, 0, 4),
        statement(BPF_LD | BPF_H | BPF_ABS, 42),
        jump(BPF_JGE, first.into(), 0, 2),
        jump(BPF_JGT, last.into(), 1, 0),
        statement(BPF_RET | BPF_K, ANSWER as u32),
        statement(BPF_RET | BPF_K, 0),
    ]
}
