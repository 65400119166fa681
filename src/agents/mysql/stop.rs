//! stop: a clean shutdown, then SIGTERM, then SIGKILL, within the action's time, and verified by the process. A promoted
//! instance is closed first: Pacemaker may stop it without demoting it (convention 27).

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::lasting::CleanEnd;
use super::node::{Node, insist};
use super::publish::{Standing, publish};
use super::staging::Staging;
use super::{demote, guard, provision, replicate};
use crate::deadline::Deadline;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::pacemaker::View;
use crate::server::client::Session;
use crate::server::dialect::Dialect;
use crate::server::process::Daemon;

/// What SIGKILL needs: the kernel ends the process as soon as no system call holds it.
const KILL: Duration = Duration::from_secs(3);

/// A cluster that does not listen must not use up the time in which the daemon is ended.
const TELLING: Duration = Duration::from_secs(3);

/// Runs the action. Its errors are collected and do not keep it from going on; only a process that is still there at
/// the end is a failure.
pub fn stop(node: &Node) -> Outcome {
    if let Some(cluster) = &node.cluster
        && let Err(error) = cluster.withdraw_score(node.deadline.at_most(TELLING))
    {
        log::warn!("cannot withdraw the promotion score: {error:#}");
    }
    let was_filling = provision::while_filling(node).is_some();
    provision::end_replacement(node);
    guard::end(node);
    // What was filling a draft shall not outlive the server; the draft itself is removed by whoever makes another.
    if let Ok(staging) = Staging::of(node) {
        staging.end_filler();
    }
    if let Some(daemon) = node.daemon() {
        end(node, daemon)?;
    } else {
        log::info!("already stopped");
    }
    guard::fall_silent(node, node.deadline.at_most(TELLING));
    if was_filling {
        provision::fall_silent(node, node.deadline.at_most(TELLING));
    }
    for mark in [node.mark(), node.start_mark()] {
        if let Err(error) = mark.remove() {
            log::warn!("{error:#}");
        }
    }
    for file in [&node.layout.pid_file, &node.layout.socket] {
        // Left behind by a server that was killed; a clean shutdown removed them.
        let _ = fs::remove_file(file);
    }
    match node.view() {
        Ok(Some(view)) => {
            publish(node, &view, &Standing::stopped());
            say_farewell(node, &view);
        }
        Ok(None) => {}
        Err(error) => log::warn!("cannot tell the cluster that it is stopped: {error:#}"),
    }
    Ok(ExitCode::Success)
}

/// A node that is shut down tells the others for good: in a cluster of two without fencing they could not know that it is
/// not merely cut off.
fn say_farewell(node: &Node, view: &View) {
    if let Some(cluster) = &node.cluster
        && view.leaving.contains(&cluster.node)
        && let Err(error) = cluster.set_left(true, node.deadline)
    {
        log::warn!("cannot tell the cluster that this node leaves it: {error:#}");
    }
}

/// Ends the daemon.
pub fn end(node: &Node, daemon: Daemon) -> Result<(), OcfError> {
    if daemon.is_stopped() {
        log::warn!("the server (pid {}) is stopped (SIGSTOP) and cannot shut down", daemon.pid);
    } else {
        let kill_at = node.deadline.less(KILL);
        let mut clean_end = None;
        let patience = match shut_down(node, daemon, kill_at) {
            Ok(end) => {
                clean_end = end;
                kill_at
            }
            Err(error) => {
                log::warn!("no clean shutdown: {error:#}");
                // It does not answer: SIGTERM is worth a try, but not all the time that there is.
                daemon.signal(Signal::SIGTERM);
                Deadline::after(kill_at.remaining() / 2)
            }
        };
        if daemon.wait_end(patience) {
            log::info!("stopped");
            if let Some(end) = clean_end
                && let Err(error) = node.lasting().note_clean_end(&end)
            {
                log::warn!("{error:#}");
            }
            return Ok(());
        }
    }
    daemon.signal(Signal::SIGKILL);
    if daemon.wait_end(Deadline::after(KILL)) {
        log::warn!("killed");
        return Ok(());
    }
    Err(OcfError::generic(format!(
        "the server (pid {}) does not end, even by SIGKILL: a disk or file system that it waits for hangs",
        daemon.pid
    )))
}

/// Closes a primary, or ends a replica's part in the in-sync set, and asks the server to shut down. Where everything that
/// it has received is applied then, its next start is the same life.
fn shut_down(node: &Node, daemon: Daemon, deadline: Deadline) -> anyhow::Result<Option<CleanEnd>> {
    // A replica without a connection to spare is ended by a signal at once; a primary is first to be closed.
    let patience = if node.is_marked(daemon) { deadline.remaining() / 2 } else { Duration::ZERO };
    let mut session = insist(Deadline::after(patience), || node.quick_session())?;
    if node.is_marked(daemon) || session.state()?.is_writable() {
        if let Err(error) = demote::close_primary(node, &mut session, Deadline::after(deadline.remaining() / 2)) {
            log::warn!("shut down while it was open for writes: {error:#}");
        }
    } else if let Err(error) = leave(node, &mut session, Deadline::after(deadline.remaining() / 2)) {
        log::warn!("not everything that was received is applied: {error:#}");
    }
    let executed = session.state()?.executed;
    let has_all = replicate::received(&mut session)? == executed;
    let life = node.start_mark().life_of(daemon);
    if let Some(statement) = session.dialect().end_replicas() {
        session.execute("end the replicas' connections", statement)?;
    }
    session.execute("shut down", Dialect::SHUTDOWN)?;
    Ok(life.filter(|_| has_all).map(|life| CleanEnd { life, executed: executed.to_string() }))
}

/// A replica takes leave of its primary, and applies what it has received: MariaDB forgets it otherwise.
fn leave(node: &Node, session: &mut Session, deadline: Deadline) -> anyhow::Result<()> {
    if session.replica_status()?.is_none() {
        return Ok(());
    }
    guard::say_good_bye(node, session)?;
    replicate::drain(session, deadline)?;
    replicate::drop_torn(session, deadline)
}
