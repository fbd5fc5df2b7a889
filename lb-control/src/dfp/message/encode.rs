//! A message's bytes.

use std::net::Ipv4Addr;

use tokio_util::bytes::BufMut as _;

use super::{BindIdTable, Client, HEADER, Load, Message, Preference, VERSION, tlv};

/// Preferences of one Load TLV, whose length is a `u16`.
const PREFERENCES: usize = (u16::MAX as usize - 12) / 8;
/// Clients of one BindID Table TLV, likewise.
const CLIENTS: usize = (u16::MAX as usize - 16) / 12;

impl Message {
    /// Its bytes. What does not fit one TLV goes into several of its kind.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u8(VERSION);
        bytes.put_u8(0);
        bytes.put_u16(self.kind());
        bytes.put_u32(0);
        match self {
            Self::PreferenceInformation(loads) | Self::ServerState(loads) => {
                loads.iter().for_each(|load| put_load(&mut bytes, load));
            }
            Self::Parameters { keepalive: Some(seconds) } => {
                put_head(&mut bytes, tlv::KEEP_ALIVE, 8);
                bytes.put_u32(*seconds);
            }
            Self::BindIdReport(tables) if tables.is_empty() => put_table(&mut bytes, &NO_TABLE),
            Self::BindIdReport(tables) => {
                tables.iter().for_each(|table| put_table(&mut bytes, table));
            }
            Self::Parameters { keepalive: None }
            | Self::BindIdRequest
            | Self::BindIdChange
            | Self::Unknown(_) => {}
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[HEADER - 4..HEADER].copy_from_slice(&length.to_be_bytes());
        bytes
    }
}

/// What a report without a table has in its place.
const NO_TABLE: BindIdTable =
    BindIdTable { server: Ipv4Addr::UNSPECIFIED, port: 0, protocol: 0, clients: Vec::new() };

/// `length` counts these four bytes, and is below 65,536 because of the caller's chunks.
fn put_head(bytes: &mut Vec<u8>, kind: u16, length: usize) {
    bytes.put_u16(kind);
    bytes.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
    bytes.put_u16(0);
}

fn put_load(bytes: &mut Vec<u8>, load: &Load) {
    for preferences in chunks(&load.preferences, PREFERENCES) {
        put_head(bytes, tlv::LOAD, 12 + 8 * preferences.len());
        bytes.put_u16(load.port);
        bytes.put_u8(load.protocol);
        bytes.put_u8(0);
        put_count(bytes, preferences.len());
        for Preference { server, bind_id, weight } in preferences {
            bytes.put_slice(&server.octets());
            bytes.put_u16(*bind_id);
            bytes.put_u16(*weight);
        }
    }
}

fn put_table(bytes: &mut Vec<u8>, table: &BindIdTable) {
    for clients in chunks(&table.clients, CLIENTS) {
        put_head(bytes, tlv::BIND_ID_TABLE, 16 + 12 * clients.len());
        bytes.put_slice(&table.server.octets());
        bytes.put_u16(table.port);
        bytes.put_u8(table.protocol);
        bytes.put_u8(0);
        put_count(bytes, clients.len());
        for Client { bind_id, address, mask } in clients {
            bytes.put_u16(*bind_id);
            bytes.put_u16(0);
            bytes.put_slice(&address.octets());
            bytes.put_slice(&mask.octets());
        }
    }
}

/// Chunks of a list; an empty one is one chunk.
fn chunks<T>(list: &[T], size: usize) -> impl Iterator<Item = &[T]> {
    let none = list.is_empty().then_some(list);
    none.into_iter().chain(list.chunks(size))
}
