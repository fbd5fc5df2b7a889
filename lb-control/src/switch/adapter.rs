//! The interface of every switch.

use std::{future::pending, time::Duration};

use async_trait::async_trait;

use crate::model::{Counters, Delta, FromSwitch, ProbeOrders, Stamp, SwitchState};

/// What steers connections, and takes its configuration from one manager at a time.
///
/// One call is under way at a time, so that an adapter needs no lock of its own, and
/// what a device cannot do concurrently is in order by itself. A call that is given
/// up in the middle (its future is dropped) ends the session: the next begins with
/// [`read`](Self::read).
#[async_trait]
pub trait Adapter: Send {
    /// Everything that the switch holds. Connects first where there is no connection.
    ///
    /// # Errors
    /// [`Failure::Lost`].
    async fn read(&mut self) -> Result<Held, Failure>;

    /// Makes a delta live. Where the switch knows no transactions, what can be done
    /// of it is done even if a part is refused, and the same changes may come again.
    ///
    /// # Errors
    /// See [`Failure`].
    async fn apply(&mut self, delta: &Delta) -> Result<Live, Failure>;

    /// What it counts, and whether it is still what was read. Called every
    /// [`pause`](Self::pause) when nothing else is to be done.
    ///
    /// # Errors
    /// See [`Failure`].
    async fn poll(&mut self) -> Result<Report, Failure>;

    /// Between two polls.
    fn pause(&self) -> Duration;

    /// Begins and ends probes by the way that clients' packets take. Only asked of a
    /// switch whose [`Held::probes`] is set.
    fn probe(&mut self, orders: ProbeOrders) {
        drop(orders);
    }

    /// What the switch says unasked, once there is something. It is given up and
    /// called again at any moment, and nothing is lost.
    async fn hear(&mut self) -> FromSwitch {
        pending().await
    }
}

/// A full read.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub state: SwitchState,
    /// Of the last delta that is live; zero on an empty switch.
    pub stamp: Stamp,
    pub generation: u64,
    /// For people: what it is and can do.
    pub description: String,
    /// It can probe backends by the way that clients' packets take.
    pub probes: bool,
}

/// A delta is live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    pub generation: u64,
    /// What the switch should do and has no way to, for people.
    pub lacks: Vec<String>,
}

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub counters: Option<Counters>,
    /// It holds something else than it should, by another hand: it is to be
    /// read again.
    pub drifted: bool,
}

/// Why a switch did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no telling what it holds: out of reach, too slow, or what it says
    /// makes no sense. It is read anew.
    #[error("{0}")]
    Lost(String),
    /// It began anew, and has forgotten what it held. It is read anew.
    #[error("it has begun anew: {0}")]
    Rebooted(String),
    /// It understood and said no, in its own words. The session goes on.
    #[error("{0}")]
    Refused(String),
}
