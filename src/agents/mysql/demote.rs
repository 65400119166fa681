//! demote: closes writes, in the action itself, writes the final position into the cluster's configuration, and tells the
//! replicas.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::decide::position::Told;
use super::decide::record::{Record, State, next_epoch};
use super::node::{Node, insist};
use super::review;
use super::{closing, guard, replicate};
use crate::deadline::Deadline;
use crate::exec;
use crate::gtid::GtidSet;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::client::{Session, Unavailable};
use crate::server::process::Daemon;

/// How long a server that does not listen any more may take to end by itself.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What Pacemaker's tools may take to say what is on record, while the server is being closed.
const FINDING: Duration = Duration::from_secs(5);

/// What SIGKILL needs, and the telling after it.
const KILL: Duration = Duration::from_secs(5);

/// Runs the action.
pub fn demote(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        // A failed demote is recorded and aborts the recovery in which it stands; a daemon that is provably dead
        // acknowledges nothing (objection 16).
        log::info!("the server is not running: nothing to close");
        return closed_by_its_end(node);
    };
    // Whoever has the turn (its guard) holds it for moments; a demotion goes on without it rather than not at all.
    let turn = node.await_turn(Deadline::after(node.deadline.remaining() / 4));
    if let Err(error) = &turn {
        log::warn!("{error:#}");
    }
    let mut session = match insist(node.deadline.less(KILL), || super::monitor::ask(node, daemon)) {
        Ok(session) => session,
        Err(Unavailable::Silent(_)) => return kill(node, daemon, "does not answer"),
        // No statement frees one of its connections, and as long as it cannot be closed it acknowledges writes.
        Err(Unavailable::TooManyConnections) => return kill(node, daemon, "has no connection to spare for the agent"),
        // It is shutting down, or hangs without its socket.
        Err(Unavailable::NotListening(_)) if daemon.wait_end(node.deadline.at_most(SHUTDOWN)) => {
            return closed_by_its_end(node);
        }
        Err(Unavailable::NotListening(_)) => return kill(node, daemon, "does not listen"),
        Err(other) => return Err(other.into()),
    };
    // Also one that is read-only already: privileged clients may still write there.
    close_primary(node, &mut session, node.deadline)?;
    Ok(ExitCode::Success)
}

/// Closes a primary for good: no write is acknowledged here any more, and its final position is known to whoever is
/// promoted next.
///
/// # Errors
/// When it is not closed by the deadline.
pub fn close_primary(node: &Node, session: &mut Session, deadline: Deadline) -> Result<()> {
    let (found, has) = exec::at_once(
        || Ok(find_record(node, deadline.at_most(FINDING))),
        || {
            closing::close(node, session, deadline)?;
            node.mark().remove()?;
            guard::forget_state(node);
            Ok(replicate::received(session).map_err(|error| format!("{error:#}")))
        },
    )?;
    match found {
        Ok((record, is_quorate)) => tell_final_position(node, record, is_quorate, has, deadline),
        Err(error) => log::warn!("cannot tell the final position: {error:#}"),
    }
    Ok(())
}

/// The record of the last promotion, and whether something may be written into it: who has no quorum changes nothing of
/// the cluster's configuration.
fn find_record(node: &Node, deadline: Deadline) -> Result<(Option<Record>, bool)> {
    let Some(cluster) = &node.cluster else { return Ok((None, false)) };
    exec::at_once(|| cluster.is_quorate(deadline), || node.record_by(deadline))
        .map(|(quorate, record)| (record, quorate))
}

/// Tells the replicas what they wait for before they receive nothing more, or that nothing more comes; and leaves it in
/// the record, if that is still this primary's: the attributes of a node that leaves the cluster are gone with it
/// (objection 18).
fn tell_final_position(
    node: &Node,
    record: Option<Record>,
    is_quorate: bool,
    has: Result<GtidSet, String>,
    deadline: Deadline,
) {
    let Some(cluster) = &node.cluster else { return };
    let life = node.instance().map_or("none".into(), |instance| instance.life);
    let told = Told { epoch: next_epoch(record.as_ref()), sealed: true, life, has: has.clone() };
    let record_closed = || {
        let (Ok(last), Some(record)) = (has, record.filter(|record| is_quorate && record.primary == cluster.node))
        else {
            return Ok(());
        };
        let from = record.to_string();
        let record = Record { state: State::Closed, last: Some(last.to_string()), ..record };
        cluster.replace_record(Some(&from), &record.to_string(), deadline)
    };
    if let Err(error) = exec::at_once(record_closed, || review::tell(node, cluster, &told)) {
        log::warn!("cannot tell the final position: {error:#}");
    }
}

/// A daemon that is not running takes no writes.
fn closed_by_its_end(node: &Node) -> Outcome {
    node.mark().remove()?;
    guard::forget_state(node);
    match node.record() {
        Ok(record) => {
            tell_final_position(node, record, false, Err("its server is not running".into()), node.deadline);
        }
        Err(error) => log::warn!("cannot tell the final position: {error:#}"),
    }
    Ok(ExitCode::Success)
}

/// A daemon that cannot be asked cannot be closed, and would go on acknowledging: it is ended, and then it is closed. By
/// SIGKILL: a shutdown may let commits go that wait for their acknowledgement (objection 8).
///
/// # Errors
/// When it does not end, or its mark cannot be removed.
pub fn kill(node: &Node, daemon: Daemon, why: &str) -> Outcome {
    log::warn!("the server (pid {}) {why} and cannot be closed for writes: killed", daemon.pid);
    daemon.signal(Signal::SIGKILL);
    if !daemon.wait_end(Deadline::after(KILL).max(node.deadline)) {
        anyhow::bail!("the server (pid {}) {why} and does not end by SIGKILL", daemon.pid);
    }
    closed_by_its_end(node)
}
