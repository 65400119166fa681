//! What goes over the network beside the servers' own protocols, and this node's addresses on it.

pub mod addresses;
pub mod announce;
pub mod arp;
pub mod connections;
pub mod frames;
pub mod interfaces;
pub mod mac;
pub mod neighbours;
mod netlink;
pub mod pinned;
pub mod probe;
pub mod routes;
mod sockets;
