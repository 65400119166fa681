//! monitor: the truth about the daemon, whether it answers, its role, and its replication.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::decide::role::{Role, Stray, decide_role, decide_stray, is_probed_as_primary};
use super::node::Node;
use super::publish::{Standing, publish};
use super::{closing, guard, memo, promote, provision, review};
use crate::ocf::exit::{ExitCode, OcfError, Outcome, describe};
use crate::pacemaker::{Score, stack};
use crate::server::client::{Session, Unavailable};
use crate::server::process::Daemon;

/// A set that is smaller than it should be for less than this is on its way.
const TRANSIENT: Duration = Duration::from_secs(5);

/// A replica that is not in sync for less than this is on its way.
const JOINING: Duration = Duration::from_secs(30);

/// How long a monitor waits for its turn.
const TURN: Duration = Duration::from_secs(2);

/// Which monitor this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// A probe tells what is there, and changes nothing of it (objection 25).
    pub is_probe: bool,
    /// Also read from the operator's test table.
    pub is_deep: bool,
}

/// Runs the action.
pub fn monitor(node: &Node, kind: Kind) -> Outcome {
    // The first thing that the cluster asks on a node that is back.
    if kind.is_probe
        && let Some(cluster) = &node.cluster
        && let Err(error) = cluster.set_left(false, node.deadline)
    {
        log::warn!("cannot tell the cluster that this node is back: {error:#}");
    }
    if provision::is_being_replaced(node) {
        return if kind.is_probe { Ok(ExitCode::Success) } else { being_replaced(node) };
    }
    let Some(daemon) = node.daemon() else {
        if kind.is_probe {
            return Ok(ExitCode::NotRunning);
        }
        withdraw(node);
        return Err(OcfError::new(ExitCode::NotRunning, guard::describe_end(node)).into());
    };
    if !kind.is_probe {
        guard::ensure(node);
    }
    match observe(node, daemon, kind) {
        Err(error) if is_degraded(&error) => Err(error),
        // It was being stopped for that.
        Err(_) if !kind.is_probe && provision::is_being_replaced(node) => being_replaced(node),
        Err(error) if !kind.is_probe => {
            // Said now: without the score Pacemaker acts at once, and ends this call if it has not returned by then.
            log::error!("{error:#}");
            withdraw(node);
            Err(error)
        }
        Ok(code) if !kind.is_probe => with_stack(node, code),
        outcome => outcome,
    }
}

/// No server runs, or not for long: the guard starts another one on new data.
fn being_replaced(node: &Node) -> Outcome {
    degraded(false, provision::read_progress(node).unwrap_or_else(|| "its data are being replaced".into()))
}

/// It works, and the operator is told what for how long. Not in the log each time: `crm_mon` shows the reason.
fn degraded(is_promoted: bool, why: impl Into<String>) -> Outcome {
    let code = if is_promoted { ExitCode::DegradedPromoted } else { ExitCode::Degraded };
    Err(OcfError::new(code, why).into())
}

fn is_degraded(error: &anyhow::Error) -> bool {
    matches!(describe(error).code, ExitCode::Degraded | ExitCode::DegradedPromoted)
}

/// An instance on a node whose cluster stack is not whole is degraded.
fn with_stack(node: &Node, code: ExitCode) -> Outcome {
    match stack::noted(&node.run_dir, &node.resource) {
        Some(trouble) => degraded(code == ExitCode::RunningPromoted, trouble),
        None => Ok(code),
    }
}

fn observe(node: &Node, daemon: Daemon, kind: Kind) -> Outcome {
    let is_marked = node.is_marked(daemon);
    let mut session = match ask(node, daemon) {
        Ok(session) => session,
        Err(Unavailable::TooManyConnections) => {
            log::warn!("the server lives, but has too many connections for the agent");
            return Ok(if is_marked { ExitCode::RunningPromoted } else { ExitCode::Success });
        }
        // A wrong password is the agent's trouble and not the server's: to restart it would mend nothing.
        Err(denied @ Unavailable::Denied(_)) => {
            let why = format!("the server lives, but its state is unknown: {denied}");
            log::error!("{why}");
            return match (kind.is_probe, is_marked) {
                (true, true) => Ok(ExitCode::RunningPromoted),
                (true, false) => Ok(ExitCode::Success),
                (false, _) => degraded(is_marked, why),
            };
        }
        Err(other) => return Err(OcfError::generic(other.to_string()).into()),
    };
    if kind.is_deep
        && let Some(query) = &node.config.test_query
    {
        session.query("the test table", query)?;
    }
    let role = decide_role(is_marked, session.state()?.is_writable());
    if kind.is_probe {
        return probe(node, role);
    }
    match role {
        Role::Primary => primary(node),
        Role::ClosedPrimary => closed_primary(node),
        Role::Replica if review::is_unchanged(node, &mut session, daemon)? => Ok(ExitCode::Success),
        Role::Replica => replica(node, &mut session),
        Role::Strayed => strayed(node, &mut session, daemon),
    }
}

