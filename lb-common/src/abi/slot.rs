//! One slot of a service's ring.

use super::MAX_BACKENDS;

/// Whose flows fall on a slot: one word that packets read whole.
///
/// | bits | |
/// | --- | --- |
/// | 0 to 14 | current: binding id of the taker of new connections |
/// | 16 to 30 | settled: binding id of the owner of those that nobody remembers |
/// | 31 | touched: the two have differed since the service was last at rest |
///
/// Id 0 is nobody. At rest the touched bit means nothing. While the service is
/// moving, no flow is remembered on a slot that is not touched.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingSlot(pub(super) u32);

const ID: u32 = MAX_BACKENDS - 1;
const TOUCHED: u32 = 1 << 31;

impl RingSlot {
    /// A slot that is touched if its owners differ. Ids are below
    /// [`MAX_BACKENDS`].
    #[inline(always)]
    pub const fn new(settled: u16, current: u16) -> Self {
        let (settled, current) = (settled as u32 & ID, current as u32 & ID);
        let touched = if settled == current { 0 } else { TOUCHED };
        Self(touched | settled << 16 | current)
    }

    /// The same slot, touched if it was or if `touched`.
    #[must_use]
    #[inline(always)]
    pub const fn touched_if(self, touched: bool) -> Self {
        Self(self.0 | if touched { TOUCHED } else { 0 })
    }

    #[inline(always)]
    pub const fn current(self) -> u16 {
        (self.0 & ID) as u16
    }

    #[inline(always)]
    pub const fn settled(self) -> u16 {
        (self.0 >> 16 & ID) as u16
    }

    #[inline(always)]
    pub const fn is_touched(self) -> bool {
        self.0 & TOUCHED != 0
    }

    /// Whether new connections go elsewhere than those that nobody remembers.
    #[inline(always)]
    pub const fn differs(self) -> bool {
        self.current() != self.settled()
    }
}
