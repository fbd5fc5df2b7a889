//! Simulated clients: there is no data path, so they are counted, not carried.

use std::collections::BTreeMap;

use super::{Binding, Health, Predictor, State};

/// Names one simulated connection.
pub type ConnectionId = u64;

#[derive(Clone, Debug)]
pub(super) struct Connection {
    binding: Binding,
}

/// Whose turn it is, for each port of each virtual server.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// What a binding has saved up, which decides the next choice.
    credits: BTreeMap<Binding, i64>,
    /// How often it was chosen.
    chosen: BTreeMap<Binding, u64>,
}

impl State {
    /// Which binding a new client of this port gets, or `None` where none
    /// serves. Counts as a choice: the next one may differ.
    pub fn pick(&mut self, virtual_server: &str, port: u16) -> Option<Binding> {
        let able = self.able(virtual_server, port);
        let server = self.running.virtuals.get(virtual_server)?;
        let chosen = match server.predictor.unwrap_or(self.running.predictor) {
            Predictor::Weighted => self.turns.weighted(&able),
            Predictor::RoundRobin => {
                let equal: Vec<_> = able.into_iter().map(|(binding, _)| (binding, 1)).collect();
                self.turns.weighted(&equal)
            }
            Predictor::LeastConnections => {
                able.into_iter().map(|(binding, _)| binding).min_by_key(|binding| {
                    let open = self.connections_of_port(&binding.real_server, binding.real_port);
                    (open, self.turns.chosen.get(binding).copied())
                })
            }
        }?;
        *self.turns.chosen.entry(chosen.clone()).or_default() += 1;
        Some(chosen)
    }

    /// Opens connections to a virtual server: fewer where none can serve.
    pub fn open(&mut self, virtual_server: &str, port: u16, count: usize) -> Vec<ConnectionId> {
        (0..count)
            .map_while(|_| self.pick(virtual_server, port))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|binding| self.connect(binding))
            .collect()
    }

    /// Opens connections on one binding, whatever its turn and its state.
    pub fn open_on(&mut self, binding: &Binding, count: usize) -> Vec<ConnectionId> {
        (0..count).map(|_| self.connect(binding.clone())).collect()
    }

    /// Its client hangs up. Nothing happens to one that is not open.
    pub fn close(&mut self, connections: &[ConnectionId]) {
        for id in connections {
            if let Some(connection) = self.open.remove(id) {
                self.uncount(&connection.binding);
            }
        }
    }

    /// How many of these the box has broken.
    pub fn broken(&self, connections: &[ConnectionId]) -> usize {
        connections.iter().filter(|id| self.broken.contains(id)).count()
    }

    /// Open connections of one binding.
    pub fn connections(&self, binding: &Binding) -> u32 {
        self.counts.get(&binding.key()).copied().unwrap_or(0)
    }

    /// Open connections of a whole real server.
    pub fn connections_of_real(&self, real: &str) -> u32 {
        self.counts_from(real, 0).map(|(_, count)| count).sum()
    }

    /// `clear server session NAME`
    pub fn clear_sessions(&mut self, real: &str) {
        self.break_connections(|binding| binding.real_server == real);
    }

    pub(crate) fn connections_of_port(&self, real: &str, port: u16) -> u32 {
        let of_port = self.counts_from(real, port).take_while(|(key, _)| key.1 == port);
        of_port.map(|(_, count)| count).sum()
    }

    /// Counts of a real server's ports from this one on.
    fn counts_from(&self, real: &str, port: u16) -> impl Iterator<Item = (&super::BindKey, &u32)> {
        let begin = (real.to_owned(), port, String::new(), 0);
        self.counts.range(begin..).take_while(move |(key, _)| key.0 == real)
    }

    /// Of one port, or of all.
    pub(crate) fn connections_of_virtual(&self, server: &str, port: Option<u16>) -> u32 {
        let here = |key: &super::BindKey| key.2 == server && port.is_none_or(|port| key.3 == port);
        self.counts.iter().filter(|(key, _)| here(key)).map(|(_, count)| count).sum()
    }

    /// Every binding with open connections.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&super::BindKey, u32)> {
        self.counts.iter().map(|(key, count)| (key, *count))
    }

    pub(super) fn break_connections(&mut self, which: impl Fn(&Binding) -> bool) {
        let doomed = self.open.iter().filter(|(_, connection)| which(&connection.binding));
        let doomed: Vec<ConnectionId> = doomed.map(|(id, _)| *id).collect();
        self.close(&doomed);
        self.broken.extend(doomed);
    }

    fn connect(&mut self, binding: Binding) -> ConnectionId {
        self.last_connection += 1;
        *self.counts.entry(binding.key()).or_default() += 1;
        let current = self.connections_of_port(&binding.real_server, binding.real_port);
        let place = (binding.real_server.clone(), binding.real_port);
        let totals = self.totals.entry(place).or_default();
        totals.connections += 1;
        totals.peak = totals.peak.max(current);
        self.open.insert(self.last_connection, Connection { binding });
        self.last_connection
    }

    fn uncount(&mut self, binding: &Binding) {
        let key = binding.key();
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// Bindings of this port that may be chosen, with their weights.
    fn able(&self, virtual_server: &str, port: u16) -> Vec<(Binding, u32)> {
        let Some(server) = self.running.virtuals.get(virtual_server) else { return Vec::new() };
        let serves =
            server.life.serves() && server.ports.get(&port).is_some_and(|port| port.life.serves());
        if !serves {
            return Vec::new();
        }
        let binds = self.running.binds.values().filter(|bind| {
            bind.life.serves()
                && bind.binding.virtual_server == virtual_server
                && bind.binding.virtual_port == port
        });
        binds
            .filter_map(|bind| {
                let Binding { real_server, real_port, .. } = &bind.binding;
                let real = self.running.reals.get(real_server)?;
                let port = real.ports.get(real_port)?;
                let able = real.life.serves()
                    && port.life.serves()
                    && real.health == Health::Up
                    && port.health == Health::Up
                    && self.connections_of_real(real_server) < real.max_connections;
                able.then(|| (bind.binding.clone(), real.weight))
            })
            .collect()
    }
}

impl Turns {
    /// Smooth weighted round-robin: exact shares over each sum of weights.
    fn weighted(&mut self, able: &[(Binding, u32)]) -> Option<Binding> {
        let total: i64 = able.iter().map(|(_, weight)| i64::from(*weight)).sum();
        for (binding, weight) in able {
            *self.credits.entry(binding.clone()).or_default() += i64::from(*weight);
        }
        let heavy = able.iter().filter(|(_, weight)| *weight > 0);
        let (chosen, _) =
            heavy.max_by_key(|(binding, _)| self.credits.get(binding).copied().unwrap_or(0))?;
        *self.credits.entry(chosen.clone()).or_default() -= total;
        Some(chosen.clone())
    }
}
