//! `sluice status`

use serde::Serialize;

use super::seconds;
use crate::proto::v1;

/// The manager at a glance.
#[derive(Debug, Serialize)]
pub struct StatusView {
    /// The manager's version.
    pub version: String,
    /// Fencing number of its leadership.
    pub term: u64,
    pub uptime_seconds: f64,
    /// Until it removes what nobody vouches for; 0 when it has learned.
    pub learning_left_seconds: f64,
    pub services: u32,
    pub backends_active: u32,
    pub backends_total: u32,
    pub agents: u32,
    pub switches_connected: u32,
    pub switches_total: u32,
    /// What to look at; empty when all is well.
    pub alarms: Vec<String>,
}

impl From<v1::StatusReply> for StatusView {
    fn from(reply: v1::StatusReply) -> Self {
        Self {
            version: reply.version,
            term: reply.term,
            uptime_seconds: seconds(reply.uptime_nanos),
            learning_left_seconds: seconds(reply.learning_left_nanos),
            services: reply.services,
            backends_active: reply.backends_active,
            backends_total: reply.backends_total,
            agents: reply.agents,
            switches_connected: reply.switches_connected,
            switches_total: reply.switches_total,
            alarms: reply.alarms,
        }
    }
}
