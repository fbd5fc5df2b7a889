//! The suite.

pub mod admission;
pub mod bindings;
pub mod forgetting;
pub mod trouble;
