//! demote: closes writes, in the action itself, and tells the replicas the final position.

use nix::sys::signal::Signal;

use super::closing;
use super::node::Node;
use super::replicate;
use super::review;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::client::Unavailable;
use crate::server::process::Daemon;

/// Runs the action.
pub fn demote(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        // A failed demote is recorded and aborts the recovery in which it stands; a daemon that is provably dead
        // acknowledges nothing (objection 16).
        log::info!("the server is not running: nothing to close");
        node.mark().remove()?;
        return Ok(ExitCode::Success);
    };
    let mut session = match super::monitor::ask(node, daemon) {
        Ok(session) => session,
        Err(Unavailable::Silent(_)) => return kill_hung(node, daemon),
        Err(other) => return Err(other.into()),
    };
    if !session.state()?.is_writable() {
        log::info!("already closed for writes");
    } else {
        closing::close(&mut session, node.deadline)?;
    }
    node.mark().remove()?;
    if let Some(cluster) = &node.cluster {
        // The replicas wait for this position before they receive nothing more.
        let told = node.record().and_then(|record| {
            let has = replicate::received(&mut session)?;
            review::tell(node, cluster, record.as_ref(), true, &Ok(has))
        });
        if let Err(error) = told {
            log::warn!("cannot tell the final position: {error:#}");
        }
    }
    Ok(ExitCode::Success)
}

/// A daemon that hangs cannot be closed, and would go on acknowledging if it woke up: it is ended, and then it is closed.
fn kill_hung(node: &Node, daemon: Daemon) -> Outcome {
    log::warn!("the server (pid {}) does not answer and cannot be closed for writes: killed", daemon.pid);
    daemon.signal(Signal::SIGKILL);
    if !daemon.wait_end(node.deadline) {
        anyhow::bail!("the server (pid {}) does not answer and does not end by SIGKILL", daemon.pid);
    }
    node.mark().remove()?;
    Ok(ExitCode::Success)
}
