//! Messages and their bytes. Integers are big-endian.
//!
//! A message is `u8 version | u8 reserved | u16 type | u32 length` and then TLVs,
//! each `u16 type | u16 length` and its body; both lengths count their own header.

mod decode;
mod encode;

use std::{io, net::Ipv4Addr};

pub(super) use self::decode::length;

/// The only version there is.
const VERSION: u8 = 1;
/// Bytes before the TLVs.
pub(super) const HEADER: usize = 8;
/// Bytes of the longest message that is read: twice what 16,384 servers take, each on
/// a port of its own.
const LONGEST: usize = 1 << 20;

/// Types of messages.
mod kind {
    pub(super) const PREFERENCE_INFORMATION: u16 = 0x0101;
    pub(super) const SERVER_STATE: u16 = 0x0201;
    pub(super) const PARAMETERS: u16 = 0x0301;
    pub(super) const BIND_ID_REQUEST: u16 = 0x0401;
    pub(super) const BIND_ID_REPORT: u16 = 0x0402;
    pub(super) const BIND_ID_CHANGE: u16 = 0x0403;
}

/// Types of TLVs.
mod tlv {
    pub(super) const SECURITY: u16 = 0x0001;
    pub(super) const LOAD: u16 = 0x0002;
    pub(super) const KEEP_ALIVE: u16 = 0x0101;
    pub(super) const BIND_ID_TABLE: u16 = 0x0301;
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Agent to manager: how much new work servers want. Also a keepalive.
    PreferenceInformation(Vec<Load>),
    /// Manager to agent: how the manager sees servers. For information alone.
    ServerState(Vec<Load>),
    /// Manager to agent: after how many seconds of silence it closes; 0: never. None:
    /// the message says nothing of it.
    Parameters { keepalive: Option<u32> },
    /// Manager to agent: which BindIDs there are.
    BindIdRequest,
    /// Agent to manager: these; none.
    BindIdReport(Vec<BindIdTable>),
    /// Agent to manager: they are others now.
    BindIdChange,
    /// Of a type that nobody knows; to be discarded.
    Unknown(u16),
}

/// The weights of servers on one port: a Load TLV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// 0: any.
    pub port: u16,
    /// 6: TCP, 17: UDP, 0: any.
    pub protocol: u8,
    pub preferences: Vec<Preference>,
}

/// What one server wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    pub server: Ipv4Addr,
    /// The clients that it speaks of; 0: all.
    pub bind_id: u16,
    /// Its capacity for new connections beside the others'; 0: none.
    pub weight: u16,
}

/// What the BindIDs of one server stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindIdTable {
    pub server: Ipv4Addr,
    pub port: u16,
    pub protocol: u8,
    pub clients: Vec<Client>,
}

/// A group of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub bind_id: u16,
    pub address: Ipv4Addr,
    pub mask: Ipv4Addr,
}

impl Message {
    fn kind(&self) -> u16 {
        match self {
            Self::PreferenceInformation(_) => kind::PREFERENCE_INFORMATION,
            Self::ServerState(_) => kind::SERVER_STATE,
            Self::Parameters { .. } => kind::PARAMETERS,
            Self::BindIdRequest => kind::BIND_ID_REQUEST,
            Self::BindIdReport(_) => kind::BIND_ID_REPORT,
            Self::BindIdChange => kind::BIND_ID_CHANGE,
            Self::Unknown(kind) => *kind,
        }
    }

    /// Its name and type, for people.
    pub fn name(&self) -> String {
        let kind = self.kind();
        format!("{} ({kind:#06x})", name(kind))
    }
}

fn name(kind: u16) -> &'static str {
    match kind {
        kind::PREFERENCE_INFORMATION => "Preference Information",
        kind::SERVER_STATE => "Server State",
        kind::PARAMETERS => "DFP Parameters",
        kind::BIND_ID_REQUEST => "BindID Request",
        kind::BIND_ID_REPORT => "BindID Report",
        kind::BIND_ID_CHANGE => "BindID Change Notify",
        _ => "message of unknown type",
    }
}

/// Why a stream of messages cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DfpError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(
        "it speaks version {0} of DFP; there is only version 1: is it another protocol's port?"
    )]
    Version(u8),
    #[error("it sends a message of {0} bytes; {HEADER} to {LONGEST} are possible")]
    Length(u32),
    #[error("in its {message}, a TLV of type {kind:#06x} claims {claimed} bytes of {left}")]
    TlvLength {
        message: &'static str,
        kind: u16,
        /// The header included.
        claimed: usize,
        /// Bytes of the message from the TLV's begin on.
        left: usize,
    },
    #[error("in its {message}, a TLV of type {kind:#06x} and {length} bytes counts more or less")]
    TlvBody { message: &'static str, kind: u16, length: usize },
    #[error(
        "it signs its messages (DFP security), and no key is known here: switch that off at the \
         other side, and guard the connection otherwise"
    )]
    Signed,
}
