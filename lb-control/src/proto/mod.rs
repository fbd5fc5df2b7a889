//! The gRPC contracts of `proto/sluice/v1`, and their conversion to the model.

/// Generated from `proto/sluice/v1/*.proto`.
#[expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("sluice.v1");
}
