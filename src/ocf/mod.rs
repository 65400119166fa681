//! The OCF resource agent protocol. Knows no MySQL and starts nothing.

pub mod agent;
pub mod env;
pub mod exit;
pub mod metadata;
pub mod notify;
pub mod params;
