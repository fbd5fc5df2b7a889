//! Changes of real servers.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{Health, Life, Real, RealPort, Refusal, State};

/// The longest name of a server.
const MAX_NAME: usize = 32;
/// The heaviest weight. The facts have no range; this one is the manual's.
const MAX_WEIGHT: u32 = 65_000;
/// The most connections of a real server, and what it begins with.
const MAX_CONNECTIONS: u32 = 1_000_000;

impl State {
    /// `server real NAME IP`: creates it, or finds that it is there.
    pub fn define_real(&mut self, name: &str, address: Ipv4Addr) -> Result<(), Refusal> {
        check_name(name)?;
        if let Some(real) = self.running.reals.get(name) {
            if real.address != address {
                let by = real.address.to_string();
                return Err(Refusal::Taken { what: "name", value: name.to_owned(), by });
            }
            if real.life.leaving {
                self.violation(format!("server real {name} while its deletion waits"));
            }
            return Ok(());
        }
        let owner = self.running.reals.iter().find(|(_, real)| real.address == address);
        if let Some((by, _)) = owner {
            let (value, by) = (address.to_string(), by.clone());
            return Err(Refusal::Taken { what: "address", value, by });
        }
        if self.running.reals.len() >= self.limits.real_servers {
            return Err(Refusal::Full("real servers"));
        }
        let real = Real {
            address,
            life: Life::new(self.now),
            weight: 1,
            max_connections: MAX_CONNECTIONS,
            default_disabled: false,
            health: Health::Up,
            ports: BTreeMap::new(),
        };
        self.running.reals.insert(name.to_owned(), real);
        Ok(())
    }

    /// `no server real NAME`: it goes, with its bindings, when its last
    /// connection has ended.
    pub fn delete_real(&mut self, name: &str) -> Result<(), Refusal> {
        let now = self.now;
        self.real(name)?.life.leave(now);
        self.leave_binds(|binding| binding.real_server == name);
        Ok(())
    }

    /// `disable` and `no disable` of a real server. Its connections stay.
    pub fn enable_real(&mut self, name: &str, enabled: bool) -> Result<(), Refusal> {
        let busy = self.connections_of_real(name) > 0;
        let now = self.now;
        let real = self.real(name)?;
        if let Some(why) = switch(&mut real.life, enabled, busy, now) {
            self.violation(format!("server real {name} enabled while {why}"));
        }
        Ok(())
    }

    /// `weight N`
    pub fn set_weight(&mut self, name: &str, weight: u32) -> Result<(), Refusal> {
        check_range("weight", weight, 0, MAX_WEIGHT)?;
        self.real(name)?.weight = weight;
        Ok(())
    }

    /// `max-conn N`
    pub fn set_max_connections(&mut self, name: &str, most: u32) -> Result<(), Refusal> {
        check_range("max-conn", most, 1, MAX_CONNECTIONS)?;
        self.real(name)?.max_connections = most;
        Ok(())
    }

    /// `port default disable` of a real server, or its `no`.
    pub fn disable_real_default(&mut self, name: &str, disabled: bool) -> Result<(), Refusal> {
        self.real(name)?.default_disabled = disabled;
        Ok(())
    }

    /// `port N` and `port N disable` of a real server.
    pub fn set_real_port(&mut self, name: &str, port: u16, enabled: bool) -> Result<(), Refusal> {
        let busy = self.connections_of_port(name, port) > 0;
        let now = self.now;
        let found = self.real_port(name, port)?;
        if let Some(why) = switch(&mut found.life, enabled, busy, now) {
            self.violation(format!("port {port} of {name} enabled while {why}"));
        }
        Ok(())
    }

    /// `port N url "GET /x HTTP/1.0"`
    pub fn set_url(&mut self, name: &str, port: u16, url: &str) -> Result<(), Refusal> {
        self.real_port(name, port)?.url = Some(url.to_owned());
        Ok(())
    }

    /// `no port N` of a real server: it goes, with its bindings, when its last
    /// connection has ended.
    pub fn delete_real_port(&mut self, name: &str, port: u16) -> Result<(), Refusal> {
        let now = self.now;
        let found = self.real(name)?.ports.get_mut(&port);
        found.ok_or_else(|| unknown_port(name, port))?.life.leave(now);
        self.leave_binds(|binding| binding.real_server == name && binding.real_port == port);
        Ok(())
    }

    /// What health checks are to have found of a whole real server, or of one
    /// of its ports.
    pub fn set_health(
        &mut self,
        name: &str,
        port: Option<u16>,
        health: Health,
    ) -> Result<(), Refusal> {
        let real = self.real(name)?;
        match port {
            None => real.health = health,
            Some(port) => {
                let found = real.ports.get_mut(&port);
                found.ok_or_else(|| unknown_port(name, port))?.health = health;
            }
        }
        Ok(())
    }

    fn real(&mut self, name: &str) -> Result<&mut Real, Refusal> {
        let unknown = || Refusal::Unknown { what: "real server", name: name.to_owned() };
        self.running.reals.get_mut(name).ok_or_else(unknown)
    }

    /// Made where it is not there yet.
    fn real_port(&mut self, name: &str, port: u16) -> Result<&mut RealPort, Refusal> {
        let life = Life::new(self.now);
        let ports = &mut self.real(name)?.ports;
        Ok(ports.entry(port).or_insert(RealPort { life, url: None, health: Health::Up }))
    }
}

/// Enables or disables. Says why it must not, when a shutdown still runs.
pub(super) fn switch(
    life: &mut Life,
    enabled: bool,
    busy: bool,
    now: std::time::Instant,
) -> Option<&'static str> {
    match (life.enabled, enabled) {
        _ if life.leaving && enabled => return Some("its deletion waits"),
        (false, true) if busy => return Some("its shutdown waits"),
        (false, true) => life.enabled = true,
        (true, false) => *life = Life { enabled: false, since: now, ..*life },
        (true, true) | (false, false) => {}
    }
    None
}

pub(super) fn unknown_port(name: &str, port: u16) -> Refusal {
    Refusal::Unknown { what: "port", name: format!("{port} of {name}") }
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(());
    }
    Err(Refusal::Value { what: "name of 1 to 32 characters", value: name.to_owned() })
}

fn check_range(what: &'static str, value: u32, least: u32, most: u32) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Refusal::Value { what, value: value.to_string() })
}
