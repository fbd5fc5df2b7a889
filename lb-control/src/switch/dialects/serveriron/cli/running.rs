//! `show running-config`, as far as it is about servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use super::super::config::{Bind, Config, Real, Virtual};
use crate::switch::Failure;

/// Ports that the box calls by name.
const NAMED: &[(&str, u16)] = &[
    ("ftp", 21),
    ("telnet", 23),
    ("smtp", 25),
    ("dns", 53),
    ("tftp", 69),
    ("http", 80),
    ("pop2", 109),
    ("pop3", 110),
    ("nntp", 119),
    ("ntp", 123),
    ("imap4", 143),
    ("snmp", 161),
    ("ldap", 389),
    ("ssl", 443),
    ("rtsp", 554),
    ("ldaps", 636),
    ("radius", 1812),
];

/// A port by number or name; the port `default` is none.
pub(super) fn port(word: &str) -> Option<u16> {
    let named = NAMED.iter().find(|(name, _)| *name == word).map(|(_, port)| *port);
    named.or_else(|| word.parse().ok())
}

/// How a port is written: port 80 is `http`.
pub(super) fn port_word(port: u16) -> String {
    if port == 80 { "http".to_owned() } else { port.to_string() }
}

/// What a line is within.
enum Block {
    Nothing,
    Real(Ipv4Addr),
    Virtual(Ipv4Addr),
}

/// Reads a configuration. Lines that are about something else, or that make no sense,
/// are passed over.
///
/// # Errors
/// [`Failure::Lost`] where its end is missing: what is not read is not gone.
pub(super) fn parse(lines: &[String]) -> Result<Config, Failure> {
    let mut config = Config::default();
    let mut addresses: BTreeMap<&str, Ipv4Addr> = BTreeMap::new();
    let mut binds: Vec<(SocketAddrV4, &str, u16)> = Vec::new();
    let mut block = Block::Nothing;
    let mut ended = false;
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        let begins = !line.starts_with([' ', '\t']);
        match (words.as_slice(), &block) {
            (["end"], _) if begins => ended = true,
            (["server", "real" | "real-name", name, address, ..], _) if begins => {
                block = Block::Nothing;
                let Ok(address) = address.parse() else { continue };
                addresses.insert(name, address);
                let real = Real { name: (*name).to_owned(), ..Real::new(address) };
                // Of two for one address, ours is what is at stake.
                if real.is_ours() || !config.reals.contains_key(&address) {
                    config.reals.insert(address, real);
                    block = Block::Real(address);
                }
            }
            (["server", "virtual" | "virtual-name", name, address, ..], _) if begins => {
                block = Block::Nothing;
                let Ok(address) = address.parse() else { continue };
                let server = Virtual { name: (*name).to_owned(), ports: BTreeSet::new() };
                config.virtuals.insert(address, server);
                block = Block::Virtual(address);
            }
            (["port", word, rest @ ..], Block::Real(address)) => {
                let Some(real) = config.reals.get_mut(address) else { continue };
                let Some(port) = port(word) else { continue };
                let enabled = real.ports.entry(port).or_insert(true);
                if rest == ["disable"] {
                    *enabled = false;
                }
            }
            (["weight", weight, ..], Block::Real(address)) => {
                if let (Some(real), Ok(weight)) = (config.reals.get_mut(address), weight.parse()) {
                    real.weight = weight;
                }
            }
            (["port", word, ..], Block::Virtual(address)) => {
                if let (Some(server), Some(port)) = (config.virtuals.get_mut(address), port(word)) {
                    server.ports.insert(port);
                }
            }
            (["bind", word, pairs @ ..], Block::Virtual(address)) => {
                let Some(service) = port(word).map(|port| SocketAddrV4::new(*address, port)) else {
                    continue;
                };
                for pair in pairs.chunks_exact(2) {
                    if let [name, word] = pair
                        && let Some(port) = port(word)
                    {
                        binds.push((service, name, port));
                    }
                }
            }
            _ if begins => block = Block::Nothing,
            _ => {}
        }
    }
    if !ended {
        return Err(Failure::Lost("its running configuration has no end".into()));
    }
    for (service, name, port) in binds {
        if let Some(address) = addresses.get(name) {
            config.binds.insert(Bind { service, server: SocketAddrV4::new(*address, port) });
        }
    }
    Ok(config)
}