/// Asks a daemon that may hang. A process that is stopped cannot answer, so it is not asked.
///
/// # Errors
/// When it cannot be asked.
pub fn ask(node: &Node, daemon: Daemon) -> Result<Session, Unavailable> {
    if daemon.is_stopped() {
        return Err(Unavailable::Silent(Duration::ZERO));
    }
    node.quick_session()
}

/// The promotion score is told by a probe as well: it is lost when the cluster's stack is restarted under a running
/// server, and a primary without one would be demoted (resource-agents#859).
fn probe(node: &Node, role: Role) -> Outcome {
    match role {
        Role::Primary => {
            // Not after another one was promoted, while this node's stack was away: that one's score must be the higher.
            let me = node.cluster.as_ref().map(|cluster| &cluster.node);
            match node.record() {
                Ok(record) if record.as_ref().map(|record| &record.primary) == me => {
                    tell(node, &Standing::primary(guard::read_state(node).as_ref()));
                }
                Ok(_) => log::error!("open for writes, but the last promotion on record is another one's"),
                Err(error) => log::error!("{error:#}"),
            }
            Ok(ExitCode::RunningPromoted)
        }
        Role::Strayed => probe_strayed(node),
        Role::ClosedPrimary => Ok(ExitCode::RunningPromoted),
        Role::Replica => Ok(ExitCode::Success),
    }
}

/// A writable server that this agent did not open is the primary if it can be no other; else the first monitor closes it.
fn probe_strayed(node: &Node) -> Outcome {
    let (Some(cluster), Some(view)) = (&node.cluster, node.view()?) else { return Ok(ExitCode::RunningPromoted) };
    let record = node.record()?;
    let last_primary = record.as_ref().map(|record| record.primary.as_str());
    if is_probed_as_primary(&cluster.node, &view.promoted(), last_primary) {
        publish(node, &view, &Standing::primary(None));
        return Ok(ExitCode::RunningPromoted);
    }
    log::error!("open for writes, but not the primary: the first monitor closes it");
    Ok(ExitCode::Success)
}

/// Tells the cluster, and whether it has heard. That it cannot be told now is no failure of the server.
fn tell(node: &Node, standing: &Standing) -> bool {
    match node.view() {
        Ok(Some(view)) => publish(node, &view, standing),
        Ok(None) => true,
        Err(error) => {
            log::warn!("cannot tell the cluster: {error:#}");
            false
        }
    }
}

/// A primary that promises less than it should is degraded, once that has lasted.
fn primary(node: &Node) -> Outcome {
    for file in [closed_file(node), joining_file(node)] {
        // That there is none is the usual case.
        let _ = fs::remove_file(file);
    }
    let kept = guard::read_state(node);
    let standing = Standing::primary(kept.as_ref());
    if !memo::was_told(node, &standing) && tell(node, &standing) {
        memo::keep_told(node, &standing);
    }
    let (Some(wanted), Some(kept)) = (node.config.semi_sync, kept) else {
        return Ok(ExitCode::RunningPromoted);
    };
    let has_others = node.clone_max.is_some_and(|most| most > 1);
    if let Some(trouble) = &kept.trouble {
        return degraded(true, format!("writes wait: {trouble}"));
    }
    let is_short = has_others && kept.sync.acks < wanted.acks;
    if !is_short {
        // It is there only while less is promised; that it is not is the usual case.
        let _ = fs::remove_file(short_file(node));
    } else if review::since(&short_file(node)) >= TRANSIENT {
        let why = format!("each write is on {} replicas, and not on {}", kept.sync.acks, wanted.acks);
        return degraded(true, why);
    }
    Ok(ExitCode::RunningPromoted)
}

