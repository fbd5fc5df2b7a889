//! Settings that keep bindings from coming and going too fast.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// `[manager.flap_damping]`: a backend that is lost over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlapDamping {
    /// Losses within `window` after which it is held out. 0: never. Default 5.
    pub losses: u32,
    /// Default 1 min.
    #[serde(with = "duration")]
    pub window: Duration,
    /// How long it is held out the first time; twice as long after each further
    /// loss, until it has served for `window` without one. Default 10 s.
    #[serde(with = "duration")]
    pub hold: Duration,
    /// The longest that it is held out. Default 5 min.
    #[serde(with = "duration")]
    pub most: Duration,
}

impl Default for FlapDamping {
    fn default() -> Self {
        Self {
            losses: 5,
            window: Duration::from_secs(60),
            hold: Duration::from_secs(10),
            most: Duration::from_secs(300),
        }
    }
}

/// `[service.slow_start]`: a backend that has just come gets less at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlowStart {
    /// How long it takes to its full weight. Default 0 s: it has it at once.
    #[serde(with = "duration")]
    pub duration: Duration,
    /// The share of its weight that it begins with, in percent. Default 10.
    pub from_percent: u32,
    /// Changes of weight on the way, each of which every edge is told. Default 10.
    pub steps: u32,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { duration: Duration::ZERO, from_percent: 10, steps: 10 }
    }
}
