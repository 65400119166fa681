//! The agent `mysql`: one MySQL or MariaDB server with GTID replication, as an instance of a promotable clone.
//!
//! The life of an instance: `start` brings the server up closed for writes, and attaches it to the primary if there is
//! one. Without a primary the instances tell each other what they have, and one offers itself (`decide/cold_start.rs`).
//! Pacemaker picks by score; before its pick is promoted, the others stop receiving and tell what they have
//! (pre-promote), `promote` fetches what is missing, applies everything, claims the promotion in the cluster's
//! configuration, leaves its mark and opens. The others follow (post-promote, or their next monitor). `demote` closes and
//! tells the final position, the others receive the rest (post-demote), and the old primary becomes a replica like any
//! other. `monitor` compares mark and server for the role, and tells score and state when they change.
//!
//! What can go wrong, and what holds it:
//!
//! - A relay log that is thrown away with what only it held: everything is applied before any change of source, and
//!   before anything in a promotion that may fail (`replicate.rs`); a receiver stops only while its applier runs. What a
//!   MariaDB replica had received and not applied when it was *restarted* counts for nothing, since MariaDB purges it.
//! - A server that lets go of what it acknowledged: it is started with `sync_binlog=1`, `innodb_flush_log_at_trx_commit=1`
//!   and `relay_log_recovery=0`, and validate-all verifies the first two (scenario `server-conventions`).
//! - A demote that fails because the daemon is dead aborts the recovery in which it stands: it succeeds, since a dead
//!   daemon acknowledges nothing (scenario `kill-daemon`).
//! - A change of agent, or a restart of the cluster's stack, that kills clients: a probe changes nothing, and a writable
//!   server that is the only one, and no other than the last primary, is adopted (scenario `adoption`).

pub mod checks;
mod closing;
mod config;
mod create;
pub mod decide;
mod demote;
mod guard;
mod lasting;
mod memo;
mod monitor;
mod node;
mod notify;
mod parameters;
mod promote;
pub mod provision;
mod publish;
mod replicate;
pub mod report;
mod review;
mod staging;
mod start;
mod stop;
mod unled;
mod validate;

use std::time::Duration;

use crate::ocf::agent::{Action, Advertised, Agent, time_of};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::ocf::params::Parameter;
use node::Node;
pub use publish::{REPLICA, TARGET, status_attribute};

/// The agent.
pub struct Mysql;

static ACTIONS: &[Advertised] = &[
    Advertised::new(Action::Start, 120),
    Advertised::new(Action::Stop, 120),
    Advertised::new(Action::Monitor, 30).depth(0).every(20),
    Advertised::monitor("Promoted", 30, 10),
    Advertised::monitor("Unpromoted", 30, 11),
    Advertised::new(Action::Promote, 120),
    Advertised::new(Action::Demote, 120),
    Advertised::new(Action::Notify, 90),
    Advertised::new(Action::ReloadAgent, 60),
    Advertised::new(Action::ValidateAll, 30).depth(0),
    Advertised::new(Action::ValidateAll, 30).depth(10),
    Advertised::new(Action::MetaData, 5),
];

impl Agent for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn short(&self) -> &'static str {
        "MySQL or MariaDB with GTID replication"
    }

    fn long(&self) -> &'static str {
        "Manages one MySQL (5.7 and later) or MariaDB (10.5 and later) server with GTID replication as an instance of a \
         promotable clone with notify=true: one instance is promoted and takes writes, the others are its replicas, \
         read-only from their first instruction. At a failover the promoted instance first fetches what any survivor has \
         received, and applies everything, before it takes writes. A node that was lost, or has no data, comes back by itself. \
         Parameters are those of ocf:heartbeat:mysql and \
         ocf:heartbeat:mariadb."
    }

    fn parameters(&self) -> &'static [Parameter] {
        parameters::PARAMETERS
    }

    fn actions(&self) -> &'static [Advertised] {
        ACTIONS
    }

    fn run(&self, action: Action, call: &Invocation) -> Outcome {
        let time = time_of(self, action, call);
        if action == Action::ValidateAll {
            return validate::validate(call, time);
        }
        let node = Node::gather(call, time)?;
        if let Some(trouble) = &node.trouble {
            match action {
                Action::Start | Action::Promote | Action::ReloadAgent => return Err(trouble.clone().into()),
                _ => log::error!("{trouble}"),
            }
        }
        match action {
            Action::Start => validate::refuse_unsuited_clone(call).and_then(|()| {
                validate::say_deprecated(call);
                start::start(&node)
            }),
            Action::Stop => stop::stop(&node),
            Action::Monitor => {
                let is_deep = call.check_level.is_some_and(|level| level >= 10);
                monitor::monitor(&node, monitor::Kind { is_probe: call.interval == Duration::ZERO, is_deep })
            }
            Action::Promote => promote::promote(&node),
            Action::Demote => demote::demote(&node),
            Action::Notify => notify::notify(&node, call),
            Action::ReloadAgent => validate::reload(&node),
            Action::MetaData | Action::ValidateAll => Ok(ExitCode::Success),
        }
    }

    fn guard(&self, call: &Invocation, order: Option<&str>) -> anyhow::Result<()> {
        guard::run(call, order)
    }
}
