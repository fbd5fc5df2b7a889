//! The states that the box shows of servers and ports.

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

impl State {
    /// Of a real server; `None` where there is none.
    pub fn standing_of_real(&self, name: &str) -> Option<Standing> {
        let real = self.running.reals.get(name)?;
        let bound = self.running.binds.values().any(|bind| bind.binding.real_server == name);
        let busy = self.connections_of_real(name) > 0;
        Some(match real.health {
            _ if real.life.leaving => Standing::AwaitDelete,
            _ if !real.life.enabled && busy => Standing::GraceDown,
            _ if !real.life.enabled => Standing::Disabled,
            Health::Up if bound => Standing::Active,
            Health::Up => Standing::Enabled,
            health => checked(health),
        })
    }

    /// Of a port of a real server; `None` where there is none.
    pub fn standing_of_port(&self, name: &str, port: u16) -> Option<Standing> {
        let found = self.running.reals.get(name)?.ports.get(&port)?;
        let binds = || {
            let binds = self.running.binds.values();
            binds.filter(|bind| bind.binding.real_server == name && bind.binding.real_port == port)
        };
        let busy = self.connections_of_port(name, port) > 0;
        Some(match found.health {
            _ if found.life.leaving => Standing::AwaitDelete,
            _ if binds().any(|bind| bind.life.leaving) => Standing::AwaitUnbind,
            _ if !found.life.enabled && busy => Standing::GraceDown,
            _ if !found.life.enabled => Standing::Disabled,
            _ if binds().next().is_none() => Standing::Unbound,
            health => checked(health),
        })
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
