//! The agent `semisync`: semi-synchronous replication on servers that another agent, or systemd, runs. A promotable
//! clone beside the database: promoted where the database is promoted.
//!
//! The life of an instance: `start` notes what the server is set to, and makes a replica acknowledge; `promote` makes the
//! primary wait for acknowledgements; `demote` and `stop` undo that, and `stop` sets everything back. `monitor` says
//! whether it is really on, on both sides, and lets the number of acknowledgements follow the number of replicas. What
//! somebody changed by hand it reports and leaves: switching semi-synchronous replication off is how an operator lets
//! writes go on that wait for replicas that are lost.
//!
//! Nothing here closes or opens a server, or chooses a primary: that no acknowledged write is lost is promised by the
//! agent `mysql`, which does this itself, with a record of who has everything. The two on one server refuse each other.
//! Its promotion comes after the database's, and until then a new primary acknowledges by itself.

mod decide;
mod demote;
mod memory;
mod monitor;
mod node;
mod parameters;
mod publish;
mod replica;
mod source;
mod start;
mod stop;

use std::time::Duration;

use crate::ocf::agent::{Action, Advertised, Agent, time_of};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::ocf::params::Parameter;
use crate::server::semisync;
use node::Node;

/// The agent.
pub struct SemiSync;

static ACTIONS: &[Advertised] = &[
    Advertised::new(Action::Start, 30),
    Advertised::new(Action::Stop, 30),
    Advertised::new(Action::Monitor, 20).depth(0).every(20),
    Advertised::monitor("Promoted", 20, 10),
    Advertised::monitor("Unpromoted", 20, 11),
    Advertised::new(Action::Promote, 30),
    Advertised::new(Action::Demote, 30),
    Advertised::new(Action::ReloadAgent, 30),
    Advertised::new(Action::ValidateAll, 20).depth(0),
    Advertised::new(Action::ValidateAll, 20).depth(10),
    Advertised::new(Action::MetaData, 5),
];

impl Agent for SemiSync {
    fn name(&self) -> &'static str {
        "semisync"
    }

    fn short(&self) -> &'static str {
        "Semi-synchronous replication beside a database that somebody else runs"
    }

    fn long(&self) -> &'static str {
        "Manages semi-synchronous replication on MySQL (5.7 and later) or MariaDB (10.5 and later) servers that another \
         agent runs (ocf:heartbeat:mysql, ocf:heartbeat:mariadb, Percona's), or systemd: a promotable clone, to be \
         colocated with the promoted database and promoted after it. Where it is promoted, commits wait for \
         acknowledgements (AFTER_SYNC), of as many replicas as it finds; elsewhere the replica acknowledges. Its monitor \
         tells whether that is really so; stop sets everything back. Not for servers of ocf:rustha:mysql, which does \
         this itself. MySQL's plugins come from the option file (plugin_load_add), or are installed where it is \
         promoted: a server that is closed for SUPER takes no INSTALL PLUGIN."
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
            return validate(call, time);
        }
        let node = Node::gather(call, time)?;
        if let Some(trouble) = &node.trouble {
            match action {
                Action::Stop | Action::Demote | Action::Monitor => log::error!("{trouble}"),
                _ => return Err(trouble.clone().into()),
            }
        }
        match action {
            Action::Start => refuse_unsuited_clone(call).and_then(|()| start::start(&node)),
            Action::Stop => stop::stop(&node),
            Action::Monitor => monitor::monitor(&node, monitor::Kind::of(call.interval == Duration::ZERO)),
            Action::Promote => source::promote(&node),
            Action::Demote => demote::demote(&node),
            Action::ReloadAgent => start::reload(&node),
            Action::ValidateAll | Action::Notify | Action::MetaData => Ok(ExitCode::Success),
        }
    }
}

/// Level 0 looks at the parameters only, level 10 also at this node's server. That it is no clone is no error: a tool that
/// is about to create the resource validates it before.
fn validate(call: &Invocation, time: Duration) -> Outcome {
    if let (_, Some(wrong)) = parameters::Config::read(call) {
        return Err(wrong.into());
    }
    if call.check_level.is_none_or(|level| level < 10) {
        return Ok(ExitCode::Success);
    }
    let node = Node::gather(call, time)?;
    if let Some(trouble) = node.trouble {
        return Err(trouble.into());
    }
    let node::Server { mut session, daemon } = node.server()?;
    node.refuse_rival(daemon)?;
    if semisync::read(&mut session)?.source.is_some() {
        source::rule(&node, &mut session)?;
    }
    Ok(ExitCode::Success)
}

/// Without roles nobody is promoted, and no commit ever waits.
fn refuse_unsuited_clone(call: &Invocation) -> anyhow::Result<()> {
    if call.cluster.as_ref().is_some_and(|meta| !meta.promotable) {
        let why = "the resource must be a promotable clone: set promotable=true";
        return Err(OcfError::new(ExitCode::Configured, why).into());
    }
    Ok(())
}
