//! Anything that steers connections, as the manager sees it.
//!
//! A switch is an [`Adapter`]: it is read as a whole, takes deltas one at a time,
//! and is asked every while what it counts. [`session`] carries that to the core
//! and back, for the XDP edge as for a box of 2002.
//!
//! External L4 switches have fewer words than the edge. Their dialects implement
//! [`Device`], in terms of a [`Plan`]; [`Planned`] makes an adapter of a device, and
//! does what is alike for all of them: weights within the device's range, drop
//! servers for those that cannot refuse, and the way back from what a device
//! holds to what the core knows.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `adapter` | the interface of every switch |
//! | `session` | from an adapter to the core and back |
//! | `device` | the interface of an external switch's dialect |
//! | `plan` | what an external switch should hold, in words that all dialects have |
//! | `weights` | shares within a device's range, drop servers included |
//! | `lift` | from what a device holds to a switch state |
//! | `planned` | an adapter out of a device |
//! | `dialects` | the table of dialects, and one file for each |

mod adapter;
mod device;
pub mod dialects;
mod lift;
mod plan;
mod planned;
mod session;
mod weights;

pub use adapter::{Adapter, Failure, Held, Live, Report};
pub use device::{Capabilities, Count, Device};
pub use plan::{Plan, PlannedServer, PlannedService, Shape};
pub use planned::Planned;
pub use session::session;

#[cfg(test)]
mod tests;
