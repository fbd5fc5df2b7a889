//! Beside an application server: binds it, checks it, heartbeats for it.
