//! The writers: each turns a decision into bytes and an XDP action.

#[cfg(feature = "steer")]
pub mod answer;
pub mod ethernet;
pub mod ip;
#[cfg(feature = "steer")]
pub mod nat;
#[cfg(feature = "steer")]
pub mod quote;
#[cfg(feature = "steer")]
pub mod reset;
#[cfg(feature = "steer")]
pub mod transmit;
#[cfg(feature = "steer")]
pub mod tunnel;

use lb_common::abi::Reason;

use crate::frame::Short;

impl From<Short> for Reason {
    /// Parsing has checked every offset that a writer touches.
    #[inline(always)]
    fn from(_: Short) -> Self {
        Self::RewriteFailed
    }
}
