//! The gRPC contracts of `proto/sluice/v1`, and their conversion to the model.
//!
//! Whatever comes from the wire is checked here, once: names, addresses,
//! numbers and enums. An error names the field as the proto file does.

mod agent;
mod common;
mod control;
mod describe;
mod edge;
mod wire;

pub use wire::WireError;

/// The largest message between a switch and the manager, in bytes: a full read
/// of all that a switch can hold.
pub const MAX_SWITCH_MESSAGE: usize = 32 << 20;

/// The largest declaration of an operator, in bytes.
pub const MAX_DECLARATION: usize = 4 << 20;

/// Generated from `proto/sluice/v1/*.proto`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("sluice.v1");
}

#[cfg(test)]
mod tests;
