//! DFP, the Dynamic Feedback Protocol: servers tell a balancer how much new work
//! they want (Cisco's draft-eck-dfp; no RFC came of it). Both roles are here: an
//! agent listens and tells weights, a manager connects and takes them.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `message` | messages and their bytes |
//! | `stream` | messages out of a TCP stream |
//! | `weights` | what an agent tells, cut into messages |
//! | `agent` | the agent's role |
//! | `manager` | the manager's role |
//! | `tcp`, `pace` | what both ask of TCP; how fast messages may come |

mod agent;
mod manager;
mod message;
mod pace;
mod stream;
mod tcp;
mod weights;

pub use agent::{Agent, GONE};
pub use manager::{Patience, connect, keep};
pub use message::{BindIdTable, Client, DfpError, Load, Message, Preference};
pub use stream::Messages;
pub use weights::Weights;

#[cfg(test)]
mod tests;
