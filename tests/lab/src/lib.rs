//! Real Pacemaker clusters with MySQL or MariaDB on one machine, made of namespaces and overlays, with no
//! container engine: for rehearsals by hand (`cargo lab`) and for rustha's scenario tests.
//!
//! ```text
//! commands  the verbs of cargo lab
//! lab       a lab as a whole; fault: what can break; fencing: nodes that switch each other off
//! node      one machine: its first process, its power, the cluster stack on it
//! roots     what nodes are made from
//! ledger    a client that writes and keeps account, and watchers that see who is writable
//! bench     this product beside others: what clients see, and what agents cost
//! scenario  what tests/cluster is written with: a lab as a bed, its questions and waits; readme: its commands
//! network, layer, corosync, record, layout   the lab's parts
//! process, processes, mounts, host, deadline what they stand on
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bench;
pub mod commands;
pub mod deadline;
pub mod fencing;
pub mod host;
pub mod ledger;
pub mod process;
pub mod scenario;

mod corosync;
mod fault;
mod interrupt;
mod lab;
mod layer;
mod layout;
mod leftovers;
mod mounts;
mod network;
mod node;
mod pacemaker;
mod processes;
mod readme;
mod record;
mod roots;
mod workspace;

pub use fault::Fault;
pub use lab::{Lab, UpOptions};
pub use node::{Daemon, Node, StuckDisk, Systemd, boot, init};
pub use process::Output;
pub use roots::{Root, Vendor};
