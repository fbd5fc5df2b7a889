//! The interface of an external switch's dialect.

use std::fmt;

use async_trait::async_trait;

use super::{Failure, Plan};
use crate::model::BindingKey;

/// What a device has words for. What it lacks is emulated where there is an honest
/// way, and named where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The largest weight; None: every server gets the same share.
    pub weights: Option<u32>,
    /// A server can keep its connections and get no new ones. Else it gets
    /// weight 0, or is taken out.
    pub drain: bool,
    /// A server's connections can be broken.
    pub breaks: bool,
    /// A share of new connections can be refused; else by a drop server.
    pub admission: bool,
    /// Addresses of IPv6, and UDP.
    pub ipv6: bool,
    pub udp: bool,
    /// Connections of each server are counted.
    pub counters: bool,
}

impl fmt::Display for Capabilities {
    /// `weights 0-256, drain, break, counters`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.weights.map(|most| format!("weights 0-{most}"));
        let words = [
            (self.drain, "drain"),
            (self.breaks, "break"),
            (self.admission, "admission"),
            (self.ipv6, "ipv6"),
            (self.udp, "udp"),
            (self.counters, "counters"),
        ];
        let words = words.into_iter().filter(|(has, _)| *has).map(|(_, word)| word.to_owned());
        let all: Vec<_> = weights.into_iter().chain(words).collect();
        f.write_str(&all.join(", "))
    }
}

/// An external switch, in words of a [`Plan`]. Calls come one at a time.
///
/// A device touches only what it made itself, or a manager before it: things of its
/// own naming. Every answer is bounded in size and time, whatever the peer sends.
#[async_trait]
pub trait Device: Send {
    fn capabilities(&self) -> Capabilities;

    /// For people: kind, version and address.
    fn description(&self) -> String;

    /// Everything of ours that it holds, connecting first where need be. Services
    /// of which it holds nothing may be left out.
    ///
    /// # Errors
    /// [`Failure::Lost`].
    async fn read(&mut self) -> Result<Plan, Failure>;

    /// Makes it hold the plan, from whatever it holds: what is missing is added,
    /// what differs is changed, what is ours and not in the plan goes. New
    /// connections obey when this returns; what must wait (a server that cannot be
    /// deleted before its connections end) is gone on with at polls. All that can be
    /// done is done, also when a part is refused.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the device's own words of the first refusal.
    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure>;

    /// Looks whether it is still the same start of the device, goes on with what
    /// waits, and counts.
    ///
    /// # Errors
    /// [`Failure::Rebooted`] where it began anew.
    async fn poll(&mut self) -> Result<Vec<Count>, Failure>;
}

/// What a device counts of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub key: BindingKey,
    /// Connections that it has now.
    pub connections: u64,
    /// Connections that it has had.
    pub total: u64,
}
