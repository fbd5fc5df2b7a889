//! What the packet path and the control plane share: the layout of every map,
//! and the pure algorithms that both sides must agree on.
//!
//! `no_std`, so that the XDP program can use it. What only the control plane
//! needs (ring building, lookup placement) sits behind the feature `std`.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod abi;
pub mod checksum;
pub mod hash;
pub mod tunnel;

#[cfg(feature = "std")]
pub mod classes;
#[cfg(feature = "std")]
pub mod lookup;
#[cfg(feature = "std")]
pub mod ranges;
#[cfg(feature = "std")]
pub mod ring;
