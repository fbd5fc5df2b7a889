//! A message from its bytes, which may lie in every length.

use std::net::Ipv4Addr;

use tokio_util::bytes::{Buf as _, TryGetError};

use super::{
    BindIdTable, Client, DfpError, HEADER, LONGEST, Load, Message, Preference, VERSION, kind, name,
    tlv,
};

/// Length of the message that a stream goes on with; None: that is not known yet.
///
/// # Errors
/// It is of another version, or its length is impossible.
pub(in crate::dfp) fn length(stream: &[u8]) -> Result<Option<usize>, DfpError> {
    match stream.first() {
        None => return Ok(None),
        Some(&VERSION) => {}
        Some(&version) => return Err(DfpError::Version(version)),
    }
    let Some(length) = stream.get(HEADER - 4..HEADER).and_then(<[u8]>::first_chunk) else {
        return Ok(None);
    };
    let claimed = u32::from_be_bytes(*length);
    let possible = usize::try_from(claimed).ok().filter(|l| (HEADER..=LONGEST).contains(l));
    possible.map(Some).ok_or(DfpError::Length(claimed))
}

impl Message {
    /// Reads one whole message. TLVs that nobody knows, or that have no business in
    /// such a message, are skipped.
    ///
    /// # Errors
    /// It is of another version, a length is not what is there, or it is signed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DfpError> {
        let there = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if length(bytes)? != Some(bytes.len()) {
            return Err(DfpError::Length(there));
        }
        let mut head = bytes.get(2..4).unwrap_or_default();
        let kind = head.try_get_u16().map_err(|_| DfpError::Length(there))?;
        let body = bytes.get(HEADER..).unwrap_or_default();
        Ok(match kind {
            kind::PREFERENCE_INFORMATION => Self::PreferenceInformation(loads(kind, body)?),
            kind::SERVER_STATE => Self::ServerState(loads(kind, body)?),
            kind::PARAMETERS => {
                let mut keepalive = None;
                for tlv in Tlvs::of(kind, body) {
                    let tlv = tlv?;
                    if tlv.kind == tlv::KEEP_ALIVE {
                        keepalive = Some(tlv.read(|body| body.try_get_u32())?);
                    }
                }
                Self::Parameters { keepalive }
            }
            kind::BIND_ID_REQUEST => {
                nothing(kind, body)?;
                Self::BindIdRequest
            }
            // The draft gives both this number once.
            kind::BIND_ID_REPORT if body.is_empty() => Self::BindIdChange,
            // An agent that real switches know leaves out an empty table's TLV header.
            kind::BIND_ID_REPORT if body.iter().all(|byte| *byte == 0) => {
                Self::BindIdReport(Vec::new())
            }
            kind::BIND_ID_REPORT => Self::BindIdReport(tables(body)?),
            kind::BIND_ID_CHANGE => {
                nothing(kind, body)?;
                Self::BindIdChange
            }
            kind => Self::Unknown(kind),
        })
    }
}

/// Of such a message everything is skipped.
fn nothing(message: u16, body: &[u8]) -> Result<(), DfpError> {
    Tlvs::of(message, body).try_for_each(|tlv| tlv.map(drop))
}

fn loads(message: u16, body: &[u8]) -> Result<Vec<Load>, DfpError> {
    let mut loads = Vec::new();
    for tlv in Tlvs::of(message, body) {
        let tlv = tlv?;
        if tlv.kind == tlv::LOAD {
            loads.push(tlv.read(load)?);
        }
    }
    Ok(loads)
}

fn load(body: &mut &[u8]) -> Result<Load, TryGetError> {
    let (port, protocol, _flags) = (body.try_get_u16()?, body.try_get_u8()?, body.try_get_u8()?);
    let (count, _reserved) = (body.try_get_u16()?, body.try_get_u16()?);
    let preference = |_| {
        Ok(Preference {
            server: body.try_get_u32()?.into(),
            bind_id: body.try_get_u16()?,
            weight: body.try_get_u16()?,
        })
    };
    let preferences = (0..count).map(preference).collect::<Result<_, TryGetError>>()?;
    Ok(Load { port, protocol, preferences })
}

fn tables(body: &[u8]) -> Result<Vec<BindIdTable>, DfpError> {
    let mut tables = Vec::new();
    for tlv in Tlvs::of(kind::BIND_ID_REPORT, body) {
        let tlv = tlv?;
        if tlv.kind == tlv::BIND_ID_TABLE {
            let table = tlv.read(table)?;
            let is_none = table.clients.is_empty() && table.server == Ipv4Addr::UNSPECIFIED;
            tables.extend((!is_none).then_some(table));
        }
    }
    Ok(tables)
}

fn table(body: &mut &[u8]) -> Result<BindIdTable, TryGetError> {
    let server = body.try_get_u32()?.into();
    let (port, protocol, _reserved) = (body.try_get_u16()?, body.try_get_u8()?, body.try_get_u8()?);
    let (count, _reserved) = (body.try_get_u16()?, body.try_get_u16()?);
    let client = |_| {
        let (bind_id, _reserved) = (body.try_get_u16()?, body.try_get_u16()?);
        let (address, mask) = (body.try_get_u32()?.into(), body.try_get_u32()?.into());
        Ok(Client { bind_id, address, mask })
    };
    let clients = (0..count).map(client).collect::<Result<_, TryGetError>>()?;
    Ok(BindIdTable { server, port, protocol, clients })
}

/// One TLV of a message.
struct Tlv<'a> {
    message: u16,
    kind: u16,
    body: &'a [u8],
}

impl Tlv<'_> {
    /// Reads the body, of which nothing may be missing or left.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut &[u8]) -> Result<T, TryGetError>,
    ) -> Result<T, DfpError> {
        let mut rest = self.body;
        match read(&mut rest) {
            Ok(value) if rest.is_empty() => Ok(value),
            _ => Err(DfpError::TlvBody {
                message: name(self.message),
                kind: self.kind,
                length: 4 + self.body.len(),
            }),
        }
    }
}

/// The TLVs of a message, until one that lies.
struct Tlvs<'a> {
    message: u16,
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    fn of(message: u16, body: &'a [u8]) -> Self {
        Self { message, rest: body }
    }

    fn take(&mut self) -> Result<Tlv<'a>, DfpError> {
        let all = std::mem::take(&mut self.rest);
        let mut head = all;
        let wrong = |kind, claimed| DfpError::TlvLength {
            message: name(self.message),
            kind,
            claimed,
            left: all.len(),
        };
        let (Ok(kind), Ok(length)) = (head.try_get_u16(), head.try_get_u16()) else {
            return Err(wrong(0, 4));
        };
        let length = usize::from(length);
        let Some(body) = all.get(4..length) else {
            return Err(wrong(kind, length));
        };
        if kind == tlv::SECURITY {
            return Err(DfpError::Signed);
        }
        self.rest = all.get(length..).unwrap_or_default();
        Ok(Tlv { message: self.message, kind, body })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, DfpError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.take())
    }
}
