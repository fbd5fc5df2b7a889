//! Per-CPU counters. A program runs to its end on one CPU, so plain additions
//! suffice.

use lb_common::abi::{BackendCounters, ClassCounters, Reason, ServiceCounters};

use crate::{
    maps::{BACKEND_COUNTERS, CLASS_COUNTERS, REASONS, SERVICE_COUNTERS},
    trace,
};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $map:ident, $type:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(index: u32, add: impl FnOnce(&mut $type)) {
            if !trace::is_asked()
                && let Some(counters) = $map.get_ptr_mut(index)
            {
                // SAFETY: the pointer is to this CPU's copy, which nothing
                // else writes while the program runs.
                add(unsafe { &mut *counters });
            }
        }
    };
}

counter!(
    /// By service id.
    service, SERVICE_COUNTERS, ServiceCounters
);
counter!(
    /// By binding id.
    backend, BACKEND_COUNTERS, BackendCounters
);
counter!(
    /// By class index.
    class, CLASS_COUNTERS, ClassCounters
);
counter!(slot, REASONS, u64);

/// Counts a packet's exit.
#[inline(always)]
pub fn reason(reason: Reason) {
    slot(reason as u32, |n| *n += 1);
}
