//! rustha: high availability for MySQL and MariaDB under Pacemaker.
//!
//! One binary. Pacemaker sees it as OCF agents, since it is installed under each agent's name; people see it as one
//! command. Imports only go down: `agents -> pacemaker, server -> ocf, gtid, exec, deadline`; `tests/architecture.rs`
//! holds this, that programs are started in `exec` only, that SQL text is in `server/dialect.rs` and below it only, and that the
//! rooms which decide and parse are pure.

pub mod agents;
pub mod cli;
pub mod deadline;
pub mod exec;
pub mod gtid;
pub mod guard;
pub mod logging;
pub mod ocf;
pub mod pacemaker;
pub mod server;
