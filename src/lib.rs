//! rustha: high availability for MySQL and MariaDB under Pacemaker.
//!
//! One binary. Pacemaker sees it as OCF agents, since it is installed under each agent's name; people see it as one
//! command. Imports only go down: `commands, agents -> guard, pacemaker, server, net -> ocf, gtid, exec, deadline`; `tests/architecture.rs`
//! holds this, that programs are started in `exec` only, that SQL text is in `server/dialect.rs` and below it only, and that the
//! rooms which decide and parse are pure.
//!
//! ```text
//! main       how it was called, and the exit code. cli: the command line; logging: syslog, or standard error
//! commands   the operator's verbs, one file each
//! agents     one folder an agent; in it one file an action, and `decide`, what is decided (pure)
//! guard      the small process that lives as long as a resource is started, and whose turn it is on a node
//! pacemaker  the only room that runs Pacemaker's tools: attributes, scores, the record in the CIB; stack: does it live
//! server     everything said to the database: dialect (all SQL text), rows, client, process, options, layout
//! ocf        the protocol: parameters, meta-data, exit codes, notifications, the environment
//! gtid       sets of transactions, of both vendors (pure)
//! net        what goes between nodes beside the servers' own protocols: a connection that only two of them can use
//! exec, deadline, state_file   programs, each with a deadline; what is kept between actions
//! ```

pub mod agents;
pub mod cli;
pub mod commands;
pub mod deadline;
pub mod exec;
pub mod gtid;
pub mod guard;
pub mod logging;
pub mod net;
pub mod ocf;
pub mod pacemaker;
pub mod server;
pub mod state_file;
