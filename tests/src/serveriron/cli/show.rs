//! What `show server …` prints.
//!
//! The facts name these commands, the states and the counters, but no layout:
//! it is ours, in the manner of the vendor's manuals.

use std::fmt::Write as _;

use crate::serveriron::{
    Real, State, Virtual,
    state::{Standings, port_name},
};

const LEGEND: &str = "Real Servers Info\n\n\
    State(St) - ACT:active, ENB:enabled, FAL:failed, TST:test, DIS:disabled,\n            \
    SUS:suspect, GDN:grace-dn, UNB:unbnd, AWU:await-unbind, AWD:await-delete\n\n";

const REAL_COLUMNS: &str = "Port    St  Ms CurConn TotConn    Rx-pkts    Tx-pkts    Rx-octet   \
    Tx-octet   Reas\n\
    ----    --  -- ------- -------    -------    -------    --------   --------   ----\n";

pub(super) fn reals(state: &State) -> String {
    let standings = state.standings();
    let reals = state.running.reals.iter();
    let each = reals.map(|(name, real)| one_real(state, &standings, name, real));
    LEGEND.to_owned() + &each.collect::<String>()
}

pub(super) fn real(state: &State, name: &str) -> String {
    let standings = state.standings();
    let real = state.running.reals.get(name);
    let found = real.map(|real| one_real(state, &standings, name, real));
    LEGEND.to_owned() + &found.unwrap_or_default()
}

pub(super) fn virtuals(state: &State) -> String {
    let each = state.running.virtuals.iter().map(|(name, server)| one_virtual(state, name, server));
    "Virtual Servers Info\n\n".to_owned() + &each.collect::<String>()
}

pub(super) fn virtual_server(state: &State, name: &str) -> String {
    let found = state.running.virtuals.get(name).map(|server| one_virtual(state, name, server));
    "Virtual Servers Info\n\n".to_owned() + &found.unwrap_or_default()
}

pub(super) fn binds(state: &State) -> String {
    let standings = state.standings();
    let mut text = "Bind info\n\n".to_owned();
    for (name, server) in &state.running.virtuals {
        for (port, found) in &server.ports {
            let life = if found.life.serves() { "enabled" } else { "disabled" };
            let _ = writeln!(
                text,
                "Virtual port: {}  State: {life}  Server: {name}({})",
                port_name(*port),
                server.address
            );
            for bind in state.running.binds.values() {
                let binding = &bind.binding;
                if binding.virtual_server != *name || binding.virtual_port != *port {
                    continue;
                }
                let real = state.running.reals.get(&binding.real_server);
                let address = real.map_or_else(String::new, |real| real.address.to_string());
                let standing = standings
                    .port(&binding.real_server, binding.real_port)
                    .map_or("", |standing| standing.name());
                let _ = writeln!(
                    text,
                    "        -> {}: {address},  {} ({standing})",
                    binding.real_server,
                    port_name(binding.real_port)
                );
            }
        }
    }
    text
}

pub(super) fn sessions(state: &State) -> String {
    let mut text = "Virtual server                   Port  Real server                      \
        Port  Sessions\n"
        .to_owned();
    for ((real, real_port, server, port), count) in state.sessions() {
        let (port, real_port) = (port_name(*port), port_name(*real_port));
        let _ = writeln!(text, "{server:<32} {port:<5} {real:<32} {real_port:<5} {count}");
    }
    text
}

fn one_real(state: &State, standings: &Standings<'_>, name: &str, real: &Real) -> String {
    let mut text = String::new();
    let standing = standings.real(name).map_or("", |standing| standing.name());
    let Real { address, weight, max_connections, .. } = real;
    let _ = writeln!(
        text,
        "Name: {name}\nIP: {address}   Range: 1   State: {standing}   Wt: {weight}   \
         Max-conn: {max_connections}\n"
    );
    text.push_str(REAL_COLUMNS);
    let mut total = 0;
    for port in real.ports.keys() {
        let standing = standings.port(name, *port).map_or("", |standing| standing.short());
        let current = state.connections_of_port(name, *port);
        let totals = state.totals(name, *port).connections;
        total += totals;
        text.push_str(&counters(&port_name(*port), standing, current, totals));
    }
    let current = state.connections_of_real(name);
    text.push_str(&counters("Server", "Tot", current, total));
    text.push('\n');
    text
}

/// No packet is carried, so none is counted.
fn counters(port: &str, standing: &str, current: u32, total: u32) -> String {
    format!(
        "{port:<7} {standing:<3} 0  {current:<7} {total:<10} 0          0          0          \
         0          0\n"
    )
}

fn one_virtual(state: &State, name: &str, server: &Virtual) -> String {
    let mut text = String::new();
    let life = if server.life.serves() { "Enabled" } else { "Disabled" };
    let predictor = server.predictor.unwrap_or(state.running.predictor).word();
    let _ = writeln!(
        text,
        "Name: {name}   State: {life}   IP: {}   Pred: {predictor}\n\n\
         Port    State     Sticky  Concur  CurConn\n\
         ----    -----     ------  ------  -------",
        server.address
    );
    let yes = |flag| if flag { "YES" } else { "NO" };
    for (port, found) in &server.ports {
        let life = if found.life.serves() { "enabled" } else { "disabled" };
        let current = state.connections_of_virtual(name, Some(*port));
        let _ = writeln!(
            text,
            "{:<7} {life:<9} {:<7} {:<7} {current}",
            port_name(*port),
            yes(found.sticky),
            yes(found.concurrent)
        );
    }
    text.push('\n');
    text
}
