//! monitor: the truth about both halves. It sets nothing again that somebody changed by hand; it lets the number of
//! acknowledgements follow the number of replicas, and starts a receiver again that connected too early.

use anyhow::Result;

use super::decide::{Health, Verdict, is_other_count};
use super::node::{Node, Server};
use super::publish::{answer, publish};
use super::{replica, source};
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::client::Session;
use crate::server::process::Daemon;
use crate::server::semisync;

/// Which monitor this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It tells what is there, and changes nothing.
    Probe,
    /// It makes good what may be.
    Recurring,
}

impl Kind {
    /// A probe, or not.
    pub fn of(is_probe: bool) -> Self {
        if is_probe { Self::Probe } else { Self::Recurring }
    }
}

/// Runs the action.
pub fn monitor(node: &Node, kind: Kind) -> Outcome {
    let Some(daemon) = node.mark().daemon() else {
        // What it had set is gone with the server on which it was set.
        return Ok(ExitCode::NotRunning);
    };
    let is_promoted = node.promotion().is_of(daemon);
    let seen = node.server().and_then(|server| look(node, server, daemon, kind));
    let (health, is_primary) = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => return Ok(ExitCode::NotRunning),
        // To start this instance again would mend nothing on a server that cannot be asked.
        Err(error) => (Health::Degraded(format!("it is not known whether it is on: {error:#}")), is_promoted),
    };
    publish(node, &health, is_primary);
    match kind {
        // That is all that a probe is asked for; the first monitor says how it is.
        Kind::Probe if is_promoted => Ok(ExitCode::RunningPromoted),
        Kind::Probe => Ok(ExitCode::Success),
        Kind::Recurring => answer(health, is_promoted),
    }
}

/// What the instance is, and whether the server is a primary; `None`: it was started on another server than this one.
fn look(node: &Node, mut server: Server, started_on: Daemon, kind: Kind) -> Result<Option<(Health, bool)>> {
    if server.daemon != started_on {
        return Ok(None);
    }
    let is_promoted = node.promotion().is_of(started_on);
    let health = match node.refuse_rival(started_on) {
        Err(why) => Health::Degraded(why.reason),
        Ok(()) if is_promoted => look_at_source(node, &mut server.session, kind)?,
        Ok(()) => look_at_replica(node, &mut server.session, kind)?,
    };
    Ok(Some((health, is_promoted || replica::is_primary(&mut server.session)?)))
}

fn look_at_source(node: &Node, session: &mut Session, kind: Kind) -> Result<Health> {
    let side = match source::side(session) {
        Ok(side) => side,
        Err(error) => return Ok(Health::Degraded(format!("{error:#}"))),
    };
    let rule = source::rule(node, session)?;
    if kind == Kind::Recurring && is_other_count(&side, rule) {
        log::info!("there are other replicas than before: commits wait for {} instead of {}", rule.acks, side.acks);
        semisync::source_on_by(session, rule)?;
    }
    source::look(session, rule)
}

fn look_at_replica(node: &Node, session: &mut Session, kind: Kind) -> Result<Health> {
    Ok(match (replica::look(session)?, kind) {
        (Verdict::Leave(health), _) => health,
        (Verdict::Restart, Kind::Recurring) => replica::restart(session, node.deadline),
        (Verdict::Restart, Kind::Probe) => Health::Degraded("its receiver runs without acknowledging".into()),
    })
}
