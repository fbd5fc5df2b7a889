//! The writers: each turns a decision into bytes and an XDP action.

pub mod answer;
pub mod ethernet;
pub mod ip;
pub mod nat;
pub mod quote;
pub mod reset;
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
