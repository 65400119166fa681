//! What goes over the network beside the servers' own protocols.

pub mod frames;
pub mod pinned;
