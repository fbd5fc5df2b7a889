//! Next hops of backends, and routes to clients.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::abi::{Config, features};

use super::Plane;
use crate::{
    edge::hops::{Answer, RouteTables},
    model::BindingKey,
};

impl Plane {
    /// The way to a backend's address, where that is known, or known not to be.
    pub(in crate::edge) fn hop(&self, address: IpAddr) -> Option<&Answer> {
        self.hops.get(&address)
    }

    /// Whether some service's replies pass this edge.
    pub(in crate::edge) fn has_replies(&self) -> bool {
        self.live.config.get(0).features & features::NAT != 0
    }

    /// Why packets cannot be sent to a backend.
    pub(super) fn obstacle(&self, key: &BindingKey) -> Option<String> {
        match self.hops.get(&key.backend.ip()) {
            Some(Answer::Known(_)) => None,
            Some(Answer::None(why)) => Some(why.clone()),
            Some(Answer::Asked) | None => Some("its next hop is not known yet".to_owned()),
        }
    }

    /// Sets where packets to these addresses go, and where replies to clients
    /// do, as one commit.
    pub(in crate::edge) fn set_ways(
        &mut self,
        answers: &[(IpAddr, Answer)],
        tables: Option<&RouteTables>,
    ) {
        let mut changed = BTreeSet::new();
        // While there is no answer, the old one, if any, may still be right.
        for (address, answer) in answers.iter().filter(|(_, answer)| *answer != Answer::Asked) {
            if self.hops.insert(*address, answer.clone()).as_ref() != Some(answer) {
                changed.insert(*address);
            }
        }
        if !changed.is_empty() {
            let keys = self.state.bindings.keys();
            let touched = keys.filter(|key| changed.contains(&key.backend.ip()));
            for key in touched.cloned().collect::<Vec<_>>() {
                self.set_backend(&key);
            }
        }
        if let Some(tables) = tables {
            self.set_routes(tables);
        }
        self.live.commit();
    }

    fn set_routes(&mut self, tables: &RouteTables) {
        let RouteTables { routes, next_hops } = tables;
        for (index, route) in routes.iter().enumerate() {
            self.live.routes.set(index, *route);
        }
        for (index, hop) in next_hops.iter().enumerate() {
            self.live.next_hops.set(index, *hop);
        }
        let config = Config { routes: routes.len() as u32, ..*self.live.config.get(0) };
        self.live.config.set(0, config);
    }

    /// Forgets next hops of addresses but these, which are sorted.
    pub(in crate::edge) fn keep_hops(&mut self, addresses: &[IpAddr]) {
        self.hops.retain(|address, _| addresses.binary_search(address).is_ok());
    }
}
