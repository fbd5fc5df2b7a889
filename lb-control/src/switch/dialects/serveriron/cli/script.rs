//! Steps in the words of the command line.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    super::{
        config::{Bind, Config, real_name},
        steps::Step,
    },
    prompt::Mode,
    running::port_word,
};

/// Where in the configuration a command is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Top,
    Real(Ipv4Addr),
    Virtual(Ipv4Addr, String),
}

/// A command, where it is given, and the step that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub place: Place,
    /// None: the step is to enter the place.
    pub command: Option<String>,
    pub step: Step,
}

impl Place {
    /// The command that leads there, from the top. It makes the server if need be.
    pub fn enter(&self) -> Option<String> {
        match self {
            Self::Top => None,
            Self::Real(address) => Some(format!("server real {} {address}", real_name(*address))),
            Self::Virtual(address, name) => Some(format!("server virtual {name} {address}")),
        }
    }

    pub fn mode(&self) -> Mode {
        match self {
            Self::Top => Mode::Config,
            Self::Real(address) => Mode::Real(real_name(*address)),
            Self::Virtual(_, name) => Mode::Virtual(name.clone()),
        }
    }
}

/// A step as a line of configuration. `config` names the virtual servers that are there
/// before, and those that earlier steps make.
pub(super) fn lines(steps: &[Step], config: &Config) -> Vec<Line> {
    // What steps make is known by name to the ones after them.
    let mut known = config.clone();
    let mut lines = Vec::new();
    for step in steps {
        lines.extend(line(step, &known));
        known.take(step);
    }
    lines
}

fn line(step: &Step, config: &Config) -> Vec<Line> {
    let virtual_server = |service: &SocketAddrV4| {
        let name = config.virtual_name(*service.ip())?;
        Some(Place::Virtual(*service.ip(), name.to_owned()))
    };
    let (place, command) = match step {
        Step::AddReal(address) => (Some(Place::Real(*address)), None),
        Step::Weigh(address, weight) => {
            (Some(Place::Real(*address)), Some(format!("weight {weight}")))
        }
        Step::Port(server, enabled) => {
            let disable = if *enabled { "" } else { " disable" };
            let command = format!("port {}{disable}", port_word(server.port()));
            (Some(Place::Real(*server.ip())), Some(command))
        }
        Step::AddVirtual(address, name) => {
            let place = Place::Virtual(*address, name.clone());
            (Some(place), Some("predictor weighted".to_owned()))
        }
        Step::AddVirtualPort(service) => {
            (virtual_server(service), Some(format!("port {}", port_word(service.port()))))
        }
        Step::Bind(binds) => {
            let place = binds.first().and_then(|bind| virtual_server(&bind.service));
            (place, Some(bind_command(binds)))
        }
        Step::Unbind(bind) => {
            let command = format!("no {}", bind_command(std::slice::from_ref(bind)));
            (virtual_server(&bind.service), Some(command))
        }
        Step::Break(_) => (None, None),
        Step::RemovePort(server) => {
            let command = format!("no port {}", port_word(server.port()));
            (Some(Place::Real(*server.ip())), Some(command))
        }
        Step::RemoveReal(address) => {
            (Some(Place::Top), Some(format!("no server real {}", real_name(*address))))
        }
        Step::RemoveVirtualPort(service) => {
            (virtual_server(service), Some(format!("no port {}", port_word(service.port()))))
        }
        Step::RemoveVirtual(address) => {
            let name = config.virtual_name(*address);
            let place = name.map(|_| Place::Top);
            (place, name.map(|name| format!("no server virtual {name}")))
        }
    };
    place.map(|place| Line { place, command, step: step.clone() }).into_iter().collect()
}

/// `bind http REAL1 http REAL2 http`
fn bind_command(binds: &[Bind]) -> String {
    let port = binds.first().map(|bind| port_word(bind.service.port())).unwrap_or_default();
    let pair = |bind: &Bind| {
        format!(" {} {}", real_name(*bind.server.ip()), port_word(bind.server.port()))
    };
    format!("bind {port}{}", binds.iter().map(pair).collect::<String>())
}

/// The pairs of a `bind` line one by one; nothing of any other line.
pub(super) fn singly(line: &Line) -> Vec<(Step, String)> {
    let Step::Bind(binds) = &line.step else { return Vec::new() };
    let one = |bind: &Bind| (Step::Bind(vec![*bind]), bind_command(std::slice::from_ref(bind)));
    binds.iter().map(one).collect()
}

/// Breaks all connections of a real server; understood outside of the configuration.
pub(super) fn break_command(address: Ipv4Addr) -> String {
    format!("clear server session {}", real_name(address))
}

/// The other way to enable a port.
pub(super) fn enable(server: SocketAddrV4) -> Line {
    Line {
        place: Place::Real(*server.ip()),
        command: Some(format!("no port {} disable", port_word(server.port()))),
        step: Step::Port(server, true),
    }
}
