//! rustha.
pub mod gtid;
