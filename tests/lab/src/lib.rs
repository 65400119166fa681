//! temporary
pub mod deadline;
pub mod process;
pub mod roots;
pub mod host;
mod mounts;
mod layout;
mod record;
mod network;
mod corosync;
