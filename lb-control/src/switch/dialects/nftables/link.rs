//! The kernel's nf_tables and conntrack over netlink: requests, dumps, and batches
//! that are carried out as a whole or not at all.

use std::{
    io,
    time::{Duration, Instant},
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::{
    socket::{setsockopt, sockopt},
    time::{TimeVal, TimeValLike as _},
};

use super::{
    attribute::{Attribute, Garbage},
    uapi::*,
};

const HEADER: usize = 16;
/// Of nfnetlink, after that of netlink.
const NF_HEADER: usize = 4;
/// Room for a batch, and for what the kernel has to say of each step of it.
const BUFFER: usize = 16 << 20;
/// The kernel fills no more at once.
const DATAGRAM: usize = 64 << 10;

/// Whom a [`Link`] leads to.
pub(super) trait Kernel: Send {
    /// Asks, and gives the attributes of each answer.
    fn ask(
        &mut self,
        message: &Message,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Garbage>,
    ) -> Result<(), Error>;

    /// Carries out all of it, or nothing. [`Error::Changed`] if the ruleset's generation
    /// is another one.
    fn commit(&mut self, generation: u32, steps: &[Message]) -> Result<(), Error>;
}

/// A socket of family `NETLINK_NETFILTER`, in the network namespace of whoever opened it.
pub(super) struct Link {
    socket: Socket,
    sequence: u32,
    timeout: Duration,
    buffer: Vec<u8>,
}

/// One request, or one step of a batch.
pub(super) struct Message {
    pub(super) kind: u16,
    flags: u16,
    family: u8,
    pub(super) attributes: Vec<Attribute>,
    /// For people.
    what: String,
}

/// Why the kernel did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("netlink: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Garbage(#[from] Garbage),
    #[error("the kernel did not answer within {0:?}")]
    Late(Duration),
    /// What it said, and to which step.
    #[error("{1}: {0}")]
    Refused(io::Error, String),
    /// There is a table of that name already.
    #[error(
        "table inet {0} was made by somebody else (its comment is none of ours): name another one \
         by `table` in [switch.options]"
    )]
    Foreign(String),
    /// Somebody else changed the ruleset meanwhile.
    #[error("the ruleset was changed by others all the time")]
    Changed,
}

impl Error {
    /// The kernel knows no such thing.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(error, _) if error.raw_os_error() == Some(libc::ENOENT))
    }
}

impl Message {
    pub(super) fn get(kind: u16, family: u8, attributes: impl Into<Vec<Attribute>>) -> Self {
        let what = "read".to_owned();
        Self { kind, flags: NLM_F_ACK, family, attributes: attributes.into(), what }
    }

    pub(super) fn dump(kind: u16, family: u8, attributes: impl Into<Vec<Attribute>>) -> Self {
        Self { flags: NLM_F_DUMP, ..Self::get(kind, family, attributes) }
    }

    /// Adds something of family inet.
    pub(super) fn create(kind: u16, what: String, attributes: impl Into<Vec<Attribute>>) -> Self {
        let flags = if kind == NEWRULE { NLM_F_CREATE | NLM_F_APPEND } else { NLM_F_CREATE };
        Self { kind, flags, family: NFPROTO_INET, attributes: attributes.into(), what }
    }

    /// Deletes something of family inet.
    pub(super) fn delete(kind: u16, what: String, attributes: impl Into<Vec<Attribute>>) -> Self {
        Self { kind, flags: 0, family: NFPROTO_INET, attributes: attributes.into(), what }
    }

    /// Of a batch: the first and the last.
    fn bracket(kind: i32, attributes: impl Into<Vec<Attribute>>) -> Self {
        let kind = u16::try_from(kind).unwrap_or(0);
        Self { family: NFPROTO_UNSPEC, ..Self::delete(kind, "batch".to_owned(), attributes) }
    }

