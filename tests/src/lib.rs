//! The lab: network namespaces, real programs, and what a scenario needs of them.