/// The file that is there while a primary promises less than it should.
fn short_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.short", node.resource))
}

/// The file that is there while a primary is closed.
fn closed_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.closed", node.resource))
}

fn closed_primary(node: &Node) -> Outcome {
    let status = "primary, but somebody closed it for writes (read_only): SET GLOBAL read_only=0 opens it";
    memo::forget(node);
    tell(node, &Standing { status: status.into(), ..Standing::primary(None) });
    let closed_for = review::since(&closed_file(node));
    if node.config.read_only_timeout.is_some_and(|timeout| closed_for >= timeout) {
        let _ = fs::remove_file(closed_file(node));
        let reason = format!("somebody closed the primary for writes (read_only) {} s ago", closed_for.as_secs());
        return Err(OcfError::new(ExitCode::FailedPromoted, reason).into());
    }
    degraded(true, "somebody closed it for writes (read_only): SET GLOBAL read_only=0 opens it")
}

fn replica(node: &Node, session: &mut Session) -> Outcome {
    if let Some(trouble) = &node.trouble {
        // Nothing is changed about its replication by parameters that are wrong.
        return degraded(false, &trouble.reason);
    }
    let Ok(_turn) = node.await_turn(node.deadline.at_most(TURN)) else {
        log::info!("another action or the guard is at work: looked at by the next monitor");
        return Ok(ExitCode::Success);
    };
    match review::review(node, session) {
        Ok(standing) => replica_standing(node, standing),
        Err(error) => {
            // The cluster's trouble is no failure of the server; its own is one, and shows again here.
            session.state().context("the server does not say its state any more")?;
            log::warn!("not all is known of this replica: {error:#}");
            Ok(ExitCode::Success)
        }
    }
}

/// One that replicates well and is not in sync yet is on its way there, for a while: Pacemaker 3.0.3 goes on showing what
/// was degraded once as a failed action.
fn replica_standing(node: &Node, standing: Standing) -> Outcome {
    if standing.score != Some(Score::Never) {
        // It is there only on the way; that it is not is the usual case.
        let _ = fs::remove_file(joining_file(node));
        return Ok(ExitCode::Success);
    }
    let age = node.daemon().map_or(Duration::ZERO, Daemon::age);
    if standing.attached && review::since(&joining_file(node)).min(age) < JOINING {
        return Ok(ExitCode::Success);
    }
    degraded(false, standing.status)
}

/// The file that is there while a replica is on its way into the in-sync set.
fn joining_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.joining", node.resource))
}

/// Open for writes without having been promoted by us.
fn strayed(node: &Node, session: &mut Session, daemon: Daemon) -> Outcome {
    let Some(view) = node.view()? else {
        return Ok(ExitCode::Success);
    };
    let me = node.cluster.as_ref().map_or("", |cluster| cluster.node.as_str());
    let record = node.record()?;
    let last_primary = record.as_ref().map(|record| record.primary.as_str());
    match decide_stray(me, &view.promoted(), last_primary, view.is_left_alone_on(me)) {
        Stray::Adopt => {
            log::warn!("the primary was opened for writes before this agent was in charge: it is taken over as it is");
            if let Err(error) = promote::adopt(node, session, daemon) {
                log::warn!("not yet taken over, the next monitor tries again: {error:#}");
            }
            publish(node, &view, &Standing::primary(guard::read_state(node).as_ref()));
            Ok(ExitCode::RunningPromoted)
        }
        Stray::Report => {
            log::warn!("open for writes without having been promoted; left as it is, the resource is not managed now");
            Ok(ExitCode::RunningPromoted)
        }
        Stray::Close => {
            log::error!("open for writes without having been promoted: closed");
            closing::close(node, session, node.deadline)?;
            replica(node, session)
        }
    }
}

/// A server that has ended or hangs must not be promoted again where it stands: without its score the cluster promotes
/// another in the same transition in which it recovers this one.
///
/// While the operator has the resource its score stays: nobody is promoted then, and who takes it back finds it.
fn withdraw(node: &Node) {
    memo::forget(node);
    let Some(cluster) = &node.cluster else { return };
    if cluster.is_left_alone(node.deadline).unwrap_or_default() {
        return;
    }
    if let Err(error) = cluster.withdraw_score(node.deadline) {
        log::warn!("cannot withdraw the promotion score: {error:#}");
    }
}