    pub(super) fn write(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        // Batches name their subsystem here; all else zero.
        let resource = if self.kind >> 8 == 0 { libc::NFNL_SUBSYS_NFTABLES as u16 } else { 0 };
        out.extend([0; 4]);
        out.extend(self.kind.to_ne_bytes());
        out.extend((self.flags | flags | NLM_F_REQUEST).to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]);
        out.extend([self.family, 0]);
        out.extend(resource.to_be_bytes());
        self.attributes.iter().for_each(|attribute| attribute.write(out));
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

impl Link {
    pub(super) fn open(timeout: Duration) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        // It takes CAP_NET_ADMIN, as all else here; the first batch says so better.
        let _refused = setsockopt(&socket, sockopt::SndBufForce, &BUFFER);
        let _refused = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        let millis = i64::try_from(timeout.as_millis().max(1)).unwrap_or(i64::MAX);
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(millis))?;
        Ok(Self { socket, sequence: 0, timeout, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// The next datagram into the buffer.
    fn receive(&mut self, flags: i32) -> Result<(), Error> {
        self.buffer.clear();
        match self.socket.recv(&mut self.buffer, flags) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Error::Late(self.timeout))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Kernel for Link {
    fn ask(
        &mut self,
        message: &Message,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Garbage>,
    ) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut bytes = Vec::new();
        message.write(0, sequence, &mut bytes);
        self.socket.send(&bytes, 0)?;
        let deadline = Instant::now() + self.timeout;
        let mut interrupted = false;
        loop {
            if Instant::now() >= deadline {
                return Err(Error::Late(self.timeout));
            }
            self.receive(0)?;
            for answer in Answers(&self.buffer) {
                let answer = answer?;
                if answer.sequence != sequence {
                    continue;
                }
                interrupted |= answer.flags & NLM_F_DUMP_INTR != 0;
                match answer.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        let outcome = answer.error()?;
                        return match outcome {
                            Some(error) => Err(Error::Refused(error, message.what.clone())),
                            None if interrupted => Err(Error::Changed),
                            None => Ok(()),
                        };
                    }
                    _ => each(answer.payload.get(NF_HEADER..).ok_or(Garbage)?)?,
                }
            }
        }
    }

    fn commit(&mut self, generation: u32, steps: &[Message]) -> Result<(), Error> {
        let begin = [Attribute::u32(BATCH_GENID, generation)];
        let begin = Message::bracket(NFNL_MSG_BATCH_BEGIN, begin);
        let end = Message::bracket(NFNL_MSG_BATCH_END, []);
        let first = self.sequence.wrapping_add(1);
        let all: Vec<_> = [&begin].into_iter().chain(steps).chain([&end]).collect();
        let mut bytes = Vec::new();
        for (index, message) in all.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = if index == steps.len() { NLM_F_ACK } else { 0 };
            message.write(flags, self.sequence, &mut bytes);
        }
        self.socket.send(&bytes, 0)?;
        // The kernel has done it, and said all that it has to say, when `send` returns.
        let mut failed = None;
        let mut heard = false;
        loop {
            match self.receive(libc::MSG_DONTWAIT) {
                Ok(()) => {}
                Err(Error::Late(_)) => break,
                Err(error) => return Err(error),
            }
            for answer in Answers(&self.buffer) {
                let answer = answer?;
                let step = all.get(answer.sequence.wrapping_sub(first) as usize);
                let (NLMSG_ERROR, Some(step)) = (answer.kind, step) else { continue };
                heard = true;
                if let Some(error) = answer.error()? {
                    failed.get_or_insert((error, step.what.clone()));
                }
            }
        }
        match failed {
            None if heard => Ok(()),
            None => Err(Error::Late(Duration::ZERO)),
            Some((error, _)) if error.raw_os_error() == Some(libc::ERESTART) => Err(Error::Changed),
            Some((error, what)) => Err(Error::Refused(error, what)),
        }
    }
}

/// The messages of a datagram.
pub(super) struct Answers<'a>(pub(super) &'a [u8]);

pub(super) struct Answer<'a> {
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Iterator for Answers<'a> {
    type Item = Result<Answer<'a>, Garbage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let Ok(header) = NetlinkBuffer::new_checked(bytes) else { return Some(Err(Garbage)) };
        let length = header.length() as usize;
        let Some(payload) = bytes.get(HEADER..length) else { return Some(Err(Garbage)) };
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Answer {
            kind: header.message_type(),
            flags: header.flags(),
            sequence: header.sequence_number(),
            payload,
        }))
    }
}

impl Answer<'_> {
    /// What an error or the end of a dump says.
    pub(super) fn error(&self) -> Result<Option<io::Error>, Garbage> {
        let code = self.payload.first_chunk().map(|code| i32::from_ne_bytes(*code));
        let code = code.ok_or(Garbage)?;
        Ok((code < 0).then(|| io::Error::from_raw_os_error(code.saturating_neg())))
    }
}
