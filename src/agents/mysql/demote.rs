//! demote: closes writes, in the action itself, and tells the replicas the final position.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::closing;
use super::decide::position::Told;
use super::decide::record::next_epoch;
use super::node::Node;
use super::replicate;
use super::review;
use crate::gtid::GtidSet;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::client::Unavailable;
use crate::server::process::Daemon;

/// How long a server that does not listen any more may take to end by itself.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Runs the action.
pub fn demote(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        // A failed demote is recorded and aborts the recovery in which it stands; a daemon that is provably dead
        // acknowledges nothing (objection 16).
        log::info!("the server is not running: nothing to close");
        return closed_by_its_end(node);
    };
    let mut session = match super::monitor::ask(node, daemon) {
        Ok(session) => session,
        Err(Unavailable::Silent(_)) => return kill_hung(node, daemon),
        // It is shutting down, or hangs without its socket.
        Err(Unavailable::NotListening(_)) if daemon.wait_end(node.deadline.at_most(SHUTDOWN)) => {
            return closed_by_its_end(node);
        }
        Err(Unavailable::NotListening(_)) => return kill_hung(node, daemon),
        Err(other) => return Err(other.into()),
    };
    // Also one that is read-only already: privileged clients may still write there.
    closing::close(&mut session, node.deadline)?;
    node.mark().remove()?;
    let has = replicate::received(&mut session).map_err(|error| format!("{error:#}"));
    tell_final_position(node, has);
    Ok(ExitCode::Success)
}

/// Tells the replicas what they wait for before they receive nothing more, or that nothing more comes.
fn tell_final_position(node: &Node, has: Result<GtidSet, String>) {
    let Some(cluster) = &node.cluster else { return };
    let told = node.record().and_then(|record| {
        review::tell(node, cluster, &Told { epoch: next_epoch(record.as_ref()), sealed: true, has })
    });
    if let Err(error) = told {
        log::warn!("cannot tell the final position: {error:#}");
    }
}

/// A daemon that is not running takes no writes.
fn closed_by_its_end(node: &Node) -> Outcome {
    node.mark().remove()?;
    tell_final_position(node, Err("its server is not running".into()));
    Ok(ExitCode::Success)
}

/// A daemon that hangs cannot be closed, and would go on acknowledging if it woke up: it is ended, and then it is closed.
fn kill_hung(node: &Node, daemon: Daemon) -> Outcome {
    log::warn!("the server (pid {}) does not answer and cannot be closed for writes: killed", daemon.pid);
    daemon.signal(Signal::SIGKILL);
    if !daemon.wait_end(node.deadline) {
        anyhow::bail!("the server (pid {}) does not answer and does not end by SIGKILL", daemon.pid);
    }
    closed_by_its_end(node)
}
