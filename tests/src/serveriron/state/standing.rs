//! The states that the box shows of servers and ports.

use std::collections::BTreeMap;

use super::{Health, State};

/// As `show server real` and SNMP have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Disabled,
    Enabled,
    Failed,
    Testing,
    Suspect,
    GraceDown,
    Active,
    Unbound,
    AwaitUnbind,
    AwaitDelete,
}

impl Standing {
    /// As in the tables.
    pub fn name(self) -> &'static str {
        match self {
            // The facts have no word for it on the command line.
            Self::Disabled => "Disabled",
            Self::Enabled => "Enabled",
            Self::Failed => "Failed",
            Self::Testing => "Testing",
            Self::Suspect => "Suspect",
            Self::GraceDown => "Grace-dn",
            Self::Active => "Active",
            Self::Unbound => "Unbnd",
            Self::AwaitUnbind => "AwaitUnbind",
            Self::AwaitDelete => "AwaitDelete",
        }
    }

    /// Three letters.
    pub fn short(self) -> &'static str {
        match self {
            Self::Disabled => "DIS",
            Self::Enabled => "ENB",
            Self::Failed => "FAL",
            Self::Testing => "TST",
            Self::Suspect => "SUS",
            Self::GraceDown => "GDN",
            Self::Active => "ACT",
            Self::Unbound => "UNB",
            Self::AwaitUnbind => "AWU",
            Self::AwaitDelete => "AWD",
        }
    }

    /// snL4RealServerPortStatusState. A server knows the first seven only:
    /// see [`Self::server_number`].
    pub fn number(self) -> i32 {
        match self {
            Self::Disabled => 0,
            Self::Enabled => 1,
            Self::Failed => 2,
            Self::Testing => 3,
            Self::Suspect => 4,
            Self::GraceDown => 5,
            Self::Active => 6,
            Self::Unbound => 7,
            Self::AwaitUnbind => 8,
            Self::AwaitDelete => 9,
        }
    }

    /// snL4RealServerStatusState, which calls every way out a shutdown.
    pub fn server_number(self) -> i32 {
        match self {
            Self::AwaitUnbind | Self::AwaitDelete => Self::GraceDown.number(),
            Self::Unbound => Self::Enabled.number(),
            known => known.number(),
        }
    }
}

/// Finds states quickly, for who asks for many.
#[derive(Debug)]
pub(crate) struct Standings<'a> {
    state: &'a State,
    /// Whether a bind waits for its end, for each port that has binds.
    unbinding: BTreeMap<(&'a str, u16), bool>,
}

impl Standings<'_> {
    /// Of a real server; `None` where there is none.
    pub(crate) fn real(&self, name: &str) -> Option<Standing> {
        let real = self.state.running.reals.get(name)?;
        let busy = self.state.connections_of_real(name) > 0;
        Some(match real.health {
            _ if real.life.leaving => Standing::AwaitDelete,
            _ if !real.life.enabled && busy => Standing::GraceDown,
            _ if !real.life.enabled => Standing::Disabled,
            Health::Up if self.any_unbinding(name).is_some() => Standing::Active,
            Health::Up => Standing::Enabled,
            health => checked(health),
        })
    }

    /// Of a port of a real server; `None` where there is none.
    pub(crate) fn port(&self, name: &str, port: u16) -> Option<Standing> {
        let found = self.state.running.reals.get(name)?.ports.get(&port)?;
        let busy = self.state.connections_of_port(name, port) > 0;
        let unbinding = self.unbinding.get(&(name, port)).copied();
        Some(match found.health {
            _ if found.life.leaving => Standing::AwaitDelete,
            _ if unbinding == Some(true) => Standing::AwaitUnbind,
            _ if !found.life.enabled && busy => Standing::GraceDown,
            _ if !found.life.enabled => Standing::Disabled,
            _ if unbinding.is_none() => Standing::Unbound,
            health => checked(health),
        })
    }

    /// Whether a bind of a real server, or of one of its ports, waits.
    pub(crate) fn unbinding(&self, name: &str, port: Option<u16>) -> bool {
        match port {
            Some(port) => self.unbinding.get(&(name, port)).copied().unwrap_or(false),
            None => self.any_unbinding(name).unwrap_or(false),
        }
    }

    /// Whether a bind of any port waits; `None` where nothing is bound.
    fn any_unbinding(&self, name: &str) -> Option<bool> {
        let range = self.unbinding.range((name, 0)..=(name, u16::MAX));
        range.map(|(_, leaving)| *leaving).reduce(|one, other| one | other)
    }
}

impl State {
    pub(crate) fn standings(&self) -> Standings<'_> {
        let mut unbinding = BTreeMap::new();
        for bind in self.running.binds.values() {
            let end = (bind.binding.real_server.as_str(), bind.binding.real_port);
            *unbinding.entry(end).or_default() |= bind.life.leaving;
        }
        Standings { state: self, unbinding }
    }

    /// Of a real server; `None` where there is none.
    pub fn standing_of_real(&self, name: &str) -> Option<Standing> {
        self.standings().real(name)
    }

    /// Of a port of a real server; `None` where there is none.
    pub fn standing_of_port(&self, name: &str, port: u16) -> Option<Standing> {
        self.standings().port(name, port)
    }

    /// Connections of a port since boot, and the most at once.
    pub fn totals(&self, name: &str, port: u16) -> super::Totals {
        self.totals.get(&(name.to_owned(), port)).copied().unwrap_or_default()
    }
}

fn checked(health: Health) -> Standing {
    match health {
        Health::Up => Standing::Active,
        Health::Failed => Standing::Failed,
        Health::Testing => Standing::Testing,
        Health::Suspect => Standing::Suspect,
    }
}
