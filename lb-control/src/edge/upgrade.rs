//! Taking over from an edge of an older version, whose maps this one cannot
//! read: its program steers on, as it did last, until the manager has filled
//! ours; then one link update puts ours in its place, between two packets.
//!
//! A service at rest goes on untouched, since its ring is a function of its
//! backends alone: until then no change leaves anything behind in our rings
//! (nobody's connections are steered by them). What the older version remembered
//! is lost: a connection on a slot that had moved goes to its current owner.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{object::Loaded, pins::Pins, plane::Plane};
use crate::{
    config::EdgeSettings,
    model::{BindingKey, Name},
    xdp::attach,
};

/// No backend came for so long: agents that lost their manager have come back,
/// and were verified.
const QUIET: Duration = Duration::from_secs(5);
/// How long a service may be without a backend before it counts as one that
/// has none.
const PATIENCE: Duration = Duration::from_secs(60);

/// What our tables hold that packets would find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// Backends that take new connections and can be reached.
    pub takers: BTreeSet<BindingKey>,
    /// Services that have none.
    pub without: Vec<Name>,
}

/// When our tables are filled.
#[derive(Debug, Default)]
struct Watch {
    takers: BTreeSet<BindingKey>,
    /// Since there is a service, and since the last backend came.
    since: Option<(Instant, Instant)>,
}

impl Watch {
    /// Looks at the tables again. Returns whether it is time.
    fn look(&mut self, filled: &Filled, now: Instant) -> bool {
        if filled.takers.is_empty() && filled.without.is_empty() {
            return false;
        }
        let (begun, quiet) = self.since.get_or_insert((now, now));
        if !filled.takers.is_subset(&self.takers) {
            *quiet = now;
        }
        self.takers.clone_from(&filled.takers);
        let complete = filled.without.is_empty() && now - *quiet >= QUIET;
        complete || (now - *begun >= PATIENCE && !filled.takers.is_empty())
    }
}

/// An upgrade that is under way.
pub(super) struct Upgrade {
    loaded: Loaded,
    /// Interfaces with the older program on them, and where its link is pinned.
    waiting: Vec<(String, PathBuf)>,
    watch: Watch,
}

impl Upgrade {
    pub(super) fn new(loaded: Loaded, waiting: Vec<(String, PathBuf)>) -> Self {
        for (name, path) in &waiting {
            warn!(
                "{name} still runs the program of an older version ({}): this one takes over when \
                 the manager has filled its tables",
                path.display()
            );
        }
        Self { loaded, waiting, watch: Watch::default() }
    }

    /// The program that has taken over.
    pub(super) fn finish(self) -> Loaded {
        self.loaded
    }

    /// Takes over once our tables are filled. Returns whether it is done.
    ///
    /// # Errors
    /// Says what could not be done; it can be tried again.
    pub(super) fn go_on(
        &mut self,
        plane: &mut Plane,
        settings: &EdgeSettings,
        pins: &Pins,
    ) -> anyhow::Result<bool> {
        let filled = plane.filled();
        if !self.watch.look(&filled, Instant::now()) {
            return Ok(false);
        }
        plane.set_tracking(settings.tracking);
        if !filled.without.is_empty() {
            let names: Vec<_> = filled.without.iter().map(Name::as_str).collect();
            warn!("taking over although these services have no backend: {}", names.join(", "));
        }
        while let Some((name, path)) = self.waiting.last() {
            let program = self.loaded.program()?;
            attach::take_over(program, path, |index| pins.link(index), name, settings.xdp)?;
            info!("took over {name} from an older version");
            self.waiting.pop();
        }
        pins.settle(self.loaded.program()?, settings)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(takers: &[&str], without: &[&str]) -> Filled {
        let key = |backend: &&str| BindingKey {
            service: "www".parse().unwrap(),
            backend: backend.parse().unwrap(),
        };
        Filled {
            takers: takers.iter().map(key).collect(),
            without: without.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn it_waits_until_no_backend_comes_any_more() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert!(!watch.look(&filled(&[], &[]), at(0)));
        assert!(!watch.look(&filled(&[], &["www"]), at(100)));
        assert!(!watch.look(&filled(&["192.0.2.1:80"], &[]), at(103)));
        assert!(!watch.look(&filled(&["192.0.2.1:80", "192.0.2.2:80"], &[]), at(107)));
        // One that goes is no news.
        assert!(!watch.look(&filled(&["192.0.2.2:80"], &[]), at(111)));
        assert!(watch.look(&filled(&["192.0.2.2:80"], &[]), at(112)));
    }

    #[test]
    fn a_service_without_backends_does_not_hold_it_up_for_ever() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert!(!watch.look(&filled(&["192.0.2.1:80"], &["web"]), at(0)));
        assert!(!watch.look(&filled(&["192.0.2.1:80"], &["web"]), at(59)));
        assert!(watch.look(&filled(&["192.0.2.1:80"], &["web"]), at(60)));
        // Nobody at all would be served.
        assert!(!watch.look(&filled(&[], &["www", "web"]), at(99)));
    }
}
