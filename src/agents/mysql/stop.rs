//! stop: a clean shutdown, then SIGTERM, then SIGKILL, within the action's time, and verified by the process. A promoted
//! instance is closed first: Pacemaker may stop it without demoting it (convention 27).

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::closing;
use super::node::Node;
use super::publish::{Standing, publish};
use crate::deadline::Deadline;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
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
    if let Some(daemon) = node.daemon() {
        end(node, daemon)?;
    } else {
        log::info!("already stopped");
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
        Ok(Some(view)) => publish(node, &view, &Standing::stopped()),
        Ok(None) => {}
        Err(error) => log::warn!("cannot tell the cluster that it is stopped: {error:#}"),
    }
    Ok(ExitCode::Success)
}

/// Ends the daemon.
fn end(node: &Node, daemon: Daemon) -> Result<(), OcfError> {
    if daemon.is_stopped() {
        log::warn!("the server (pid {}) is stopped (SIGSTOP) and cannot shut down", daemon.pid);
    } else {
        let kill_at = node.deadline.less(KILL);
        let patience = match shut_down(node, daemon, kill_at) {
            Ok(()) => kill_at,
            Err(error) => {
                log::warn!("no clean shutdown: {error:#}");
                // It does not answer: SIGTERM is worth a try, but not all the time that there is.
                daemon.signal(Signal::SIGTERM);
                Deadline::after(kill_at.remaining() / 2)
            }
        };
        if daemon.wait_end(patience) {
            log::info!("stopped");
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

/// Closes a primary, and asks the server to shut down.
fn shut_down(node: &Node, daemon: Daemon, deadline: Deadline) -> anyhow::Result<()> {
    let mut session: Session = node.quick_session()?;
    if (node.is_marked(daemon) || session.state()?.is_writable())
        && let Err(error) = closing::close(&mut session, Deadline::after(deadline.remaining() / 2))
    {
        log::warn!("shut down while it was open for writes: {error:#}");
    }
    if let Some(statement) = session.dialect().end_replicas() {
        session.execute("end the replicas' connections", statement)?;
    }
    session.execute("shut down", Dialect::SHUTDOWN)
}
