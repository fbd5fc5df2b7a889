//! How much of each service stands.
//!
//! Counted as bindings change, since it is asked with each loss: looking through
//! a service each time would hold the core up for seconds when thousands are lost.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Core,
    bindings::{Record, State},
};
use crate::model::{BindingKey, Name, Phase};

/// Of every service that has bindings.
#[derive(Clone, Debug, Default)]
pub(super) struct Standings {
    services: BTreeMap<Name, Standing>,
    /// Those in which something changed lately.
    changed: BTreeSet<Name>,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    active: usize,
    /// Those that stand if somebody vouches for them.
    unsure: BTreeSet<BindingKey>,
}

fn is_unsure(state: &State) -> bool {
    match state {
        State::Pending => true,
        State::Unknown(found) => found.phase == Phase::Serve,
        _ => false,
    }
}

impl Standings {
    /// A binding leaves one state for another; None where it is not known.
    pub(super) fn note(&mut self, key: &BindingKey, before: Option<&State>, after: Option<&State>) {
        let standing = self.services.entry(key.service.clone()).or_default();
        let actives = |state: Option<&State>| usize::from(state == Some(&State::Active));
        standing.active = standing.active + actives(after) - actives(before);
        if after.is_some_and(is_unsure) {
            standing.unsure.insert(key.clone());
        } else {
            standing.unsure.remove(key);
        }
        if standing.active == 0 && standing.unsure.is_empty() {
            self.services.remove(&key.service);
        }
        if !self.changed.contains(&key.service) {
            self.changed.insert(key.service.clone());
        }
    }

    /// Bindings of a service that serve.
    pub(super) fn active(&self, service: &Name) -> usize {
        self.services.get(service).map_or(0, |standing| standing.active)
    }

    pub(super) fn take_changed(&mut self) -> BTreeSet<Name> {
        std::mem::take(&mut self.changed)
    }
}

impl Core {
    /// How many bindings of a service stand: they serve and nobody says
    /// otherwise, or are being verified. `kept`: those that are lost.
    pub(super) fn standing(&self, service: &Name, kept: impl Fn(&BindingKey) -> bool) -> usize {
        let Some(standing) = self.standings.services.get(service) else { return 0 };
        let stands = |key: &&BindingKey| {
            let learns = || self.learning() && !self.is_pending(key);
            !kept(key) && (learns() || self.vouched(key))
        };
        standing.active + standing.unsure.iter().filter(stands).count()
    }

    fn is_pending(&self, key: &BindingKey) -> bool {
        let pending = |record: &Record| record.state == State::Pending;
        self.bindings.get(key).is_some_and(pending)
    }
}

#[cfg(test)]
impl Core {
    /// Panics where what is counted is not what there is.
    pub(in crate::core) fn check_standings(&self) {
        let mut true_ones = Standings::default();
        for (key, record) in &self.bindings {
            true_ones.note(key, None, Some(&record.state));
        }
        let counted = |standings: &Standings| -> Vec<_> {
            let of = |(name, standing): (&Name, &Standing)| {
                (name.clone(), standing.active, standing.unsure.clone())
            };
            standings.services.iter().map(of).collect()
        };
        assert_eq!(counted(&self.standings), counted(&true_ones));
    }
}
