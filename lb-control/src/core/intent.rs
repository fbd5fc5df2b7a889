//! What the operator asked for at run time: the manager's only durable state.
//! The configuration file is the base; this is laid over it.

use std::{collections::BTreeMap, time::Duration};

use super::ServicePlan;
use crate::model::{BindingKey, Name, Policy, ServerId, Weight};

/// Operator's commands that outlive the manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// Fencing number of the last leadership; the next one is higher.
    pub term: u64,
    /// Services in place of the file's, or beside them, without backends and
    /// policies; None: the file's is removed.
    pub services: BTreeMap<Name, Option<ServicePlan>>,
    /// Bindings added by command; the manager's probes vouch for them.
    pub adds: BTreeMap<BindingKey, Weight>,
    /// Server ids of those.
    pub server_ids: BTreeMap<BindingKey, ServerId>,
    /// Bindings removed by command, which must not come back by themselves.
    pub removals: BTreeMap<BindingKey, Removal>,
    /// Weights that override what an agent or the file says.
    pub weights: BTreeMap<BindingKey, Weight>,
    /// Policies that override the file's, by service and class.
    pub drops: BTreeMap<(Name, Name), Policy>,
}

/// A standing removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The start of the agent that it speaks of: a later start may bind anew.
    /// None while no agent has claimed the binding.
    pub boot: Option<u64>,
    /// Connections are broken at once.
    pub force: bool,
    /// How long connections may go on.
    pub deadline: Duration,
    /// It was declared, and stands also while nothing would bring the binding back.
    pub declared: bool,
}
