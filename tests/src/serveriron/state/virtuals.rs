//! Changes of virtual servers.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{
    Life, Predictor, Refusal, State, Virtual, VirtualPort,
    real::{check_name, switch, unknown_port},
};

impl State {
    /// `server virtual NAME VIP`: creates it, or finds that it is there.
    pub fn define_virtual(&mut self, name: &str, address: Ipv4Addr) -> Result<(), Refusal> {
        check_name(name)?;
        if let Some(server) = self.running.virtuals.get(name) {
            if server.address != address {
                let by = server.address.to_string();
                return Err(Refusal::Taken { what: "name", value: name.to_owned(), by });
            }
            if server.life.leaving {
                self.violation(format!("server virtual {name} while its deletion waits"));
            }
            return Ok(());
        }
        let owner = self.running.virtuals.iter().find(|(_, server)| server.address == address);
        if let Some((by, _)) = owner {
            let (value, by) = (address.to_string(), by.clone());
            return Err(Refusal::Taken { what: "address", value, by });
        }
        if self.running.virtuals.len() >= self.limits.virtual_servers {
            return Err(Refusal::Full("virtual servers"));
        }
        let server = Virtual {
            address,
            life: Life::new(self.now),
            predictor: None,
            default_disabled: false,
            ports: BTreeMap::new(),
        };
        self.running.virtuals.insert(name.to_owned(), server);
        Ok(())
    }

    /// `no server virtual NAME`: it goes, with its bindings, when its last
    /// connection has ended.
    pub fn delete_virtual(&mut self, name: &str) -> Result<(), Refusal> {
        let now = self.now;
        self.virtual_server(name)?.life.leave(now);
        self.leave_binds(|binding| binding.virtual_server == name);
        Ok(())
    }

    /// `disable` and `no disable` of a virtual server. Its connections stay.
    pub fn enable_virtual(&mut self, name: &str, enabled: bool) -> Result<(), Refusal> {
        let busy = self.connections_of_virtual(name, None) > 0;
        let now = self.now;
        let server = self.virtual_server(name)?;
        if let Some(why) = switch(&mut server.life, enabled, busy, now) {
            self.violation(format!("server virtual {name} enabled while {why}"));
        }
        Ok(())
    }

    /// `predictor METHOD` of one virtual server; `None` follows the global one.
    pub fn set_virtual_predictor(
        &mut self,
        name: &str,
        predictor: Option<Predictor>,
    ) -> Result<(), Refusal> {
        self.virtual_server(name)?.predictor = predictor;
        Ok(())
    }

    /// `port default disable` of a virtual server, or its `no`.
    pub fn disable_virtual_default(&mut self, name: &str, disabled: bool) -> Result<(), Refusal> {
        self.virtual_server(name)?.default_disabled = disabled;
        Ok(())
    }

    /// `port N` and `port N disable` of a virtual server.
    pub fn set_virtual_port(
        &mut self,
        name: &str,
        port: u16,
        enabled: bool,
    ) -> Result<(), Refusal> {
        let busy = self.connections_of_virtual(name, Some(port)) > 0;
        let now = self.now;
        let made = VirtualPort { life: Life::new(now), sticky: false, concurrent: false };
        let found = self.virtual_server(name)?.ports.entry(port).or_insert(made);
        if let Some(why) = switch(&mut found.life, enabled, busy, now) {
            self.violation(format!("port {port} of {name} enabled while {why}"));
        }
        Ok(())
    }

    /// Columns Sticky and Concurrent of a port, where given.
    pub fn set_virtual_port_flags(
        &mut self,
        name: &str,
        port: u16,
        sticky: Option<bool>,
        concurrent: Option<bool>,
    ) -> Result<(), Refusal> {
        let found = self.virtual_server(name)?.ports.get_mut(&port);
        let found = found.ok_or_else(|| unknown_port(name, port))?;
        found.sticky = sticky.unwrap_or(found.sticky);
        found.concurrent = concurrent.unwrap_or(found.concurrent);
        Ok(())
    }

    /// `no port N` of a virtual server: it goes, with its bindings, when its
    /// last connection has ended.
    pub fn delete_virtual_port(&mut self, name: &str, port: u16) -> Result<(), Refusal> {
        let now = self.now;
        let found = self.virtual_server(name)?.ports.get_mut(&port);
        found.ok_or_else(|| unknown_port(name, port))?.life.leave(now);
        self.leave_binds(|binding| binding.virtual_server == name && binding.virtual_port == port);
        Ok(())
    }

    fn virtual_server(&mut self, name: &str) -> Result<&mut Virtual, Refusal> {
        let unknown = || Refusal::Unknown { what: "virtual server", name: name.to_owned() };
        self.running.virtuals.get_mut(name).ok_or_else(unknown)
    }
}
